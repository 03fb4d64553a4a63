import Logging
import ROWProxy
import ROWSettings
import Synchronization

/// A session that a service serves: it is tried again until it is asked to end.
final class ServiceSession: Sendable {
    let settings: Settings.Session
    let served = ServedSession()
    /// Has an element once it is served or has failed for the first time.
    let outcome: AsyncStream<Void>
    private let tried = Mutex(false)
    private let ending = Mutex(Ending())
    private let listeners: KeptListeners
    /// Other sessions of its image.
    private let companions: Set<String>
    private let log: Logger

    private struct Ending {
        var isOver = false
        var waiting: [AsyncStream<Void>.Continuation] = []
    }

    /// Whether it is neither served nor tried any more.
    var hasEnded: Bool { ending.withLock(\.isOver) }

    /// Ends when it is neither served nor tried any more. Everyone who waits has one of their own.
    var end: AsyncStream<Void> {
        let (end, last) = AsyncStream<Void>.makeStream()
        ending.withLock { ending in
            if ending.isOver { last.finish() } else { ending.waiting.append(last) }
        }
        return end
    }

    /// Whether it was served, or has failed.
    var isTried: Bool { tried.withLock(\.self) }

    init(
        _ settings: Settings.Session, _ place: Service.Place, _ listeners: KeptListeners,
        companions: Set<String>
    ) {
        self.settings = settings
        self.listeners = listeners
        self.companions = companions
        log = Logger(image: settings.image, session: settings.name)
        let (outcome, first) = AsyncStream<Void>.makeStream()
        self.outcome = outcome
        Task {
            await run(place) {
                self.tried.withLock { $0 = true }
                first.yield()
            }
            first.finish()
            ending.withLock { ending in
                ending.isOver = true
                for one in ending.waiting { one.finish() }
                ending.waiting = []
            }
        }
    }

    private func run(_ place: Service.Place, hasOutcome: () -> Void) async {
        var complaint = ""
        repeat {
            do {
                return try await serve(place, announced: hasOutcome)
            } catch {
                if served.isAskedToEnd {
                    return log.error("ended, but not well", metadata: ["error": "\(error)"])
                }
                if "\(error)" != complaint {
                    complaint = "\(error)"
                    complain(complaint)
                }
                hasOutcome()
            }
        } while await !served.isAskedToEndInPause()
    }

    private func complain(_ error: String) {
        log.warning("not served now, trying again", metadata: ["error": "\(error)"])
    }

    private func serve(_ place: Service.Place, announced: () -> Void) async throws {
        try await ApplianceImage.with(
            settings.source, session: settings.name, catalogue: place.catalogue, state: place.state
        ) { chosen in
            var configuration = Proxy.Configuration(
                image: chosen.image, session: settings.name, state: place.state.directory)
            configuration.manifestRoot = chosen.manifestRoot
            configuration.onEvent = log.proxyEvents
            settings.apply(to: &configuration)
            configuration.listeners = listeners
            configuration.companions = companions
            try await served.run(
                configuration, chosen.use,
                announce: {
                    log.info("served")
                    announceReady($0)
                    announced()
                }, complain: complain)
        }
    }
}

import Foundation
import Glibc
import ROWProxy
import ROWSettings
import SystemPackage

/// Serves what a file of settings says.
actor Service {
    private struct Running {
        let settings: Settings.Session
        let session: ServedSession
        let task: Task<Void, Never>
    }

    private let place: Place
    private var running: [String: Running] = [:]

    private init(_ place: Place) { self.place = place }

    private enum Event {
        case askedToEnd
        case askedToReload
    }

    /// Runs until a signal asks to end; SIGHUP has the file read again.
    /// - Throws: `SettingsError` when the file cannot be used.
    static func run(
        _ file: String, _ options: SettingsOptions, catalogue: CatalogueOptions,
        http: ListenAddress?, state: StateOption
    ) async throws {
        signal(SIGPIPE, SIG_IGN)
        let (events, continuation) = AsyncStream<Event>.makeStream()
        let signals = [
            Signals.toEnd([SIGTERM, SIGINT]) { continuation.yield(.askedToEnd) },
            Signals([SIGHUP]) { continuation.yield(.askedToReload) },
        ]
        defer { withExtendedLifetime(signals) {} }
        let manager = ServiceManager()
        let read = {
            let settings = try options.settings(of: file)
            return (settings, Place(settings, catalogue, http, state))
        }
        let (settings, place) = try read()
        let service = Service(place)
        try await StatusHTTP.show(
            at: place.http, of: place.state.directory, by: { await service.sessions }
        ) {
            await service.serve(settings.sessions)
            manager.ready(await service.summary)
            let watch = Task { try await service.watch(for: manager) }
            for await event in events {
                if event == .askedToEnd { break }
                manager.reloading()
                await service.reload(Result { try read() })
                manager.ready(await service.summary)
            }
            watch.cancel()
            manager.stopping()
            await service.serve([])
        }
    }

    /// What stays as it is until the service is started again.
    private struct Place: Equatable {
        let state: StateOption
        let catalogue: CatalogueOptions
        let http: ListenAddress?

        /// Options before the file.
        init(
            _ settings: Settings, _ catalogue: CatalogueOptions, _ http: ListenAddress?,
            _ state: StateOption
        ) {
            var state = state
            state.path = state.path ?? settings.state?.string
            self.state = state
            var catalogue = catalogue
            catalogue.catalogue = catalogue.catalogue ?? settings.catalogue
            self.catalogue = catalogue
            self.http = http ?? settings.http
        }

        static func == (one: Place, other: Place) -> Bool {
            one.state.path == other.state.path
                && one.catalogue.catalogue == other.catalogue.catalogue
                && one.http == other.http
        }
    }

    // MARK: Settings

    private func reload(_ read: Result<(Settings, Place), any Error>) async {
        do {
            let (settings, other) = try read.get()
            if other != place {
                note(
                    "'state', 'catalogue' and 'http' stay as they were until the service is started "
                        + "again")
            }
            await serve(settings.sessions)
            note("the settings were read again; \(summary)")
        } catch {
            for line in "\(error)".split(separator: "\n") { note(String(line)) }
            note("the settings were not read again: everything goes on as it was")
        }
    }

    /// Has these sessions served, and no others. What is served as it should be is not disturbed.
    /// Returns once each is served or has failed for the first time.
    private func serve(_ sessions: [Settings.Session]) async {
        let wanted = Dictionary(sessions.map { ($0.name, $0) }) { first, _ in first }
        let changed = running.filter { wanted[$0.key] != $0.value.settings }
        // Without the session in whose process they are served, others are served anew, too: all of the image
        // at once, lest the next to come has another port.
        let images = Set(changed.values.filter { $0.session.proxy != nil }.map(\.settings.image))
        let ending = running.filter {
            changed[$0.key] != nil || images.contains($0.value.settings.image)
        }
        for (name, one) in ending {
            running[name] = nil
            one.session.askToEnd()
        }
        for one in ending.values { await one.task.value }
        var outcomes: [AsyncStream<Void>] = []
        for settings in sessions where running[settings.name] == nil {
            outcomes.append(start(settings))
        }
        for outcome in outcomes { for await _ in outcome { break } }
    }

    /// - Returns: what has an element once it is served or has failed.
    private func start(_ settings: Settings.Session) -> AsyncStream<Void> {
        let session = ServedSession()
        let (outcome, continuation) = AsyncStream<Void>.makeStream()
        let place = place
        let task = Task {
            var complaint = ""
            repeat {
                do {
                    try await Self.run(session, settings, place) { continuation.yield() }
                    return
                } catch {
                    if session.isAskedToEnd {
                        return note("\(settings.name): ended, but \(error)")
                    }
                    if "\(error)" != complaint {
                        complaint = "\(error)"
                        note("\(settings.name): not served now, trying again: \(complaint)")
                    }
                    continuation.yield()
                }
            } while await !session.isAskedToEndInPause()
        }
        running[settings.name] = Running(settings: settings, session: session, task: task)
        return outcome
    }

    private static func run(
        _ session: ServedSession, _ settings: Settings.Session, _ place: Place,
        announced: () -> Void
    ) async throws {
        try await ApplianceImage.with(
            settings.source, session: settings.name, catalogue: place.catalogue, state: place.state
        ) { chosen in
            var configuration = Proxy.Configuration(
                image: chosen.image, session: settings.name, state: place.state.directory)
            configuration.manifestRoot = chosen.manifestRoot
            settings.apply(to: &configuration)
            try await session.run(
                configuration, chosen.use,
                announce: {
                    announceReady($0)
                    announced()
                },
                complain: { note("\(settings.name): not served now, trying again: \($0)") })
        }
    }

    // MARK: How things stand

    private var sessions: [ServedSession] { running.values.map(\.session) }

    private var summary: String { "sessions: \(running.keys.sorted().joined(separator: ", "))" }

    /// Tells the service manager that all event loops go round, as long as they do.
    private func watch(for manager: ServiceManager) async throws {
        guard let period = manager.watchdog else { return }
        while true {
            for one in running.values { try? await one.session.proxy?.answers() }
            manager.isAlive()
            try await Task.sleep(for: period / 3)
        }
    }
}

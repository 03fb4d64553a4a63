import Foundation
import Glibc
import Logging
import ROWProxy
import ROWSettings
import SystemPackage

/// Serves what a file of settings says.
actor Service {
    private let place: Place
    private let manager: ServiceManager
    private let listeners: KeptListeners
    private var running: [String: ServiceSession] = [:]
    /// Those that were asked to end while all others go on.
    private var leaving: [ServiceSession] = []
    /// Nothing is begun any more.
    private var isEnding = false

    private static let log = Logger(label: "rowctl")

    private init(_ place: Place, _ manager: ServiceManager) {
        self.place = place
        self.manager = manager
        listeners = KeptListeners(
            inherited: manager.inherited, onKept: { manager.keep($0, $1) },
            onDropped: { manager.drop($0) })
    }

    private enum Event {
        case askedToEnd
        case askedToReload
    }

    /// Runs until a signal asks to end; SIGHUP has the file read again. Whatever else is under way, signals are
    /// looked at.
    /// - Throws: `SettingsError` when the file cannot be used.
    static func run(
        _ file: String, _ options: SettingsOptions, catalogue: CatalogueOptions,
        http: ListenAddress?, log: LogOptions, state: StateOption
    ) async throws {
        signal(SIGPIPE, SIG_IGN)
        raiseDescriptorLimit()
        let (events, continuation) = AsyncStream<Event>.makeStream()
        let signals = [
            Signals.toEnd([SIGTERM, SIGINT]) { continuation.yield(.askedToEnd) },
            Signals([SIGHUP]) { continuation.yield(.askedToReload) },
        ]
        defer { withExtendedLifetime(signals) {} }
        let manager = ServiceManager()
        let read = { @Sendable in
            let settings = try options.settings(of: file)
            return (settings, Place(settings, catalogue, http, state))
        }
        let (settings, place) = try read()
        log.start(format: settings.logFormat, level: settings.logLevel)
        let service = Service(place, manager)
        if let http = place.http { service.listeners.dropUnused(port: http.port) }
        try await StatusHTTP.show(
            at: place.http, of: place.state.directory, by: { await service.sessions }
        ) {
            // One after another, in the order of the signals.
            var work = Task {
                await service.serve(settings.sessions)
                await service.tellReady()
            }
            let watch = Task { try await service.watch() }
            for await event in events {
                if event == .askedToEnd { break }
                work = Task { [work] in
                    await work.value
                    await service.reload(Result { try read() }, log)
                    await service.tellReady()
                }
            }
            watch.cancel()
            await service.end()
        }
    }

    /// What stays as it is until the service is started again.
    struct Place: Equatable {
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

    private func reload(_ read: Result<(Settings, Place), any Error>, _ log: LogOptions) async {
        guard !isEnding else { return }
        manager.reloading()
        do {
            let (settings, other) = try read.get()
            log.start(format: settings.logFormat, level: settings.logLevel)
            if other != place {
                Self.log.warning(
                    "'state', 'catalogue' and 'http' stay as they were until the service is started again"
                )
            }
            await serve(settings.sessions)
            Self.log.notice("the settings were read again; \(summary)")
        } catch {
            for line in "\(error)".split(separator: "\n") { Self.log.error("\(line)") }
            Self.log.error("the settings were not read again: everything goes on as it was")
        }
    }

    /// Has these sessions served, and no others. What is served as it should be is not disturbed.
    /// Returns once each is served or has failed for the first time, or has taken too long for that.
    private func serve(_ sessions: [Settings.Session]) async {
        let wanted = Dictionary(sessions.map { ($0.name, $0) }) { first, _ in first }
        let changed = running.filter { wanted[$0.key] != $0.value.settings }
        // Without the session in whose process they are served, others are served anew, too: all of the image
        // at once, lest the next to come has another port.
        let images = Set(changed.values.filter { $0.served.proxy != nil }.map(\.settings.image))
        let ending = running.filter {
            changed[$0.key] != nil || images.contains($0.value.settings.image)
        }
        for (name, one) in ending {
            running[name] = nil
            leaving.append(one)
            one.served.askToEnd()
        }
        _ = await wait(for: ending.values.map(\.end), atMost: Self.patience)
        leaving.removeAll(where: \.hasEnded)
        guard !isEnding else { return }
        let names = Dictionary(grouping: sessions, by: \.image).mapValues { Set($0.map(\.name)) }
        let new = sessions.filter { running[$0.name] == nil }.map {
            ServiceSession(
                $0, place, listeners,
                companions: names[$0.image, default: []].subtracting([$0.name]))
        }
        for one in new { running[one.settings.name] = one }
        let areTried = await wait(for: new.map(\.outcome), atMost: Self.patience)
        guard !isEnding else { return }
        // Who connects to what is not served is to know, also of what is let go of only later.
        listeners.dropUnused()
        for one in leaving {
            Task { [listeners] in
                for await _ in one.end {}
                listeners.dropUnused()
            }
        }
        guard !areTried else { return }
        for one in new where !one.isTried {
            Logger(image: one.settings.image, session: one.settings.name).warning(
                "not served yet: its image, or what keeps it, does not answer; going on without it",
                metadata: ["source": "\(one.settings.source)"])
        }
    }

    /// How long a session that does not begin, or does not end, holds up what comes next.
    private static let patience: Duration = {
        let text = ProcessInfo.processInfo.environment["ROWFS_SERVICE_PATIENCE_MS"]
        return .milliseconds(text.flatMap { Int64($0) } ?? 30_000)
    }()

    /// Has all sessions end, and waits until they are durable. One that is not served has nothing that would be,
    /// and is not waited for when it hangs.
    private func end() async {
        isEnding = true
        manager.stopping()
        let all = leaving + running.values
        for one in all { one.served.askToEnd() }
        await Self.waitForServed(all)
        _ = await wait(for: all.map(\.end), atMost: min(Self.patience, .seconds(5)))
        // Some may have come to be served just then.
        await Self.waitForServed(all)
    }

    private static func waitForServed(_ sessions: [ServiceSession]) async {
        for one in sessions where one.served.isServed { for await _ in one.end {} }
    }

    // MARK: How things stand

    private var sessions: [ServedSession] { running.values.map(\.served) }

    private var summary: String {
        let waiting = running.filter { !$0.value.isTried }.keys.sorted()
        return "sessions: \(running.keys.sorted().joined(separator: ", "))"
            + (waiting.isEmpty ? "" : "; not there yet: \(waiting.joined(separator: ", "))")
    }

    /// Tells the service manager, which must not hear it once it was told of the end.
    private func tellReady() {
        if !isEnding { manager.ready(summary) }
    }

    /// Tells the service manager that all event loops go round, as long as they do.
    private func watch() async throws {
        guard let period = manager.watchdog else { return }
        while true {
            for one in running.values { await one.served.proxy?.answers() }
            manager.isAlive()
            try await Task.sleep(for: period / 3)
        }
    }
}

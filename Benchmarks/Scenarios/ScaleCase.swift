import ROWTestKit

/// A thousand connections to one proxy, with one call in flight each, on one session or on sixty of the
/// same image; beside eight connections.
struct ScaleCase: Sendable {
    let operation: Load.Operation
    let sessions: Int

    static let sessionsMaximum = 60
    private static let connections = (few: 8, many: 1000)
    private static let file = "data"
    private static let fileBytes = 16 << 20
    private static let seconds = 2.0

    static let all = [1, sessionsMaximum].flatMap { sessions in
        [Load.Operation.getattr, .read, .write].map {
            ScaleCase(operation: $0, sessions: sessions)
        }
    }

    var name: String {
        let data = operation == .getattr ? "" : " 4K"
        return "1,000 connections, \(sessions) session\(sessions == 1 ? "" : "s"), "
            + operation.rawValue.uppercased() + data
    }

    static func measure(_ settings: Settings, into report: Report) async throws {
        let cases = all.filter { settings.selects($0.name) }
        guard !cases.isEmpty else { return }
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        try TestFile.make("\(image)/\(file)", bytes: fileBytes, seed: 1)
        let copy = try folder.directory("copy")
        try TestFile.make("\(copy)/\(file)", bytes: fileBytes, seed: 1)
        let rival = try await Ganesha.start(directory: copy, readOnly: false)
        for sessions in [1, sessionsMaximum]
        where cases.contains(where: { $0.sessions == sessions }) {
            let state = folder.path("state.\(sessions)")
            let proxies = try await start(sessions, image: image, state: state)
            let idle = try ServerMemory(of: proxies[0].processID)
            for item in cases where item.sessions == sessions {
                try await item.measure(
                    on: sessionServer(proxies[0], sessions), "rowfs", settings, report)
                guard sessions == 1 else { continue }
                try await item.measure(on: Server(rival), "ganesha", settings, report)
            }
            try addMemory(of: proxies[0], idle, sessions, report)
            for proxy in proxies.reversed() { try await proxy.terminate() }
        }
        try await rival.stop()
    }

    /// The first is the process that serves all of them.
    private static func start(
        _ sessions: Int, image: String, state: String
    ) async throws -> [RowctlProcess] {
        var proxies: [RowctlProcess] = []
        for number in 0..<sessions {
            proxies.append(
                try await RowctlProcess.start(
                    ["serve", image, "--session", "bench.\(number)", "--state", state]))
        }
        return proxies
    }

    /// As `nfsload` names several.
    private static func sessionServer(_ proxy: RowctlProcess, _ sessions: Int) -> Server {
        let export = NFSExport(
            port: proxy.export.port, mountPort: proxy.export.mountPort,
            path: sessions == 1 ? proxy.export.path : "/bench")
        return Server(export: export, processID: proxy.processID)
    }

    private func measure(
        on server: Server, _ side: String, _ settings: Settings, _ report: Report
    ) async throws {
        var few: [Double] = []
        var many: [Load.Result] = []
        for _ in 0..<settings.rounds {
            few.append(
                try await load(connections: Self.connections.few)
                    .run(on: server, seconds: settings.seconds).callsPerSecond)
            many.append(
                try await load(connections: Self.connections.many)
                    .run(on: server, seconds: Self.seconds))
        }
        let fairness = Samples(many.map(\.fairness))
        let isOurs = side == "rowfs"
        report.add(
            Measured(
                section: report.section, name: "\(name): slowest to mean", side: side,
                unit: "ratio", samples: fairness, ratio: fairness.median,
                goal: isOurs ? GoalRow.fairness.goal : nil))
        if isOurs { report.claim(.fairness, name, fairness.median) }
        let speed = Samples(many.map(\.callsPerSecond))
        report.add(
            Measured(
                section: report.section, name: "\(name): to 8 connections", side: side,
                unit: "calls/s", samples: speed, ratio: speed.median / Samples(few).median))
    }

    /// Few connections have as many calls in flight among them.
    private func load(connections: Int) -> Load {
        Load(
            operation: operation, inFlight: Self.connections.many, file: Self.file, isRandom: true,
            client: .raw, connections: connections, exports: sessions == 1 ? nil : sessions)
    }

    private static func addMemory(
        of proxy: RowctlProcess, _ idle: ServerMemory, _ sessions: Int, _ report: Report
    ) throws {
        let values = [
            ("idle", idle.resident),
            ("most above idle", try ServerMemory.peak(of: proxy.processID) - idle.resident),
        ]
        for (name, value) in values {
            report.add(
                Measured(
                    section: report.section, name: "memory, \(sessions) sessions: \(name)",
                    side: "rowfs", unit: "MiB", samples: Samples([value])))
        }
    }
}

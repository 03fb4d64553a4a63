import ROWTestKit

/// What servers keep in memory of the files that clients use.
enum MemoryCase: String, CaseIterable, Sendable {
    /// LOOKUP, GETATTR and READ of 4 KiB of each of 31,000 files.
    case touched
    /// A directory of a million, listed to its end, and a tenth of it touched.
    case known

    var name: String {
        switch self {
        case .touched: "memory, 31,000 files touched"
        case .known: "memory, 1,000,000 entries listed, 100,000 files touched"
        }
    }

    private var fileCount: Int { self == .touched ? 31_000 : 1_000_000 }
    private var touchedCount: Int { self == .touched ? 31_000 : 100_000 }
    private var row: GoalRow { self == .touched ? .memoryTouched : .memoryKnown }

    private static let directory = "entries"

    static func measure(_ settings: Settings, into report: Report) async throws {
        for item in allCases where settings.selects(item.name) { try await item.measure(report) }
    }

    private func measure(_ report: Report) async throws {
        let folder = try TemporaryDirectory("rowfs-bench")
        let image = try folder.directory("image")
        note("making \(fileCount) files")
        try ManyFiles.make(fileCount, in: "\(image)/\(Self.directory)")
        let main = try await Ganesha.start(directory: image)
        for (side, source) in [("directory", image), ("nfs-ganesha", main.export.url)] {
            let proxy = try await RowctlProcess.start(
                ["serve", source, "--session", "bench", "--state", folder.path(side)])
            let used = try await use(
                Server(proxy), "rowfs, image of \(side)", goal: row.goal, report)
            report.claim(row, "image of \(side)", used)
            try await proxy.terminate()
        }
        try await main.stop()
        // It takes minutes to list a million.
        guard self == .touched else { return }
        // Not the one that was main.
        let fresh = try await Ganesha.start(directory: image)
        _ = try await use(Server(fresh), "ganesha", goal: nil, report)
        try await fresh.stop()
    }

    /// Makes the clients' calls.
    /// - Returns: how much more the server then has in RAM than when it was idle, MiB.
    private func use(
        _ server: Server, _ side: String, goal: Goal?, _ report: Report
    ) async throws -> Double {
        // A client mounts and looks at the root.
        try await Load(operation: .getattr, inFlight: 1, file: Self.directory)
            .run(on: server, calls: 1)
        let idle = try await ServerMemory.settled(of: server.processID)
        if self == .known {
            try await ManyFiles.listing(of: Self.directory, fileCount)
                .run(on: server, calls: ManyFiles.pages(fileCount))
        }
        for operation in [Load.Operation.lookup, .getattr, .read] {
            try await ManyFiles.load(operation, touchedCount)
                .run(on: server.directory(Self.directory), calls: touchedCount)
        }
        let end = try await ServerMemory.settled(of: server.processID)
        add("\(name): idle", side, idle.resident, report)
        add("\(name): above idle", side, end.resident - idle.resident, report, goal: goal)
        add("\(name): above idle, anonymous", side, end.anonymous - idle.anonymous, report)
        return end.resident - idle.resident
    }

    private func add(
        _ name: String, _ side: String, _ value: Double, _ report: Report, goal: Goal? = nil
    ) {
        report.add(
            Measured(
                section: report.section, name: name, side: side, unit: "MiB",
                samples: Samples([value]),
                note: goal.map { "\($0) \($0.isMet(by: value) ? "met" : "NOT MET")" }))
    }
}

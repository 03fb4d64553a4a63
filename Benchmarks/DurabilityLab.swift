import Foundation
import ROWTestKit

/// A proxy in strict mode, another whose syncs take longer, and nfs-ganesha with a directory that may be
/// changed, all on one file system.
///
/// nfs-ganesha syncs what it is asked to write with FILE_SYNC, but no names. Its directory has the file
/// system do that (`chattr +D`), or CREATE and REMOVE would promise less than ours do.
final class DurabilityLab {
    private let disk: LoopDisk
    private let proxy: Proxy
    private let slow: Proxy
    private let rival: Ganesha

    private static let delayMilliseconds = 5
    private static let diskBytes = 1 << 30
    private static let fileBytes = 1 << 20
    private static let session = "bench"

    private struct Proxy {
        let process: RowctlProcess
        let state: String

        var server: Server { Server(process) }

        /// How many it has made so far.
        func syncs() async throws -> Int {
            let status = try await SessionStatus.read(session: DurabilityLab.session, state: state)
            guard let syncs = status.syncs else { throw POSIXError(.ENODATA) }
            return syncs.total
        }
    }

    init() async throws {
        disk = try await LoopDisk(bytes: Self.diskBytes)
        note("making files for durable changes and starting servers in \(disk.path)")
        let image = try disk.directory("image")
        let copy = try disk.directory("copy")
        let file = DurabilityCase.file
        for name in [file] + (0..<DurabilityCase.clients.many).map({ "\(file).\($0)" }) {
            for directory in [image, copy] {
                try TestFile.make("\(directory)/\(name)", bytes: Self.fileBytes, seed: 1)
            }
        }
        try await run("chattr", "+D", copy)
        proxy = try await Self.serve(image, state: disk.path("state"), delayMilliseconds: 0)
        slow = try await Self.serve(
            image, state: disk.path("slow"), delayMilliseconds: Self.delayMilliseconds)
        rival = try await Ganesha.start(directory: copy, readOnly: false)
    }

    private static func serve(
        _ image: String, state: String, delayMilliseconds: Int
    ) async throws -> Proxy {
        let process = try await RowctlProcess.start(
            ["serve", image, "--session", session, "--state", state, "--durability", "strict"],
            environment: ["ROWFS_SYNC_DELAY_MS": "\(delayMilliseconds)"])
        return Proxy(process: process, state: state)
    }

    func stop() async throws {
        for proxy in [proxy, slow] { try await proxy.process.terminate() }
        try await rival.stop()
        try await disk.unmount()
    }

    static func measure(_ settings: Settings, into report: Report) async throws {
        let cases = DurabilityCase.all.filter { settings.selects($0.name) }
        let changes = NameChange.allCases.filter { settings.selects($0.name) }
        guard !cases.isEmpty || !changes.isEmpty else { return }
        let lab = try await DurabilityLab()
        if !changes.isEmpty { try await lab.measure(changes, settings, into: report) }
        try await lab.measure(cases, settings, into: report)
        try await lab.stop()
    }

    private func measure(
        _ cases: [DurabilityCase], _ settings: Settings, into report: Report
    ) async throws {
        let (one, many) = DurabilityCase.clients
        var scalings: [Scaling] = []
        for item in cases {
            let alone = try await compare(item, clients: one, settings, report.section)
            report.add(alone.comparison)
            let together = try await compare(item, clients: many, settings, report.section)
            report.add(together.comparison)
            scalings.append(
                Scaling(
                    name: "\(item.name), syncs", one: alone.syncsPerCall,
                    many: together.syncsPerCall, goal: item.syncGoal))
            scalings.append(
                Scaling(
                    name: "\(item.name), +\(Self.delayMilliseconds) ms",
                    one: try await slowly(item, clients: one, settings),
                    many: try await slowly(item, clients: many, settings),
                    goal: item.speedGoal))
        }
        for scaling in scalings { report.add(scaling) }
    }

    /// Makes each change once to so many names, on both sides in turns.
    private func measure(
        _ changes: [NameChange], _ settings: Settings, into report: Report
    ) async throws {
        let servers = [proxy.server, Server(rival)]
        var results: [NameChange: [[Load.Result]]] = [:]
        for change in changes { results[change] = [[], []] }
        for round in 0...settings.rounds {
            for (index, server) in servers.enumerated() {
                for change in NameChange.allCases {
                    let result = try await change.load.run(
                        on: server, calls: NameChange.count)
                    // The first is to warm up.
                    if round > 0 { results[change]?[index].append(result) }
                }
            }
        }
        for change in changes {
            guard let found = results[change] else { continue }
            let comparison = Comparison(
                section: report.section, name: change.name, measure: .calls, rowfs: found[0],
                ganesha: found[1], goal: GoalRow.changes.goal)
            report.add(comparison)
            report.claim(.changes, change.name, comparison.ratio)
        }
    }

    /// Makes the load on both sides in turns.
    private func compare(
        _ item: DurabilityCase, clients: Int, _ settings: Settings, _ section: Section
    ) async throws -> (comparison: Comparison, syncsPerCall: Double) {
        let load = item.load(clients: clients)
        let other = Server(rival)
        for server in [proxy.server, other] { _ = try await load.run(on: server, seconds: 0.1) }
        var own: [Load.Result] = []
        var its: [Load.Result] = []
        var syncs = 0
        for _ in 0..<settings.rounds {
            let before = try await proxy.syncs()
            own.append(try await load.run(on: proxy.server, seconds: settings.seconds))
            syncs += try await proxy.syncs() - before
            its.append(try await load.run(on: other, seconds: settings.seconds))
        }
        let comparison = Comparison(
            section: section, name: "\(item.name) x\(clients)", measure: .calls, rowfs: own,
            ganesha: its, goal: nil)
        return (comparison, Double(syncs) / Double(own.reduce(0) { $0 + $1.calls }))
    }

    /// Calls/s of the proxy whose syncs take longer.
    private func slowly(
        _ item: DurabilityCase, clients: Int, _ settings: Settings
    ) async throws -> Double {
        let load = item.load(clients: clients)
        _ = try await load.run(on: slow.server, seconds: 0.1)
        var speeds: [Double] = []
        for _ in 0..<settings.rounds {
            speeds.append(
                try await load.run(on: slow.server, seconds: settings.seconds).callsPerSecond)
        }
        return Samples(speeds).median
    }
}

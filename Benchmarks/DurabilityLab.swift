import Foundation
import ROWTestKit

/// A proxy in strict mode, another whose syncs take longer, and nfs-ganesha with a directory that may be
/// changed, all on one file system.
final class DurabilityLab {
    private let folder: TemporaryDirectory
    private let proxy: Session
    private let slow: Session
    private let rival: Ganesha

    private static let delayMilliseconds = 5
    private static let clients = [1, 16]
    private static let fileBytes = 1 << 20

    private struct Session {
        let process: RowctlProcess
        let state: String

        var server: Server { Server(export: process.export, processID: process.processID) }

        func syncs() async throws -> Int {
            let status = try await SessionStatus.read(session: "bench", state: state)
            guard let syncs = status.syncs else { throw POSIXError(.ENODATA) }
            return syncs.total
        }
    }

    init() async throws {
        folder = try TemporaryDirectory("rowfs-bench")
        note("starting servers in \(folder.path)")
        for name in ["image", "copy"] {
            let file = "\(try folder.directory(name))/\(DurabilityCase.file)"
            try TestFile.make(file, bytes: Self.fileBytes, seed: 1)
        }
        let image = folder.path("image")
        func session(_ name: String, delay: Int) async throws -> Session {
            let state = folder.path(name)
            let process = try await RowctlProcess.start(
                ["serve", image, "--session", "bench", "--state", state, "--durability", "strict"],
                environment: ["ROWFS_SYNC_DELAY_MS": "\(delay)"])
            return Session(process: process, state: state)
        }
        proxy = try await session("state", delay: 0)
        slow = try await session("slow", delay: Self.delayMilliseconds)
        rival = try await Ganesha.start(directory: folder.path("copy"), readOnly: false)
    }

    func stop() async throws {
        for session in [proxy, slow] { try await session.process.terminate() }
        try await rival.stop()
    }

    func measure(
        _ cases: [DurabilityCase], rounds: Int, seconds: Double, into report: Report
    ) async throws {
        var syncs: [[Double]] = []
        for item in cases {
            var counts: [Double] = []
            for clients in Self.clients {
                let load = item.load(clients: clients)
                let (comparison, syncsPerCall) = try await compare(
                    item, load, clients, rounds: rounds, seconds: seconds)
                report.add(comparison)
                counts.append(syncsPerCall)
            }
            syncs.append(counts)
        }
        for (item, counts) in zip(cases, syncs) {
            report.add(
                Report.Scaling(
                    name: "\(item.name), syncs", one: counts[0], sixteen: counts[1],
                    goal: item.syncGoal))
            var speeds: [Double] = []
            for clients in Self.clients {
                let load = item.load(clients: clients)
                _ = try await load.run(on: slow.server, seconds: 0.1)
                var results: [Double] = []
                for _ in 0..<rounds {
                    let result = try await load.run(on: slow.server, seconds: max(seconds, 0.5))
                    results.append(result.callsPerSecond)
                }
                speeds.append(Samples(results).median)
            }
            report.add(
                Report.Scaling(
                    name: "\(item.name), calls/s, +\(Self.delayMilliseconds) ms",
                    one: speeds[0], sixteen: speeds[1], goal: item.speedGoal))
        }
    }

    /// Makes the load on both sides in turns.
    private func compare(
        _ item: DurabilityCase, _ load: Load, _ clients: Int, rounds: Int, seconds: Double
    ) async throws -> (Report.Comparison, syncsPerCall: Double) {
        let other = Server(export: rival.export, processID: rival.processID)
        for server in [proxy.server, other] { _ = try await load.run(on: server, seconds: 0.1) }
        var own: [Load.Result] = []
        var its: [Load.Result] = []
        var syncs = 0
        for _ in 0..<rounds {
            let before = try await proxy.syncs()
            own.append(try await load.run(on: proxy.server, seconds: seconds))
            syncs += try await proxy.syncs() - before
            its.append(try await load.run(on: other, seconds: seconds))
        }
        let comparison = Report.Comparison(
            name: "\(item.name) x\(clients)", movesData: false,
            rowfs: Report.Comparison.Side(own), ganesha: Report.Comparison.Side(its),
            ratioOfRounds: Samples(
                zip(own, its).map { $0.callsPerSecond / $1.callsPerSecond }), goal: nil)
        return (comparison, Double(syncs) / Double(own.reduce(0) { $0 + $1.calls }))
    }
}

import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

/// The verbs of `rowctl` with a session whose data is on a server.
@Suite struct ShadowServerVerbTests {
    private struct Bench {
        let folder: TemporaryDirectory
        let server: SimulatedNFSServer
        var state: String { folder.path("state") }

        func run(_ arguments: String...) async throws -> Tool.Result {
            try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments + ["--state", state])
        }
    }

    /// A session `alice` with one new file, which nobody serves.
    private func bench() async throws -> Bench {
        let folder = try TemporaryDirectory("rowfs-shadow")
        let server = try await SimulatedNFSServer.start(.directory([]), isWritable: true)
        let bench = Bench(folder: folder, server: server)
        let image = try folder.directory("image")
        _ = try folder.file("image/old", "old text")
        let proxy = try await RowctlProcess.start([
            "serve", image, "--session", "alice", "--state", bench.state,
            "--shadow", server.export.url,
        ])
        let client = try await NFSClient.connect(NFSURL(proxy.export.url))
        _ = try await client.create("new", "12345")
        _ = try await client.create("old", "NEW")
        await client.close()
        try await proxy.terminate()
        return bench
    }

    @Test func rmRemovesWhatIsOnTheServer() async throws {
        let bench = try await bench()
        let directory = try #require(bench.server.listing("")?.first?.name)
        let plan = try await bench.run("rm", "alice", "--dry-run")
        #expect(plan.output.contains("in \(directory) on \(bench.server.export.url)"))
        #expect(bench.server.listing(directory)?.count == 2)
        let result = try await bench.run("rm", "alice", "--yes")
        #expect(result.status == .exited(0), "\(result)")
        #expect(bench.server.listing("")?.isEmpty == true)
        #expect(try await bench.run("ls", "--json").output.hasPrefix("["))
        #expect(try await bench.run("stat-session", "alice").status == .exited(1))
        try await bench.server.stop()
    }

    @Test func rmWithoutTheServerSaysWhatToDoAndCanLeaveItsDataThere() async throws {
        let bench = try await bench()
        try await bench.server.stop()
        let refused = try await bench.run("rm", "alice", "--yes")
        #expect(refused.status == .exited(1))
        #expect(refused.errors.contains("--leave-server-data"))
        #expect(try await bench.run("stat-session", "alice").status == .exited(0))
        let result = try await bench.run("rm", "alice", "--yes", "--leave-server-data")
        #expect(result.status == .exited(0), "\(result)")
        #expect(try await bench.run("stat-session", "alice").status == .exited(1))
        #expect(bench.server.listing("")?.count == 1)
    }

    @Test func fsckChecksWhatIsHereAndSaysWhatItDidNotCheck() async throws {
        let bench = try await bench()
        let clean = try await bench.run("fsck", "alice")
        #expect(clean.status == .exited(0))
        #expect(clean.output.contains("note: dataElsewhere nfs://127.0.0.1:"))
        #expect(clean.output.hasSuffix("session alice: clean, 1 noted\n"), "\(clean)")

        let database = "\(bench.state)/sessions/alice/session.sqlite"
        try await runTool("sqlite3", [database, "UPDATE content SET blocks = 0"])
        let damaged = try await bench.run("fsck", "alice")
        #expect(damaged.status == .exited(1))
        #expect(damaged.output.contains("wrongBlockCount"))
        let repaired = try await bench.run("fsck", "alice", "--repair")
        #expect(repaired.status == .exited(0), "\(repaired)")

        // This repair would put a copy of the data aside.
        let damage =
            "INSERT INTO presence SELECT node, layer, 7, x'0102' FROM content WHERE node < 1 << 62"
        try await runTool("sqlite3", [database, damage])
        let refused = try await bench.run("fsck", "alice", "--repair")
        #expect(refused.status == .exited(1))
        #expect(refused.errors.contains("data that is on the NFS server"), "\(refused)")
        try await bench.server.stop()
    }

    @Test func diffAndStatusTellOfItWhenNobodyServesIt() async throws {
        let bench = try await bench()
        #expect(try await bench.run("diff", "alice").output.contains("new"))
        let status = try await bench.run("stat-session", "alice")
        #expect(status.output.contains("shadow      \(bench.server.export.url)"), "\(status)")
        try await bench.server.stop()
    }
}

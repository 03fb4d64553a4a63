import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWProxy

/// `rowctl report` and `rowctl mark`, of a session that is served and of one that is not.
@Suite struct ReportVerbTests {
    private func run(_ arguments: String...) async throws -> Tool.Result {
        try await Tool.result(of: ProjectPaths.builtProgram("rowctl"), arguments)
    }

    private func report(_ state: String) async throws -> SessionReport {
        let result = try await run("report", "alice", "--state", state, "--json")
        #expect(result.status == .exited(0), "\(result.errors)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .custom { keys in Key(keys[keys.count - 1].stringValue) }
        return try decoder.decode(SessionReport.self, from: Data(result.output.utf8))
    }

    /// Names as the program has them: `time_ms` is `timeMS`. Procedures' names stay.
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(_ key: String) {
            let words = key.split(separator: "_")
            stringValue =
                words.count < 2
                ? key
                : String(words[0])
                    + words.dropFirst().map { $0 == "ms" ? "MS" : $0.capitalized }.joined()
        }

        init?(stringValue: String) { self.init(stringValue) }

        init?(intValue: Int) { nil }
    }

    @Test func aSessionIsReportedOnWhileItIsServedAndAfter() async throws {
        let main = try await SimulatedNFSServer.start()
        let folder = try TemporaryDirectory("rowfs-report")
        let state = folder.path("state")
        let proxy = try await RowctlProcess.start([
            "serve", main.export.url, "--session", "alice", "--state", state,
        ])
        let client = try await NFSClient.connect(NFSURL(proxy.export.url))
        #expect(try await run("mark", "alice", "boot", "--state", state).status == .exited(0))
        let large = try await client.lookup(NFS3.Filename("large"), in: client.rootHandle).success
            .object
        for _ in 0..<3 { _ = try await client.read(large, offset: 0, count: 10_000) }
        _ = try await client.read(large, offset: 40_960, count: 4096)
        #expect(try await run("mark", "alice", "run", "--state", state).status == .exited(0))
        _ = try await client.create("new", "12345")
        await client.close()

        let served = try await report(state)
        #expect(served.session == "alice" && served.state == "running")
        #expect(served.calls.client["READ"] == 4 && served.calls.client["CREATE"] == 1)
        #expect(served.calls.main["READ"] == main.calls(.read))
        #expect(served.calls.shadow["WRITE"] == 1)
        // Three blocks and one.
        #expect(served.bytes.touched == 4 * 4096 && !served.bytes.isTouchedLeast)
        #expect(served.bytes.image ?? 0 >= SimulatedTree.largeFile.count)
        #expect(served.bytes.fromMain > 0 && served.bytes.shadowStored > 0)
        #expect(served.marks.map(\.text).filter { !$0.hasPrefix("mount by ") } == ["boot", "run"])
        #expect(served.marks.contains { $0.isMount })
        #expect(served.phases.map(\.name).suffix(2) == ["boot", "run"])
        #expect(served.phases.last?.calls.client["READ"] == nil)
        #expect(served.phases.last?.calls.client["CREATE"] == 1)
        let boot = try #require(served.phases.first { $0.name == "boot" })
        #expect(boot.calls.client["READ"] == 4 && boot.sum.fromMainBytes == served.bytes.fromMain)
        #expect(
            served.samples.reduce(0) { $0 + $1.clientCalls }
                == served.calls.client.values.reduce(0, +))
        #expect(served.samples.reduce(0) { $0 + $1.networkInBytes } > served.bytes.fromMain)
        #expect(served.samples.allSatisfy { $0.memoryBytes > 1 << 20 })

        try await proxy.terminate()
        let stopped = try await report(state)
        #expect(stopped.state == "stopped" && stopped.calls == served.calls)
        #expect(stopped.bytes == served.bytes)

        // It goes on where it was.
        try await proxy.restart()
        let again = try await NFSClient.connect(NFSURL(proxy.export.url))
        _ = try await again.read(large, offset: 0, count: 10_000)
        await again.close()
        let later = try await report(state)
        #expect(later.calls.client["READ"] == 5 && later.calls.client["CREATE"] == 1)
        #expect(later.bytes.touched == served.bytes.touched)
        #expect(later.samples.count > stopped.samples.count)
        #expect(later.samples.starts(with: stopped.samples))
        try await proxy.terminate()
        try await main.stop()
    }

    @Test func thePageIsWrittenWhereItIsWanted() async throws {
        let folder = try TemporaryDirectory("rowfs-report")
        let state = folder.path("state")
        let image = try folder.directory("image")
        _ = try folder.file("image/file", "text")
        let proxy = try await RowctlProcess.start([
            "serve", image, "--session", "alice", "--state", state,
        ])
        let hostile = "<script>&\"'"
        #expect(try await run("mark", "alice", hostile, "--state", state).status == .exited(0))
        let out = folder.path("some/where")
        let result = try await run("report", "alice", "--state", state, "--out", out)
        #expect(result.output == "\(out)/report-alice.html\n", "\(result.errors)")
        let page = try String(contentsOfFile: "\(out)/report-alice.html", encoding: .utf8)
        #expect(page.contains("&lt;script&gt;&amp;&quot;&#39;") && !page.contains("<script"))
        let refused = try await run("report", "alice", "--state", state, "--out", "\(image)/file")
        #expect(refused.status == .exited(1) && refused.errors.contains("--out"))
        try await proxy.terminate()

        let late = try await run("mark", "alice", "late", "--state", state)
        #expect(late.status == .exited(1) && late.errors.contains("not served"), "\(late.errors)")
        #expect(late.errors.split(separator: "\n").count == 1)
    }

    @Test func aDamagedHistoryBeginsAnewAndThatIsAnEvent() async throws {
        let served = try await Served.directory()
        let hello = try await served.handle("hello")
        _ = try await served.text(of: hello)
        let state = served.configuration.state
        let before = try SessionReport.read("s", in: state)
        #expect(before.bytes.touched == 13 && before.calls.client["READ"] == 1)
        try await served.stop()
        let directory = state.session("s")
        for name in ["history", "touched"] {
            let path = directory.appending(name).string
            var data = try Data(contentsOf: URL(filePath: path))
            data[data.count - 1] ^= 1
            try data.write(to: URL(filePath: path))
        }
        let damaged = try SessionReport.read("s", in: state)
        #expect(damaged.samples.isEmpty && damaged.notes.count == 2)

        let again = try await Served.start(
            served.configuration.image, in: served.folder)
        let events = try await again.proxy.status().events.map(\.message)
        #expect(events.contains { $0.contains("history was damaged") }, "\(events)")
        _ = try await again.text(of: try await again.handle("hello"))
        let after = try SessionReport.read("s", in: state)
        #expect(after.notes.isEmpty && after.bytes.touched == 13)
        #expect(after.calls.client["READ"] == 1)
        try await again.stop()
        #expect(try SessionReport.read("s", in: state).bytes == after.bytes)
    }

    @Test func aClientThatMountsAgainAndAgainIsOneMark() async throws {
        let served = try await Served.directory()
        for _ in 0..<5 { await (try await served.mount("s")).close() }
        let report = try SessionReport.read("s", in: served.configuration.state)
        #expect(report.marks.map(\.text) == ["mount by 127.0.0.1"])
        #expect(report.marks.first?.isMount == true)
        try await served.stop()
    }
}

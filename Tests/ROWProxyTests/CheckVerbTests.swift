import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

/// What `rowctl fsck` says and how it exits.
@Suite struct CheckVerbTests {
    private struct Bench {
        let folder: TemporaryDirectory
        let state: String
        let image: String
        var session: String { "\(state)/sessions/alice" }

        func run(_ arguments: String...) async throws -> Tool.Result {
            try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments + ["--state", state])
        }

        func serve() async throws -> (RowctlProcess, NFSClient) {
            let proxy = try await RowctlProcess.start([
                "serve", image, "--session", "alice", "--state", state, "--durability", "relaxed",
            ])
            return (proxy, try await NFSClient.connect(NFSURL(proxy.export.url)))
        }
    }

    /// A session `alice` with one new file, which nobody serves.
    private func bench() async throws -> Bench {
        let folder = try TemporaryDirectory("rowfs-fsck")
        let bench = Bench(
            folder: folder, state: folder.path("state"), image: try folder.directory("image"))
        let (proxy, client) = try await bench.serve()
        _ = try await client.create("new", "12345")
        let busy = try await bench.run("fsck", "alice")
        #expect(busy.status == .exited(1))
        #expect(busy.errors.hasPrefix("rowctl: ") && busy.errors.contains("in use"))
        await client.close()
        try await proxy.terminate()
        return bench
    }

    @Test func aSessionInOrderIsClean() async throws {
        let bench = try await bench()
        let result = try await bench.run("fsck", "alice")
        #expect(result.status == .exited(0))
        #expect(result.output == "session alice: clean\n" && result.errors.isEmpty)
        let json = try await bench.run("fsck", "alice", "--json")
        let report = try #require(
            JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        #expect((report["findings"] as? [Any])?.isEmpty == true)
        #expect((report["left"] as? [Any])?.isEmpty == true)
    }

    @Test func damageIsToldRepairedAndGone() async throws {
        let bench = try await bench()
        let shadow = "\(bench.session)/shadow/stranger"
        try Data("text".utf8).write(to: URL(fileURLWithPath: shadow))
        let found = try await bench.run("fsck", "alice")
        #expect(found.status == .exited(1) && found.errors.isEmpty)
        #expect(
            found.output.split(separator: "\n").map(String.init) == [
                "shadowForeign shadow/stranger: it is not a file of the session's making; it is moved aside",
                "session alice: 1 damaged; `rowctl fsck alice --repair` puts it right",
            ])
        #expect(FileManager.default.fileExists(atPath: shadow))

        let json = try await bench.run("fsck", "alice", "--json")
        #expect(json.status == .exited(1))
        let report = try #require(
            JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        let finding = try #require((report["findings"] as? [[String: Any]])?.first)
        #expect(finding["kind"] as? String == "shadowForeign")
        #expect(finding["object"] as? String == "shadow/stranger")
        #expect(finding["severity"] as? String == "damage")

        let repaired = try await bench.run("fsck", "alice", "--repair")
        #expect(repaired.status == .exited(0))
        let aside = "\(bench.session)/lost+found-1"
        let last = repaired.output.split(separator: "\n").last.map(String.init)
        #expect(
            last == "session alice: 1 damaged, none left; what was moved aside is in \(aside)")
        let kept = try String(contentsOfFile: aside + "/shadow/stranger", encoding: .utf8)
        #expect(kept == "text")
        #expect(try await bench.run("fsck", "alice").output == "session alice: clean\n")
    }

    @Test func aBrokenDatabaseIsServedAgainAfterARepair() async throws {
        let bench = try await bench()
        let path = URL(fileURLWithPath: "\(bench.session)/session.sqlite")
        var data = try Data(contentsOf: path)
        data.replaceSubrange(0..<100, with: Data(repeating: 0x5a, count: 100))
        try data.write(to: path)
        let refused = try await bench.run("serve", bench.image, "--session", "alice")
        #expect(refused.status == .exited(1))
        #expect(refused.errors.contains("rowctl fsck alice"), "\(refused.errors)")
        #expect(try await bench.run("fsck", "alice").status == .exited(1))
        #expect(try await bench.run("fsck", "alice", "--repair").status == .exited(0))
        let (proxy, client) = try await bench.serve()
        let found = try await client.lookup(NFS3.Filename("new"), in: client.rootHandle).success
        #expect(try await client.text(of: found.object) == "12345")
        await client.close()
        try await proxy.terminate()
    }

    @Test func aDatabaseThatIsMissingIsDamageToo() async throws {
        let bench = try await bench()
        try FileManager.default.removeItem(atPath: "\(bench.session)/session.sqlite")
        let found = try await bench.run("fsck", "alice")
        #expect(found.status == .exited(1) && found.output.contains("databaseMissing"))
        #expect(try await bench.run("fsck", "alice", "--repair").status == .exited(0))
        #expect(try await bench.run("fsck", "alice").status == .exited(0))
    }

    @Test func notesAreNoDamage() async throws {
        let bench = try await bench()
        try FileManager.default.removeItem(atPath: "\(bench.state)/images")
        let result = try await bench.run("fsck", "alice")
        #expect(result.status == .exited(0))
        #expect(result.output.hasPrefix("note: imageMissing "))
        #expect(result.output.hasSuffix("session alice: clean, 1 noted\n"))
    }

    @Test func whatCannotBeRepairedIsLeft() async throws {
        let bench = try await bench()
        let sqlite = try Tool.find("sqlite3")
        try await runTool(
            sqlite,
            [
                "\(bench.session)/session.sqlite", "INSERT INTO grdb_migrations VALUES ('999')",
            ])
        let result = try await bench.run("fsck", "alice", "--repair")
        #expect(result.status == .exited(1))
        #expect(result.output.contains("newerSchema"))
        #expect(result.output.hasSuffix("session alice: 1 damaged, 1 left\n"))
    }

    @Test(arguments: [
        (["fsck"], 64, "<name>"), (["fsck", "a", "b"], 64, "b"),
        (["fsck", "s", "--force"], 64, "--force"), (["fsck", "nothing"], 1, "nothing"),
        (["fsck", "../x"], 1, "session's name"),
    ])
    func wrongArgumentsAreExplainedInOneLine(
        arguments: [String], code: Int32, words: String
    ) async throws {
        let folder = try TemporaryDirectory("rowfs-fsck")
        let result = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"), arguments + ["--state", folder.path])
        #expect(result.status == .exited(code))
        #expect(result.errors.hasPrefix("rowctl: ") && result.errors.contains(words))
        #expect(result.errors.split(separator: "\n").count == 1 && result.output.isEmpty)
    }

    @Test func theHelpTellsANewcomerWhatItIsFor() async throws {
        let result = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"), ["help", "fsck"])
        #expect(result.status == .exited(0))
        for words in ["--repair", "lost+found-1", "Exit codes"] {
            #expect(result.output.contains(words))
        }
    }
}

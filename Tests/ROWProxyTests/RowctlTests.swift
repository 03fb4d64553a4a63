import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

/// What `rowctl` says to wrong arguments and failures: one line, and an exit code that tells which.
@Suite struct RowctlTests {
    private func run(_ arguments: String...) async throws -> Tool.Result {
        try await Tool.result(of: ProjectPaths.builtProgram("rowctl"), arguments)
    }

    @Test(arguments: [
        (["serve"], "<image>"), (["nothing"], "nothing"),
        (["serve", "/nonexistent", "--session", "s"], "/nonexistent"),
        (["serve", "nfs://", "--session", "s"], "nfs://host[:port]/export"),
        (["serve", "/", "--session", "a/b"], "session's name"),
        (["serve", "/", "--session", "s", "--listen", "0.0.0.0:0"], "--allow"),
        (["serve", "/", "--session", "s", "--listen", "::1:0"], "--listen"),
        (["serve", "/", "--session", "s", "--allow", "10.0.0.1/8"], "--allow"),
        (["serve", "/", "--session", "s", "--root", "maybe"], "--root"),
        (["serve", "/", "--session", "s", "--portmap", "--register"], "--register"),
        (["serve", "/", "--session", "s", "--durability", "maybe"], "--durability"),
        (["serve", "/", "--session", "s", "--listen", "127.0.0.1:65536"], "--listen"),
        (["serve", "/", "--session", "s", "--state"], "--state"),
        (["serve", "/", "--session", "s", "extra"], "extra"),
        (["serve", "", "--session", "s"], "neither a directory nor"),
        (["serve", "nfs://h/x?mountport=0", "--session", "s"], "mount port"),
        (["serve", "/", "--session", String(repeating: "s", count: 65)], "session's name"),
        (["serve", "/", "--session", "s\nt"], "session's name"),
        (["export"], "<directory>"), (["export", "/etc/passwd/x"], "neither a directory nor"),
        (["export", "nfs://127.0.0.1/x"], "directory"),
        (["mount"], "<image>"), (["mount", "/"], "<mountpoint>"),
        (["mount", "/nonexistent", "/mnt"], "/nonexistent"),
        (["mount", "/", "/nonexistent/mnt"], "/nonexistent"),
        (["mount", "/", "/mnt", "--session", "../x"], "--session"),
        (["mount", "/", "/mnt", "-o", "vers=4"], "'vers'"),
        (["umount"], "<mountpoint>"), (["umount", "/nonexistent/mnt"], "/nonexistent"),
        (["ls", "extra"], "extra"), (["ls", "--nothing"], "--nothing"),
        (["stat-session"], "<name>"), (["stat-session", "s", "--interval", "0"], "--interval"),
        (["stat-session", "s", "--interval", "x"], "--interval"),
        (["diff"], "<name>"), (["diff", "a", "b"], "b"), (["rm"], "<name>"),
        (["rm", "s", "--force"], "--force"), (["snapshot", "s"], "<tag>"),
        (["rollback", "s"], "<tag>"), (["clone", "s"], "<new>"), (["commit", "s"], "<directory>"),
        (["report"], "<name>"), (["report", "s", "--out"], "--out"), (["mark", "s"], "<text>"),
        (["mark", "s", ""], "printable"),
        (["snapshots"], "<name>"), (["snapshots", "s", "--remove"], "--remove"),
    ])
    func wrongArgumentsAreExplainedInOneLine(arguments: [String], words: String) async throws {
        let result = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"), arguments)
        #expect(result.status == .exited(64))
        #expect(result.errors.hasPrefix("rowctl: "))
        #expect(result.errors.contains(words), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
        #expect(result.output.isEmpty)
    }

    @Test func failuresAreExplainedInOneLine() async throws {
        let folder = try TemporaryDirectory("rowfs-rowctl")
        let port = LoopbackPort.free()
        let state = folder.path("state")
        let url = "nfs://127.0.0.1:\(port)/x?mountport=\(port)"
        let file = try folder.file("file", "")
        for (arguments, words) in [
            (["stat-session", "nothing", "--state", state], "no session 'nothing'"),
            (["diff", "nothing", "--state", state], "no session 'nothing'"),
            (["report", "nothing", "--state", state], "no session 'nothing'"),
            (["mark", "nothing", "boot", "--state", state], "no session 'nothing'"),
            (["rm", "nothing", "--yes", "--state", state], "no session 'nothing'"),
            (["stat-session", "../../etc", "--state", state], "session's name"),
            (["diff", ".", "--state", state], "session's name"),
            (["rm", "..", "--yes", "--state", state], "session's name"),
            (["umount", folder.path, "--state", state], "no session is mounted"),
            (["serve", url, "--session", "s", "--state", state], "127.0.0.1:\(port)"),
            (["serve", folder.path, "--session", "s", "--state", file], file),
            (["export", file, "--state", state], file),
        ] {
            let result = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments)
            #expect(result.status == .exited(1), "\(arguments)")
            #expect(result.errors.hasPrefix("rowctl: "))
            #expect(result.errors.contains(words), "\(arguments): \(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
    }

    @Test func sessionsAreListedComparedAndRemoved() async throws {
        let folder = try TemporaryDirectory("rowfs-rowctl")
        let state = folder.path("state")
        let image = try folder.directory("image")
        _ = try folder.file("image/old", "text")
        let proxy = try await RowctlProcess.start([
            "serve", image, "--session", "alice", "--state", state, "--durability", "relaxed",
        ])
        let client = try await NFSClient.connect(NFSURL(proxy.export.url))
        _ = try await client.create("new\u{1b}[31m", "12345")
        _ = try await client.rename(
            from: NFS3.DirectoryOperation(
                directory: client.rootHandle, name: NFS3.Filename("old")),
            to: NFS3.DirectoryOperation(
                directory: client.rootHandle, name: NFS3.Filename("moved"))
        ).success
        await client.close()
        let listed = try await run("ls", "--state", state).output.split(separator: "\n")
        #expect(listed.count == 2 && listed[0].hasPrefix("SESSION"))
        #expect(listed[1].hasPrefix("alice") && listed[1].contains("running"))
        let changes = ["renamed /moved (was /old)", "added /new\\u{1B}[31m"]
        let compared = try await run("diff", "alice", "--state", state).output
        #expect(compared.split(separator: "\n").map(String.init) == changes)
        let json = try await run("diff", "alice", "--state", state, "--json").output
        let decoded = try #require(
            JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]])
        #expect(decoded.map { $0["kind"] as? String } == ["renamed", "added"])
        #expect(decoded[0]["old_path"] as? String == "/old")
        let watched = try await Tool.result(
            of: Tool.find("timeout"),
            [
                "-s", "INT", "1", ProjectPaths.builtProgram("rowctl"), "stat-session", "alice",
                "--state", state, "--watch", "--json", "--interval", "0.1",
            ])
        let looks = watched.output.split(separator: "\n")
        #expect(looks.count > 1)
        for look in looks {
            let status = try JSONSerialization.jsonObject(with: Data(look.utf8))
            let stored = (status as? [String: Any])?["largest"] as? [[String: Any]]
            #expect(stored?.count == 1)
        }
        let refused = try await run("rm", "alice", "--yes", "--state", state)
        #expect(refused.status == .exited(1) && refused.errors.contains("in use"))
        try await proxy.terminate()

        let unsure = try await run("rm", "alice", "--state", state)
        #expect(unsure.status == .exited(64) && unsure.errors.contains("--yes"))
        let dry = try await run("rm", "alice", "--dry-run", "--state", state)
        #expect(dry.status == .exited(0) && dry.output.contains("would remove session alice"))
        #expect(try await run("rm", "alice", "--yes", "--state", state).status == .exited(0))
        #expect(try await run("ls", "--state", state, "--json").output.hasPrefix("["))
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(state)/sessions")
        #expect(left == [])
    }

    @Test func aSessionThatCannotBeReadIsListedAndCanBeRemoved() async throws {
        let folder = try TemporaryDirectory("rowfs-rowctl")
        let state = folder.path("state")
        _ = try folder.directory("state/sessions/broken")
        _ = try folder.file("state/sessions/broken/session.sqlite", "not a database at all")
        let listed = try await run("ls", "--state", state)
        #expect(listed.status == .exited(0))
        #expect(listed.output.contains("broken") && listed.output.contains("unreadable"))
        #expect(try await run("stat-session", "broken", "--state", state).status == .exited(1))
        let removed = try await run("rm", "broken", "--yes", "--state", state)
        #expect(removed.status == .exited(0) && removed.output.contains("cannot be read"))
    }

    @Test func helpAndVersionAreNoErrors() async throws {
        for arguments in [
            ["--help"], ["help", "serve"], ["--version"], ["serve", "--help"], ["help", "mount"],
            ["help", "umount"], ["help", "export"], ["help", "ls"], ["help", "stat-session"],
            ["help", "diff"], ["help", "rm"], ["help", "fsck"], ["help", "snapshot"],
            ["help", "snapshots"], ["help", "rollback"], ["help", "clone"], ["help", "commit"],
            ["help", "report"], ["help", "mark"], ["help", "netboot"],
        ] {
            let result = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments)
            #expect(result.status == .exited(0))
            #expect(!result.output.isEmpty && result.errors.isEmpty)
        }
    }
}

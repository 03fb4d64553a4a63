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
        (["export", "nfs://127.0.0.1/x"], "directory"),
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
        for result in [
            try await run("stat-session", "nothing", "--state", state),
            try await run("serve", url, "--session", "s", "--state", state),
        ] {
            #expect(result.status == .exited(1))
            #expect(result.errors.hasPrefix("rowctl: "))
            #expect(result.errors.split(separator: "\n").count == 1)
        }
    }

    @Test func helpAndVersionAreNoErrors() async throws {
        for arguments in [["--help"], ["help", "serve"], ["--version"], ["serve", "--help"]] {
            let result = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), arguments)
            #expect(result.status == .exited(0))
            #expect(!result.output.isEmpty && result.errors.isEmpty)
        }
    }
}

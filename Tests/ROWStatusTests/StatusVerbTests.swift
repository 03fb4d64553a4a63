import Foundation
import ROWTestKit
import Testing

/// `rowctl serve --http`, and the setting of the same name.
@Suite struct StatusVerbTests {
    /// Runs rowctl until it says where its status is shown, then `body`, then ends it.
    private func serving(
        _ arguments: [String], _ body: (_ port: Int, ChildProcess) async throws -> Void
    ) async throws {
        let child = try ChildProcess(try ProjectPaths.builtProgram("rowctl"), ["serve"] + arguments)
        let port = try await poll(for: "address of the status", within: .seconds(30)) {
            child.output.firstMatch(of: /status: http:\/\/127\.0\.0\.1:(\d+)\/\n/)
                .flatMap { Int($0.output.1) }
        }
        _ = try await poll(for: "ready line of rowctl", within: .seconds(30)) {
            child.output.contains("ready: ") ? true : nil
        }
        do {
            try await body(port, child)
        } catch {
            _ = try? await child.kill()
            throw error
        }
        #expect(try await child.terminate() == .exited(0))
        #expect(!LoopbackPort.isOpen(port))
    }

    @Test func aServedSessionIsShownOnLoopbackUnlessAnAddressIsGiven() async throws {
        let folder = try TemporaryDirectory("rowfs-status")
        let state = folder.path("state")
        let image = try folder.directory("image")
        try await serving([image, "--session", "s", "--state", state, "--http", "0"]) { port, _ in
            #expect(try await HTTP.get("/healthz", port: port).body == "ok\n")
            let json = try await HTTP.get("/status.json", port: port).body
            let told = try await RowctlProcess.run([
                "stat-session", "s", "--state", state, "--json",
            ])
            for text in [json, told] {
                #expect(text.contains("\"latency\"") && text.contains("\"session\""))
            }
            let metrics = Samples(try await HTTP.get("/metrics", port: port).body)
            #expect(metrics["rowfs_sessions{image=\"\(image)\"}"] == 1)
            #expect(metrics["rowfs_main_up{image=\"\(image)\",server=\"\(image)\"}"] == 1)
            // Another one is told so, before it serves anything.
            let other = try await Tool.result(
                of: try ProjectPaths.builtProgram("rowctl"),
                ["serve", image, "--session", "t", "--state", state, "--http", "\(port)"])
            #expect(other.status == .exited(1))
            #expect(other.errors.contains("another program has that port"))
        }
    }

    @Test func aServiceShowsAllItsImages() async throws {
        let folder = try TemporaryDirectory("rowfs-status")
        let (one, two) = (try folder.directory("one"), try folder.directory("two"))
        let file = try folder.file(
            "rowfs.yaml",
            """
            state: \(folder.path("state"))
            http: 127.0.0.1:0
            images:
              one:
                source: \(one)
                sessions: {a: , b: }
              two:
                source: \(two)
                sessions: {c: }

            """)
        try await serving(["--config", file]) { port, child in
            _ = try await poll(for: "all sessions", within: .seconds(30)) {
                let metrics = Samples(try await HTTP.get("/metrics", port: port).body)
                return metrics["rowfs_sessions{image=\"\(one)\"}"] == 2
                    && metrics["rowfs_sessions{image=\"\(two)\"}"] == 1 ? true : nil
            }
            // It stays where it is until the next start, and says so.
            let text = try String(contentsOfFile: file, encoding: .utf8)
            _ = try folder.file("rowfs.yaml", text.replacing("http: 127.0.0.1:0\n", with: ""))
            child.signal(SIGHUP)
            _ = try await poll(for: "word about what stays", within: .seconds(30)) {
                child.errors.contains("'http' stay") ? true : nil
            }
            #expect(try await HTTP.get("/healthz", port: port).body == "ok\n")
        }
    }

    @Test(arguments: ["nowhere", "127.0.0.1", "70000", ":80"])
    func whatIsNoAddressIsRefused(address: String) async throws {
        let result = try await Tool.result(
            of: try ProjectPaths.builtProgram("rowctl"),
            ["serve", "/", "--session", "s", "--http", address])
        #expect(result.status == .exited(64) && result.errors.contains("--http"))
    }
}

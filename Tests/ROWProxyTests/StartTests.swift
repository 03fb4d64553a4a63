import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWProxy
import ROWTestKit
import SystemPackage
import Testing

/// What stops a proxy from starting, and what it says then; what it tells while it runs.
@Suite struct StartTests {
    private func refusal(_ configuration: Proxy.Configuration) async -> String? {
        do {
            try await Proxy.start(configuration).stop()
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func aSessionThatRunsIsLocked() async throws {
        let served = try await Served.directory()
        let message = try #require(await refusal(served.configuration))
        #expect(message.contains("in use by another process"))
        try await served.stop()
        let again = try await Served.start(served.configuration.image, in: served.folder)
        try await again.stop()
    }

    @Test func aSessionStaysOnItsImage() async throws {
        let served = try await Served.directory()
        try await served.stop()
        var other = served.configuration
        other.image = .directory(FilePath(try served.folder.directory("other")))
        let message = try #require(await refusal(other))
        #expect(message.contains("image"))
    }

    @Test func aMainThatIsNotThereIsNamed() async throws {
        let folder = try TemporaryDirectory("rowfs-proxy")
        let port = LoopbackPort.free()
        let image = Proxy.Image.server(
            try NFSURL("nfs://127.0.0.1:\(port)/export?mountport=\(port)"))
        let message = try #require(
            await refusal(
                Proxy.Configuration(
                    image: image, session: "s",
                    state: StateDirectory(FilePath(folder.path("state"))))))
        #expect(message.contains("127.0.0.1:\(port)"))
        #expect(message.contains("Check"))
    }

    @Test func anExportThatIsNotThereIsNamed() async throws {
        let main = try await SimulatedNFSServer.start()
        let folder = try TemporaryDirectory("rowfs-proxy")
        let url = "nfs://127.0.0.1:\(main.port)/nothing?mountport=\(main.port)"
        let message = try #require(
            await refusal(
                Proxy.Configuration(
                    image: .server(try NFSURL(url)), session: "s",
                    state: StateDirectory(FilePath(folder.path("state"))))))
        #expect(message.contains("/nothing"))
        try await main.stop()
    }

    @Test func settingsThatCannotBeMeantAreRefused() async throws {
        let folder = try TemporaryDirectory("rowfs-proxy")
        let plain = Proxy.Configuration(
            image: .directory(FilePath(folder.path)), session: "s",
            state: StateDirectory(FilePath(folder.path("state"))))
        let cases: [(String, (inout Proxy.Configuration) -> Void)] = [
            ("--allow", { $0.host = "0.0.0.0" }),
            ("--allow", { $0.host = "::" }),
            ("--allow", { $0.portmap = Proxy.PortmapAddress(host: "0.0.0.0", port: 0) }),
            ("--register", { ($0.registers, $0.portmap) = (true, Proxy.PortmapAddress(port: 0)) }),
            ("session's name", { $0.session = "../x" }),
            ("session's name", { $0.session = "" }),
        ]
        for (words, change) in cases {
            var configuration = plain
            change(&configuration)
            let message = try #require(await refusal(configuration))
            #expect(message.contains(words), "\(message)")
        }
        #expect(!FileManager.default.fileExists(atPath: folder.path("state")))
    }

    @Test func aPortInUseIsNamed() async throws {
        let served = try await Served.directory()
        let other = try TemporaryDirectory("rowfs-proxy")
        var configuration = served.configuration
        configuration.state = StateDirectory(FilePath(other.path("state")))
        configuration.port = served.port
        let message = try #require(await refusal(configuration))
        #expect(message.contains(":\(served.port)") && message.contains("--listen"))
        try await served.stop()
    }

    @Test func changesSurviveARestartWithTheirHandles() async throws {
        let served = try await Served.directory()
        let file = try await served.create("kept", "text")
        let hello = try await served.handle("hello")
        let again = try await served.restarted()
        #expect(try await again.text(of: file) == "text")
        #expect(try await again.text(of: hello) == "hello, world\n")
        #expect(again.root == served.root)
        try await again.stop()
    }

    @Test func statusHasTheKeysThatOthersRelyOn() async throws {
        let served = try await Served.directory()
        let file = try await served.create("new", "text")
        _ = try await served.text(of: file)
        let name = served.configuration.session
        for isRunning in [true, false] {
            if !isRunning { try await served.stop() }
            let status = try ROWProxy.SessionStatus.read(name, in: served.configuration.state)
            let json = try JSONSerialization.jsonObject(with: JSONEncoder().encode(status))
            let top = try #require(json as? [String: Any])
            #expect(
                Set(top.keys) == [
                    "session", "image", "state", "durability", "uptime_seconds", "calls", "bytes",
                    "changed", "largest", "handles", "syncs", "main", "events", "last_seen",
                    "latency",
                ])
            #expect(top["state"] as? String == (isRunning ? "running" : "stopped"))
            func keys(_ name: String) -> Set<String> {
                Set((top[name] as? [String: Any] ?? [:]).keys)
            }
            #expect(keys("calls") == ["client", "main", "shadow", "main_checks"])
            #expect(
                keys("bytes") == [
                    "from_main", "to_client", "from_client", "shadow_stored", "cache_hit",
                ])
            #expect(keys("changed") == ["files", "blocks"])
            #expect(keys("latency") == ["client", "main"])
            let latency = try #require(top["latency"] as? [String: [String: [String: Any]]])
            #expect(
                Set(try #require(latency["client"]?["WRITE"]).keys) == [
                    "calls", "p50_ms", "p90_ms", "p99_ms", "max_ms",
                ])
            #expect(keys("syncs") == ["data", "directories", "databases"])
            let mains = try #require(top["main"] as? [[String: Any]])
            #expect(
                mains.allSatisfy {
                    Set($0.keys) == [
                        "server", "state", "last_error", "active", "round_trip_ms",
                    ]
                })
            #expect(status.calls.client["WRITE"] == 1)
            #expect(status.changed.files == 1)
            #expect(status.bytes.fromClient == 4)
        }
    }
}

import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWProxy

/// Starts while servers are away, and with servers that were added.
@Suite struct ReplicaStartTests {
    @Test func anImageThatIsKnownIsServedWithoutItsServer() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let directory = try await served.handle("directory")
        let listing = try await served.client.readdirplus(
            directory, cookie: 0, dircount: 8192, maxcount: 32768
        ).success
        try await Replicated.kill(main)
        let again = try await served.restarted()
        #expect(again.root == served.root)
        let known = try await again.client.readdirplus(
            directory, cookie: 0, dircount: 8192, maxcount: 32768
        ).success
        #expect(known.entries.map(\.name) == listing.entries.map(\.name))
        let file3 = try await again.handle("directory/file3")
        #expect(
            try await again.client.read(file3, offset: 0, count: 9).result.status == .jukebox)
        let state = try #require(try await again.proxy.status().main.first)
        #expect(state.state == "disconnected" && state.lastError != nil && !state.isActive)

        let back = try await SimulatedNFSServer.start(port: main.port)
        _ = try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
            () -> Bool? in
            let (result, data) = try await again.client.read(file3, offset: 0, count: 100)
            if result.status == .jukebox { return nil }
            #expect(String(buffer: data) == "this is file 3\n")
            return true
        }
        try await again.stop()
        try await back.stop()
    }

    @Test func anImageOfWhichNothingIsKnownNamesEachServerAndWhy() async throws {
        let folder = try TemporaryDirectory("rowfs-proxy")
        let ports = [LoopbackPort.free(), LoopbackPort.free()]
        let urls = try ports.map { try NFSURL("nfs://127.0.0.1:\($0)/export?mountport=\($0)") }
        var message = ""
        do {
            let served = try await Served.start(.servers(urls), in: folder)
            try await served.stop()
        } catch {
            message = "\(error)"
        }
        for port in ports { #expect(message.contains("Nobody listens at 127.0.0.1:\(port)")) }
        #expect(message.contains("nothing of it is known"))
    }

    @Test func theFirstStartTakesWhoeverAnswers() async throws {
        let main = try await SimulatedNFSServer.start()
        let port = LoopbackPort.free()
        let urls = [
            try NFSURL("nfs://127.0.0.1:\(port)/export?mountport=\(port)"),
            try NFSURL(main.export.url),
        ]
        let served = try await Served.start(
            .servers(urls), in: TemporaryDirectory("rowfs-proxy"))
        let hello = try await served.handle("hello")
        #expect(try await served.text(of: hello) == "hello, world\n")
        #expect(try await served.proxy.status().main.map(\.isActive) == [false, true])
        try await served.stop()
        try await main.stop()
    }

    @Test func aServerThatIsAddedLaterKeepsTheStateAndServesAlone() async throws {
        let main = try await SimulatedNFSServer.start()
        let folder = try TemporaryDirectory("rowfs-proxy")
        let served = try await Served.remote(main, in: folder)
        let hello = try await served.handle("hello")
        let made = try await served.create("made", "by the session")
        try await served.stop()
        try await Replicated.kill(main)

        let second = try await Replicated.server(1)
        let urls = try [main, second].map { try NFSURL($0.export.url) }
        let again = try await Served.start(.servers(urls), in: folder)
        #expect(try await again.handle("hello") == hello)
        #expect(try await again.text(of: hello) == "hello, world\n")
        #expect(try await again.text(of: made) == "by the session")
        let file3 = try await again.handle("directory/file3")
        try await again.stop()
        try await second.stop()

        // And back to the first one alone, which is still number 0.
        let back = try await SimulatedNFSServer.start(port: main.port)
        let last = try await Served.start(.servers([urls[0]]), in: folder)
        #expect(try await last.text(of: file3) == "this is file 3\n")
        #expect(try await last.text(of: hello) == "hello, world\n")
        try await last.stop()
        try await back.stop()
    }
}

import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWProxy
import ROWTestKit
import SystemPackage
import Testing

/// Which shadow server a session has, and who gets to know of it.
@Suite struct ShadowServerSettingTests {
    private func refusal(_ configuration: Proxy.Configuration) async -> String {
        do {
            try await Proxy.start(configuration).stop()
            return "was not refused"
        } catch {
            return "\(error)"
        }
    }

    @Test func aSessionRemembersItsServer() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        try await shadow.served.stop()
        let again = try await Served.start(
            shadow.served.configuration.image, in: shadow.served.folder)
        #expect(try await again.text(of: file) == "text")
        try await again.stop()
        try await shadow.server.stop()
    }

    @Test func aSessionIsNotMovedToAnotherServer() async throws {
        let shadow = try await ShadowServed.start()
        try await shadow.served.stop()
        let other = try await SimulatedNFSServer.start(.directory([]), isWritable: true)
        var configuration = shadow.served.configuration
        configuration.shadow = try NFSURL(other.export.url)
        let message = await refusal(configuration)
        #expect(message.contains("nfs://127.0.0.1:\(shadow.server.port)/export, not on"))
        #expect(message.contains("leave --shadow out"))
        #expect(other.listing("")?.isEmpty == true)
        try await other.stop()
        try await shadow.server.stop()
    }

    @Test func aSessionWithDataHereIsNotMovedToAServerButOneWithoutIs() async throws {
        let server = try await SimulatedNFSServer.start(.directory([]), isWritable: true)
        var served = try await Served.directory()
        try await served.stop()
        var configuration = served.configuration
        configuration.shadow = try NFSURL(server.export.url)
        #expect(await refusal(configuration) == "was not refused")
        #expect(server.listing("")?.count == 1)

        served = try await Served.directory()
        _ = try await served.create("new", "text")
        try await served.stop()
        configuration = served.configuration
        configuration.shadow = try NFSURL(server.export.url)
        #expect(await refusal(configuration).contains("--shadow cannot move it"))
        #expect(server.listing("")?.count == 1)
        try await server.stop()
    }

    @Test func aServerThatDoesNotLetUsWriteIsRefusedAtTheStart() async throws {
        let server = try await SimulatedNFSServer.start(.directory([]))
        let folder = try TemporaryDirectory("rowfs-proxy")
        var configuration = Proxy.Configuration(
            image: .directory(FilePath(try folder.directory("image"))), session: "s",
            state: StateDirectory(FilePath(folder.path("state"))))
        configuration.shadow = try NFSURL(server.export.url)
        #expect(await refusal(configuration).contains("check that it exports that for writing"))
        try await server.stop()
        configuration.shadow = try NFSURL("nfs://127.0.0.1:1/export?mountport=1")
        #expect(await refusal(configuration).contains("Nobody listens"))
    }

    @Test func aDirectoryOfAnotherSessionIsNotTaken() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        try await shadow.served.stop()
        // As if the numbers of two sessions were the same by chance.
        let database = shadow.served.folder.path("state/sessions/s/session.sqlite")
        try await runTool("sqlite3", [database, "DELETE FROM meta WHERE key = 'shadow_ready'"])
        #expect(await refusal(shadow.served.configuration).contains("shadow server"))
        #expect(try shadow.files().count == 1)
        try await runTool("sqlite3", [database, "INSERT INTO meta VALUES ('shadow_ready', '1')"])
        let again = try await Served.start(
            shadow.served.configuration.image, in: shadow.served.folder)
        #expect(try await again.text(of: file) == "text")
        try await again.stop()
        try await shadow.server.stop()
    }

    @Test func aGuestHasAServerOfItsOwn() async throws {
        let server = try await SimulatedNFSServer.start(.directory([]), isWritable: true)
        let served = try await Served.directory()
        var configuration = served.configuration
        configuration.session = "guest"
        configuration.shadow = try NFSURL(server.export.url)
        guard case .guest(let guest) = try await Proxy.serve(configuration) else {
            Issue.record("it started a process of its own")
            return
        }
        let client = try await Served.client(port: guest.port, "guest")
        let file = try await client.create("new", "of the guest")
        _ = try await served.create("new", "of the host")
        let directory = try #require(server.listing("")?.first?.name)
        let stored = try #require(server.listing(directory)?.first?.name)
        #expect(
            server.contents("\(directory)/\(stored)")?.prefix(12) == Array("of the guest".utf8)[...]
        )
        let status = try SessionStatus.read("guest", in: configuration.state)
        #expect(status.shadow?.state == "connected")
        #expect(try SessionStatus.read("s", in: configuration.state).shadow == nil)
        try await guest.leave()
        #expect(try await client.read(file, offset: 0, count: 1).result.status == .jukebox)
        await client.close()
        try await served.stop()
        try await server.stop()
    }

    @Test func programsWithoutAServerAreRefusedAndSnapshotsToo() async throws {
        let shadow = try await ShadowServed.start()
        _ = try await shadow.served.create("new", "text")
        let state = shadow.served.configuration.state
        let url = "nfs://127.0.0.1:\(shadow.server.port)/export"
        func message(_ body: () async throws -> Void) async -> String {
            do { try await body() } catch { return "\(error)" }
            return "was not refused"
        }
        #expect(
            await message { try state.takeSnapshot("one", of: "s") }.contains("no snapshots and"))
        #expect(
            await message { try state.clone("s", from: nil, to: "t") }.contains("no snapshots and"))
        try await shadow.served.stop()
        #expect(
            await message { try state.takeSnapshot("one", of: "s") }.contains("no snapshots and"))
        let directory = FilePath(shadow.served.folder.path("image"))
        let image = try await Image.open(
            try DirectorySource(directory), state: state.layout)
        let refusal = await message { _ = try await image.openSession("s") }
        #expect(refusal.contains("is on the NFS server \(url): only `rowctl serve`"))
        try await image.close()
        try await shadow.server.stop()
    }
}

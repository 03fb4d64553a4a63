import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// A proxy on a proxy: `rowctl serve --read-only` is the image of others.
@Suite struct GatewayTests {
    /// A gateway at a site in front of a main far away, and a session on it.
    private struct Chain {
        let main: SimulatedNFSServer
        let gateway: RowctlProcess
        let served: Served

        static func start() async throws -> Chain {
            let main = try await SimulatedNFSServer.start()
            let folder = try TemporaryDirectory("rowfs-gateway")
            let gateway = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "site", "--read-only", "--state",
                folder.path("gateway"),
            ])
            let served = try await Served.start(
                .server(try NFSURL(gateway.export.url)), in: folder)
            return Chain(main: main, gateway: gateway, served: served)
        }

        /// A client of the gateway itself.
        func client() async throws -> NFSClient {
            try await NFSClient.connect(NFSURL(gateway.export.url))
        }

        func stop() async throws {
            try await served.stop()
            try await gateway.terminate()
            try await main.stop()
        }
    }

    @Test func aGatewayRefusesChangesAndTheSessionOnItTakesThem() async throws {
        let chain = try await Chain.start()
        let served = chain.served
        let site = try await chain.client()
        let root = site.rootHandle
        let hello = try await site.lookup(NFS3.Filename("hello"), in: root).success.object
        let made = try await site.create(
            NFS3.Filename("new"), in: root, .unchecked(NFS3.SetAttributes(mode: 0o644)))
        #expect(made.status == .rofs)
        let written = try await site.write(
            hello, offset: 0, data: ByteBuffer(string: "J"), stable: .fileSync)
        #expect(written.status == .rofs)
        #expect(try await site.remove(NFS3.Filename("hello"), in: root).status == .rofs)
        let granted = try await site.access(root, [.read, .modify, .extend, .delete]).success
        #expect(granted.access == .read)

        let mine = try await served.handle("hello")
        _ = try await served.client.write(
            mine, offset: 0, data: ByteBuffer(string: "J"), stable: .fileSync
        ).success
        _ = try await served.create("new", "of the session")
        #expect(try await served.text(of: mine) == "Jello, world\n")
        #expect(try await site.text(of: hello) == "hello, world\n")
        #expect(
            try await site.lookup(NFS3.Filename("new"), in: root).status == .noent)
        await site.close()
        try await chain.stop()
    }

    @Test func aGatewayThatStartsAgainIsTheSameImage() async throws {
        let chain = try await Chain.start()
        let (main, served) = (chain.main, chain.served)
        let known = try await served.handle("directory/file3")
        #expect(try await served.text(of: known) == "this is file 3\n")
        let large = try await served.handle("large")
        var site = try await chain.client()
        let before = try await site.lookup(NFS3.Filename("large"), in: site.rootHandle).success
        let root = site.rootHandle
        await site.close()
        let lookups = main.calls(.lookup) + main.calls(.readdirplus)

        try await chain.gateway.kill()
        try await chain.gateway.restart()
        site = try await chain.client()
        #expect(site.rootHandle == root)
        let after = try await site.lookup(NFS3.Filename("large"), in: site.rootHandle).success
        #expect(after.object == before.object)
        #expect(after.attributes?.fileid == before.attributes?.fileid)
        #expect(after.attributes?.fsid == before.attributes?.fsid)
        #expect(try await site.getattr(before.object).status == .ok)
        await site.close()

        // The session goes on with the handles that it had, over a connection of its own making.
        let bytes = try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
            let (result, data) = try await served.client.read(large, offset: 0, count: 1 << 20)
            if result.status == .jukebox { return nil as [UInt8]? }
            _ = try result.success
            return Array(data.readableBytesView)
        }
        #expect(bytes == SimulatedTree.largeFile)
        #expect(try await served.text(of: known) == "this is file 3\n")
        let other = try await served.handle("directory/file4")
        #expect(try await served.text(of: other) == "this is file 4\n")
        let events = try await served.proxy.status().events.map(\.message)
        #expect(!events.contains { $0.contains("changed under us") }, "\(events)")
        // What the gateway knew of names it still knows.
        #expect(main.calls(.lookup) + main.calls(.readdirplus) == lookups)
        try await chain.stop()
    }
}

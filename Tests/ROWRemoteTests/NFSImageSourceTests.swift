import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import ROWRemote
import ROWTestKit
import SystemPackage
import Testing

/// An NFS server as an image, by a server in this process that can be made to misbehave.
@Suite struct NFSImageSourceTests {
    private let folder: TemporaryDirectory
    private let server: SimulatedNFSServer
    private let source: NFSImageSource

    init() async throws {
        folder = try TemporaryDirectory("rowfs-remote")
        server = try await SimulatedNFSServer.start()
        source = try Self.source(of: server)
    }

    private static func source(of server: SimulatedNFSServer) throws -> NFSImageSource {
        var options = NFSClient.Options()
        options.timeout = .seconds(30)
        options.connection.reconnection = .backoff(
            first: .milliseconds(5), maximum: .milliseconds(50))
        return NFSImageSource(try NFSURL(server.export.url), options: options)
    }

    private func open(_ source: NFSImageSource? = nil) async throws -> Image {
        var options = Image.Options()
        options.durability = .relaxed
        return try await Image.open(
            source ?? self.source, state: StateLayout(FilePath(folder.path("state"))),
            options: options)
    }

    private func code(_ body: () async throws -> Void) async -> ROWError.Code? {
        do { try await body() } catch { return (error as? ROWError)?.code }
        return nil
    }

    private func names(_ session: Session, _ path: FilePath) async throws -> [String] {
        try await session.list(path).compactMap { $0.path.lastComponent?.string }.sorted()
    }

    private let files = (0..<40).map { "file\($0)" }.sorted()

    @Test func theExportIsTheImageAndIsOnlyRead() async throws {
        let image = try await open()
        #expect(image.name == "nfs://127.0.0.1:\(server.port)/export")
        let session = try await image.openSession("s")
        #expect(
            try await names(session, "/") == ["directory", "empty", "hello", "large", "link"])
        #expect(try await names(session, "/directory") == files)
        #expect(try await session.readAll("/large") == SimulatedTree.largeFile)
        #expect(try await session.readAll("/empty").isEmpty)
        #expect(try await session.readLink("/link") == "directory/file7")
        #expect(await code { _ = try await session.attributes("/none") } == .status(.noent))
        try await session.write("HELLO".utf8, to: "/hello", at: 0)
        try await session.rename("/directory", to: "/moved")
        #expect(try await session.readAll("/hello") == Array("HELLO, world\n".utf8))
        #expect(
            try await session.diff().map(\.description) == [
                "changed /hello: content, modificationTime", "renamed /moved/ (was /directory)",
            ])
        for procedure in [NFS3.Procedure.write, .setattr, .create, .rename, .remove] {
            #expect(server.calls(procedure) == 0)
        }
        try await image.close()
        try await server.stop()
    }

    @Test func withoutReaddirplusNamesAreReadAndLookedUp() async throws {
        server.inject(.refuse(.notSupp), on: .readdirplus, times: .max)
        let image = try await open()
        let session = try await image.openSession("s")
        #expect(try await names(session, "/directory") == files)
        #expect(try await session.readAll("/directory/file3") == Array("this is file 3\n".utf8))
        #expect(server.calls(.readdir) >= 1 && server.calls(.lookup) >= 40)
        try await image.close()
        try await server.stop()
    }

    @Test func handlesOfAnEarlierLifeOfTheServerAreFoundAgain() async throws {
        let first = try await open()
        let session = try await first.openSession("s")
        _ = try await session.list("/directory")
        try await first.close()
        let port = server.port
        try await server.stop()
        let reborn = try await SimulatedNFSServer.start(port: port, handleTag: 0x99)
        let image = try await open(try Self.source(of: reborn))
        let again = try await image.openSession("s")
        #expect(try await again.readAll("/directory/file9") == Array("this is file 9\n".utf8))
        #expect(try await names(again, "/") == ["directory", "empty", "hello", "large", "link"])
        try await image.close()
        try await reborn.stop()
    }

    @Test func aServerThatComesBackUnderTheSourceIsMountedAnew() async throws {
        let image = try await open()
        let session = try await image.openSession("s")
        #expect(try await session.readAll("/hello").count == 13)
        let port = server.port
        try await server.stop()
        let reborn = try await SimulatedNFSServer.start(port: port, handleTag: 0x99)
        #expect(try await names(session, "/directory") == files)
        #expect(try await session.readAll("/hello").count == 13)
        try await image.close()
        try await reborn.stop()
    }

    @Test func aFileThatIsNotWhatItWasIsStale() async throws {
        let image = try await open()
        let session = try await image.openSession("s")
        #expect(try await session.attributes("/hello").size == 13)
        server.changeFile("hello", to: Array("other".utf8))
        #expect(await code { _ = try await session.readAll("/hello") } == .status(.stale))
        #expect(try await session.readAll("/directory/file1").count == 15)
        server.forget("directory/file2")
        #expect(
            await code { _ = try await session.readAll("/directory/file2") } != nil)
        try await image.close()
        try await server.stop()
    }

    @Test func aSilentServerIsJukeboxAndTheSessionGoesOn() async throws {
        let image = try await open()
        let session = try await image.openSession("s")
        _ = try await session.list("/")
        server.setSilent(true)
        #expect(await code { _ = try await session.list("/directory") } == .status(.jukebox))
        try await session.create("/mine")
        server.setSilent(false)
        #expect(try await names(session, "/directory") == files)
        try await image.close()
        try await server.stop()
    }

    @Test func anImageThatWasOpenBeforeOpensWithoutItsServer() async throws {
        let first = try await open()
        _ = try await first.openSession("s").list("/directory")
        try await first.close()
        try await server.stop()
        let image = try await open()
        let session = try await image.openSession("s")
        #expect(try await names(session, "/directory") == files)
        #expect(
            await code { _ = try await session.readAll("/directory/file1") } == .status(.jukebox))
        try await image.close()
    }

    @Test func lostConnectionsAndPlacesInListingsAreBridged() async throws {
        server.inject(.disconnect, on: .read, times: 1)
        server.inject(.disconnect, on: .lookup, times: 1)
        let image = try await open()
        let session = try await image.openSession("s")
        #expect(try await session.readAll("/large") == SimulatedTree.largeFile)
        #expect(try await names(session, "/directory") == files)
        try await image.close()
        try await server.stop()
    }

    @Test func whereRootIsRefusedTheOwnerAsks() async throws {
        server.inject(.refuse(.acces), on: .read, times: 1)
        var options = NFSClient.Options()
        options.credential = .none
        let image = try await open(
            NFSImageSource(try NFSURL(server.export.url), options: options))
        let session = try await image.openSession("s")
        #expect(try await session.readAll("/hello").count == 13)
        server.inject(.refuse(.acces), on: .read, times: 2)
        #expect(await code { _ = try await session.readAll("/hello") } == .status(.acces))
        try await image.close()
        try await server.stop()
    }

    @Test func aHostileListingIsAnErrorAndNotAnImage() async throws {
        let image = try await open()
        let session = try await image.openSession("s")
        server.inject(.truncate(to: 60), on: .readdirplus, times: 1)
        #expect(await code { _ = try await session.list("/directory") } == .status(.io))
        #expect(try await names(session, "/directory") == files)
        try await image.close()
        try await server.stop()
    }
}

import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

/// Every procedure, over the wire.
@Suite struct ProcedureTests {
    @Test func readingProceduresReturnWhatTheServerHas() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await NFSClient.connect(NFSURL(server.export.url))
        let root = client.rootHandle
        #expect(root == (try server.existing("")))

        try await client.null()
        let attributes = try await client.getattr(root).success.attributes
        #expect(attributes.type == .directory)
        let hello = try await client.lookup(NFS3.Filename("hello"), in: root).success
        #expect(hello.object == (try server.existing("hello")))
        #expect(hello.attributes?.size == 13)
        let rights = try await client.access(hello.object, [.read, .modify]).success.access
        #expect(rights == .read)
        let link = try await client.lookup(NFS3.Filename("link"), in: root).success.object
        #expect(
            try await client.readlink(link).success.data == NFS3.Path(Array("directory/file7".utf8))
        )
        let (result, data) = try await client.read(hello.object, offset: 7, count: 100)
        #expect(try result.success.eof)
        #expect(String(buffer: data) == "world\n")
        #expect(try await client.fsstat(root).success.tbytes == 1 << 30)
        #expect(try await client.fsinfo(root).success.rtmax == 1 << 20)
        #expect(try await client.pathconf(root).success.nameMax == 255)
        await client.close()
        try await server.stop()
    }

    @Test func listingsArePagedByTheirCookies() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        let directory = try server.existing("directory")
        let expected = [".", ".."] + (0..<40).map { "file\($0)" }

        var names: [String] = []
        var cookie: UInt64 = 0
        var verifier: UInt64 = 0
        var isComplete = false
        while !isComplete {
            let page = try await client.readdir(
                directory, cookie: cookie, cookieVerifier: verifier, count: 300
            ).success
            names += page.entries.map(\.name.description)
            cookie = page.entries.last?.cookie ?? cookie
            verifier = page.cookieVerifier
            isComplete = page.eof
        }
        #expect(names == expected)
        #expect(server.calls(.readdir) > 2)

        let whole = try await client.readdirplus(directory, dircount: 8192, maxcount: 65536).success
        #expect(whole.eof)
        #expect(whole.entries.map(\.name.description) == expected)
        #expect(whole.entries.allSatisfy { $0.attributes?.fileid == $0.fileid })
        #expect(whole.entries.last?.handle == (try server.existing("directory/file39")))
        let stale = try await client.readdir(
            directory, cookie: 3, cookieVerifier: 99, count: 300)
        #expect(stale.status == .badCookie)
        await client.close()
        try await server.stop()
    }

    @Test func statusesAreReturnedAndNotThrown() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        let root = client.rootHandle
        let hello = try server.existing("hello")
        let bad = try #require(NFS3.FileHandle([1, 2, 3]))

        #expect(try await client.lookup(NFS3.Filename("nothing"), in: root).status == .noent)
        #expect(try await client.lookup(NFS3.Filename("x"), in: hello).status == .notdir)
        #expect(try await client.getattr(bad).status == .badHandle)
        #expect(try await client.readlink(hello).status == .inval)
        let (result, data) = try await client.read(root, offset: 0, count: 10)
        #expect(result.status == .inval)
        #expect(data.readableBytes == 0)
        server.forget("hello")
        #expect(try await client.getattr(hello).status == .stale)
        await client.close()
        try await server.stop()
    }

    @Test func writingProceduresReachTheServerAndItsRefusalComesBack() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        let root = client.rootHandle
        let hello = try server.existing("hello")
        let attributes = NFS3.SetAttributes(mode: 0o600)
        let location = NFS3.DirectoryOperation(directory: root, name: NFS3.Filename("x"))

        // Payloads that are copied and those that travel as they are, with every padding.
        for count in [0, 1, 2, 3, 4, 8192, 8193, 70_001, 70_002, 70_003] {
            let data = ByteBuffer(repeating: 7, count: count)
            let result = try await client.write(hello, offset: 0, data: data, stable: .fileSync)
            #expect(result.status == .rofs, "\(count) bytes")
        }
        #expect(try await client.setattr(hello, attributes).status == .rofs)
        #expect(
            try await client.create(NFS3.Filename("x"), in: root, .unchecked(attributes)).status
                == .rofs)
        #expect(try await client.mkdir(NFS3.Filename("x"), in: root, attributes).status == .rofs)
        #expect(
            try await client.symlink(NFS3.Filename("x"), in: root, to: NFS3.Path([47])).status
                == .rofs)
        #expect(
            try await client.mknod(NFS3.Filename("x"), in: root, .fifo(attributes)).status == .rofs)
        #expect(try await client.remove(NFS3.Filename("x"), in: root).status == .rofs)
        #expect(try await client.rmdir(NFS3.Filename("x"), in: root).status == .rofs)
        #expect(try await client.rename(from: location, to: location).status == .rofs)
        #expect(try await client.link(hello, as: NFS3.Filename("x"), in: root).status == .rofs)
        #expect(try await client.commit(hello).status == .rofs)
        for procedure in NFS3.Procedure.allCases.dropFirst(7) where procedure.rawValue < 16 {
            #expect(server.calls(procedure) > 0, "\(procedure)")
        }
        await client.close()
        try await server.stop()
    }

    @Test(arguments: [1, 1000, 4096, 65536, 300_000])
    func aFileReadInPiecesOfAnySizeIsWhole(count: Int) async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        let size = count == 1 ? 2000 : SimulatedTree.largeFile.count
        let bytes = try await client.contents(
            of: server.existing("large"), size: size, count: count)
        #expect(bytes == Array(SimulatedTree.largeFile[..<size]))
        await client.close()
        try await server.stop()
    }

    @Test func callsAreCountedByProcedure() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        for _ in 0..<3 { _ = try await client.getattr(client.rootHandle) }
        _ = try await client.fsinfo(client.rootHandle)
        let statistics = try await client.statistics()
        #expect(statistics.callsByProcedure[Int(NFS3.Procedure.getattr.rawValue)] == 3)
        #expect(statistics.callsByProcedure[Int(NFS3.Procedure.fsinfo.rawValue)] == 1)
        #expect(statistics.callsByProcedure.reduce(0, +) == 4)
        #expect(statistics.bytesReceived > 3 * 116)
        #expect(statistics.reconnects == 0)
        await client.close()
        try await server.stop()
    }
}

import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

/// Against a server that others wrote. Needs root.
@Suite(.serialized) struct GaneshaTests {
    @Test func aTreeIsReadAsItIsOnDisk() async throws {
        let directory = try TemporaryDirectory("rowfs-nfsclient")
        let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 12) }
        try Data(large).write(to: directory.url.appendingPathComponent("large"))
        let many = try directory.directory("many")
        for index in 0..<300 {
            try Data("\(index)".utf8).write(to: URL(fileURLWithPath: "\(many)/name\(index)"))
        }
        let server = try await Ganesha.start(directory: directory.path)
        let client = try await NFSClient.connect(NFSURL(server.export.url))

        let file = try await client.lookup(NFS3.Filename("large"), in: client.rootHandle).success
        #expect(file.attributes?.size == 3_000_000)
        for count in [1 << 20, 65536, 10_000] {
            let bytes = try await client.contents(of: file.object, size: large.count, count: count)
            #expect(bytes == large, "READs of \(count)")
        }

        let listed = try await client.lookup(NFS3.Filename("many"), in: client.rootHandle).success
        var names: Set<String> = []
        var cookie: UInt64 = 0
        var verifier: UInt64 = 0
        var isComplete = false
        while !isComplete {
            let page = try await client.readdirplus(
                listed.object, cookie: cookie, cookieVerifier: verifier, dircount: 4096,
                maxcount: 8192
            ).success
            names.formUnion(page.entries.map(\.name.description))
            cookie = page.entries.last?.cookie ?? cookie
            verifier = page.cookieVerifier
            isComplete = page.eof
        }
        #expect(names.subtracting([".", ".."]) == Set((0..<300).map { "name\($0)" }))
        await client.close()
        try await server.stop()
    }

    @Test func everyProcedureThatChangesTheTreeWorks() async throws {
        let directory = try TemporaryDirectory("rowfs-nfsclient")
        let server = try await Ganesha.start(directory: directory.path, readOnly: false)
        let client = try await NFSClient.connect(NFSURL(server.export.url))
        let root = client.rootHandle
        func name(_ text: String) -> NFS3.Filename { NFS3.Filename(text) }

        let created = try await client.create(
            name("file"), in: root, .guarded(NFS3.SetAttributes(mode: 0o640))
        ).success
        let file = try #require(created.handle)
        let data = ByteBuffer(repeating: 5, count: 200_001)
        let written = try await client.write(file, offset: 3, data: data, stable: .unstable).success
        #expect(written.count == 200_001)
        let committed = try await client.commit(file).success
        #expect(committed.verifier == written.verifier)
        _ = try await client.setattr(file, NFS3.SetAttributes(size: 100_000)).success
        let attributes = try await client.getattr(file).success.attributes
        #expect(attributes.size == 100_000)
        #expect(attributes.mode == 0o640)
        let (result, tail) = try await client.read(file, offset: 99_998, count: 10)
        #expect(try result.success.eof)
        #expect(Array(tail.readableBytesView) == [5, 5])

        let made = try await client.mkdir(name("sub"), in: root, NFS3.SetAttributes(mode: 0o755))
        let sub = try #require(try made.success.handle)
        _ = try await client.symlink(name("link"), in: sub, to: NFS3.Path(Array("../file".utf8)))
            .success
        _ = try await client.mknod(name("fifo"), in: sub, .fifo(NFS3.SetAttributes(mode: 0o600)))
            .success
        _ = try await client.link(file, as: name("hard"), in: sub).success
        _ = try await client.rename(
            from: NFS3.DirectoryOperation(directory: root, name: name("file")),
            to: NFS3.DirectoryOperation(directory: sub, name: name("renamed"))
        ).success
        let entries = try FileManager.default.contentsOfDirectory(atPath: directory.path("sub"))
        #expect(Set(entries) == ["link", "fifo", "hard", "renamed"])
        for entry in entries { _ = try await client.remove(name(entry), in: sub).success }
        _ = try await client.rmdir(name("sub"), in: root).success
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        await client.close()
        try await server.stop()
    }

    @Test func aRestartInTheMiddleIsBridged() async throws {
        let directory = try TemporaryDirectory("rowfs-nfsclient")
        let path = try directory.file("file", "contents")
        let server = try await Ganesha.start(directory: directory.path)
        let client = try await NFSClient.connect(NFSURL(server.export.url))
        let name = NFS3.Filename(URL(fileURLWithPath: path).lastPathComponent)
        #expect(try await client.lookup(name, in: client.rootHandle).status == .ok)
        try await server.kill()
        let pending = Task { try await client.lookup(name, in: client.rootHandle).status }
        try await server.restart()
        #expect(try await pending.value == .ok)
        #expect(try await client.statistics().reconnects >= 1)
        await client.close()
        try await server.stop()
    }
}

import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

@testable import ROWCore
@testable import ROWProxy

/// An image with a manifest: names are answered from it, and what main sends is compared with it.
@Suite struct ManifestTests {
    private static let large: [UInt8] = (0..<700_000).map {
        UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9 &+ $0 >> 16)
    }

    private static func tree(
        large: [UInt8] = large, hello: String = "hello, world\n"
    ) -> SimulatedTree.Item {
        .directory([
            ("hello", .file(hello)), ("large", .file(large)), ("empty", .file("")),
            (
                "directory",
                .directory(
                    (0..<300).map { ("file\($0)", .file("this is file \($0)\n")) } + [
                        ("inner", .directory([("deep", .file("deep down"))]))
                    ])
            ),
            ("link", .symlink("directory/file7")),
        ])
    }

    private func status(
        _ served: Served,
        until isWanted: (ROWProxy.SessionStatus.Manifest) -> Bool = {
            $0.state == "loaded"
        }
    ) async throws -> ROWProxy.SessionStatus.Manifest {
        try await poll(for: "state of the manifest", within: .seconds(20)) {
            guard let status = try await served.proxy.status().manifest, isWanted(status) else {
                return nil
            }
            return status
        }
    }

    /// A machine that is busy with tests is no reason to begin again.
    private func serve(
        _ main: SimulatedNFSServer, in folder: TemporaryDirectory? = nil,
        _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Served {
        try await Served.remote(main, in: folder) {
            $0.mainTimeout = .seconds(15)
            configure(&$0)
        }
    }

    private func events(_ served: Served) async throws -> String {
        try await served.proxy.status().events.map(\.message).joined(separator: "\n")
    }

    private func read(_ served: Served, _ path: String) async throws -> [UInt8] {
        let file = try await served.handle(path)
        var bytes: [UInt8] = []
        while true {
            let (result, data) = try await served.client.read(
                file, offset: UInt64(bytes.count), count: 1 << 17)
            let ok = try result.success
            bytes += data.readableBytesView
            if ok.eof { return bytes }
        }
    }

    /// Every name below a directory, with its attributes.
    private func walk(
        _ served: Served, _ directory: NFS3.FileHandle, _ path: String = ""
    ) async throws -> [String: NFS3.Attributes] {
        var found: [String: NFS3.Attributes] = [:]
        var cookie: UInt64 = 0
        while true {
            let page = try await served.client.readdirplus(
                directory, cookie: cookie, dircount: 8192, maxcount: 32_768
            ).success
            for entry in page.entries where ![".", ".."].contains(entry.name.description) {
                let name = path + "/" + entry.name.description
                let handle = try #require(entry.handle)
                let attributes = try #require(entry.attributes)
                found[name] = attributes
                switch attributes.type {
                case .directory:
                    found.merge(try await walk(served, handle, name)) { $1 }
                case .symbolicLink: _ = try await served.client.readlink(handle).success
                default: break
                }
            }
            cookie = page.entries.last?.cookie ?? cookie
            if page.eof { return found }
        }
    }

    @Test func namesAreAnsweredWithoutMain() async throws {
        let sealed = try SealedTree(Self.tree())
        let main = try await SimulatedNFSServer.start(sealed.tree)
        let served = try await serve(main)
        let found = try await walk(served, served.root)
        // The manifest itself is not shown.
        #expect(found.count == 5 + 300 + 2)
        #expect(found["/directory/inner/deep"]?.size == 9)
        let absent = try await served.client.lookup(NFS3.Filename("no"), in: served.root)
        #expect(absent.status == .noent)
        #expect(
            try await served.client.lookup(NFS3.Filename(".rowfs"), in: served.root).status
                == .noent)
        #expect(main.calls(.readdirplus) + main.calls(.readdir) + main.calls(.readlink) == 0)
        // Those of the manifest's two files.
        #expect(main.manifestSearches == 1 && main.calls(.lookup) == 2)
        #expect(try await read(served, "large") == Self.large)
        #expect(try await read(served, "directory/file7") == Array("this is file 7\n".utf8))
        let status = try await status(served) { $0.state == "loaded" && $0.verified > 12 }
        #expect(status.root == sealed.report.rootHash && status.wrong == 0)
        // Restarted, main is asked for nothing that is known.
        let again = try await served.restarted()
        main.setSilent(true)
        let names = try await walk(again, again.root)
        #expect(names == found)
        #expect(try await read(again, "large") == Self.large)
        main.setSilent(false)
        #expect(main.manifestSearches == 1)
        try await again.stop()
        try await main.stop()
    }

    @Test func aReplicaThatLiesIsDropped() async throws {
        let sealed = try SealedTree(Self.tree())
        let replicated = try await Replicated.start(
            2, tree: sealed.tree, configure: { $0.cacheSize = ByteSize(bytes: 1 << 30) })
        let served = replicated.served
        try await replicated.waitUntil("connected", 0, 1)
        let liar = try #require(try await replicated.active)
        var bytes = Self.large
        bytes[400_000] ^= 1
        replicated.servers[liar].damageFile("large", to: bytes)
        #expect(try await read(served, "large") == Self.large)
        #expect(try await replicated.active == 1 - liar)
        #expect(try await events(served).contains("/large has other bytes there in block 6"))
        #expect(try await status(served) { $0.wrong > 0 }.state != "unusable")
        // It stays dropped as long as it lies.
        let wrong = try await status(served) { $0.wrong > 0 }.wrong
        _ = try await status(served) { $0.wrong > wrong + 1 }
        #expect(try await replicated.mains[liar].state == "refused")
        replicated.servers[liar].damageFile("large", to: Self.large)
        try await replicated.waitUntil("connected", liar)
        try await replicated.stop()
    }

    @Test func onlyOneServerAndItLies() async throws {
        let sealed = try SealedTree(Self.tree())
        let main = try await SimulatedNFSServer.start(sealed.tree)
        var bytes = Self.large
        bytes[5] ^= 1
        main.damageFile("large", to: bytes)
        let served = try await serve(main)
        let file = try await served.handle("large")
        let (wrong, _) = try await served.client.read(file, offset: 0, count: 4096)
        #expect(wrong.status == .io)
        #expect(try await events(served).contains("/large has other bytes there in block 0"))
        // The rest of it is right.
        let (right, data) = try await served.client.read(file, offset: 1 << 17, count: 4096)
        #expect(right.status == .ok)
        #expect(Array(data.readableBytesView) == Array(Self.large[1 << 17..<(1 << 17) + 4096]))
        main.damageFile("large", to: Self.large)
        #expect(try await read(served, "large") == Self.large)
        try await served.stop()
        try await main.stop()
    }

    @Test func anUpgradeFetchesWhatIsNew() async throws {
        let folder = try TemporaryDirectory("rowfs-proxy")
        let old = try await SimulatedNFSServer.start(try SealedTree(Self.tree()).tree)
        let first = try await serve(old, in: folder)
        #expect(try await read(first, "large") == Self.large)
        // What is kept is put down soon, for others.
        let index = try ChunkIndex(state: first.configuration.state.layout)
        for start in stride(from: 0, to: Self.large.count, by: 1 << 16) {
            let block = Self.large[start..<min(start + 1 << 16, Self.large.count)]
            let hash = block.withUnsafeBytes { ContentHash(of: $0) }
            try await poll(for: "block that others find", within: .seconds(20)) {
                index.place(of: hash).map { _ in () }
            }
        }
        // Both are served from the same state directory.
        var bytes = Self.large
        bytes[300_000] ^= 0xFF
        let sealed = try SealedTree(Self.tree(large: bytes, hello: "hello, all\n"))
        let new = try await SimulatedNFSServer.start(sealed.tree)
        let second = try await serve(new, in: folder) { $0.session = "other" }
        #expect(try await read(second, "large") == bytes)
        #expect(try await read(second, "hello") == Array("hello, all\n".utf8))
        let status = try await status(second)
        #expect(status.copied >= 10 && status.copiedBytes >= 9 << 16 && status.wrong == 0)
        let fetched = try await second.proxy.status().bytes.fromMain
        // The block, the small file, and the manifest unless pieces of it are as before.
        #expect(fetched >= 1 << 16 && fetched <= 1 << 16 + 11 + sealed.manifest.count)
        #expect(try await read(first, "large") == Self.large)
        try await second.stop()
        try await first.stop()
        try await old.stop()
        try await new.stop()
    }

    @Test func copiesAreComparedLikeAnythingElse() async throws {
        let folder = try TemporaryDirectory("rowfs-proxy")
        let main = try await SimulatedNFSServer.start(try SealedTree(Self.tree()).tree)
        let first = try await serve(main, in: folder)
        #expect(try await read(first, "large") == Self.large)
        // Says of a block that it is where another one lies.
        let block = Self.large[..<(1 << 16)].withUnsafeBytes { ContentHash(of: $0) }
        let other = Self.large[1 << 16..<2 << 16].withUnsafeBytes { ContentHash(of: $0) }
        let index = try ChunkIndex(state: first.configuration.state.layout)
        let place = try await poll(for: "block that others find", within: .seconds(20)) {
            index.place(of: block) == nil ? nil : index.place(of: other)
        }
        index.add(block, at: place)
        index.flush()
        try await first.stop()
        let sealed = try SealedTree(Self.tree(hello: "hello, all\n"))
        let new = try await SimulatedNFSServer.start(sealed.tree)
        let second = try await serve(new, in: folder) { $0.session = "other" }
        #expect(try await read(second, "large") == Self.large)
        #expect(try await status(second).copied == 10)
        try await second.stop()
        try await main.stop()
        try await new.stop()
    }

    @Test func aManifestThatComesLateKeepsIdsAndDoubtsBlocks() async throws {
        let sealed = try SealedTree(Self.tree())
        let main = try await SimulatedNFSServer.start(Self.tree())
        let served = try await serve(main)
        let before = try await walk(served, served.root)
        let hello = try await served.handle("hello")
        var bytes = Self.large
        bytes[200_000] ^= 1
        main.damageFile("large", to: bytes)
        // Nobody can know.
        #expect(try await read(served, "large") == bytes)
        try await served.stop()
        let port = main.port
        try await main.stop()
        let anew = try await SimulatedNFSServer.start(sealed.tree, port: port)
        let again = try await Served.start(served.configuration.image, in: served.folder)
        _ = try await status(again)
        let after = try await walk(again, again.root)
        #expect(after.mapValues(\.fileid) == before.mapValues(\.fileid))
        #expect(try await again.handle("hello") == hello)
        #expect(try await read(again, "large") == Self.large)
        #expect(
            try await events(again).contains(
                "the cache of /large is not what the manifest says in block 3"))
        try await again.stop()
        try await anew.stop()
    }

    @Test func anotherManifestThanWasSignedIsNotUsed() async throws {
        let sealed = try SealedTree(Self.tree())
        let other = try SealedTree(Self.tree(hello: "something else\n"))
        let main = try await SimulatedNFSServer.start(other.tree)
        let root = try sealed.root
        let served = try await serve(main) { $0.manifestRoot = root }
        let refused = try await served.client.lookup(NFS3.Filename("hello"), in: served.root)
        #expect(refused.status == .jukebox)
        #expect(try await events(served).contains("has another manifest than the image must have"))
        try await served.stop()
        try await main.stop()
    }

    @Test func aManifestThatIsNoneIsNotUsed() async throws {
        // The sums are right, what they are of is no database.
        let junk = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var sums = Array("rowfs manifest 1\n200000\n".utf8)
        for start in stride(from: 0, to: junk.count, by: 1 << 16) {
            sums += junk[start..<min(start + 1 << 16, junk.count)].withUnsafeBytes {
                ContentHash(of: $0).bytes
            }
        }
        let main = try await SimulatedNFSServer.start(
            SealedTree.adding(junk, sums, to: Self.tree()))
        let served = try await serve(main)
        #expect(try await read(served, "large") == Self.large)
        #expect(try await read(served, "directory/file9") == Array("this is file 9\n".utf8))
        #expect(try await events(served).contains("manifest is damaged, and not used any more"))
        #expect(try await served.proxy.status().manifest?.state == "unusable")
        try await served.stop()
        try await main.stop()
    }

    @Test func clientsWaitWhileTheManifestCannotBeHad() async throws {
        let sealed = try SealedTree(Self.tree())
        let main = try await SimulatedNFSServer.start(sealed.tree)
        main.inject(.refuse(.io), on: .read, times: 1_000_000, skipping: 1)
        let served = try await serve(main)
        let waiting = try await served.client.lookup(NFS3.Filename("hello"), in: served.root)
        #expect(waiting.status == .jukebox)
        main.clearFaults()
        #expect(try await read(served, "hello") == Array("hello, world\n".utf8))
        try await served.stop()
        try await main.stop()
    }
}

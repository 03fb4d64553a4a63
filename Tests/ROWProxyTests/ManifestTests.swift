import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWTestKit
import Testing

@testable import ROWProxy

/// An image with a manifest: names are answered from it, and what main sends is compared with it.
@Suite struct ManifestTests {
    private static let large: [UInt8] = (0..<700_000).map {
        UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9)
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
        _ served: Served, until isWanted: (ROWProxy.SessionStatus.Manifest) -> Bool = {
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
        let served = try await Served.remote(main)
        let found = try await walk(served, served.root)
        // The manifest itself is not shown.
        #expect(found.count == 5 + 300 + 2)
        #expect(found["/directory/inner/deep"]?.size == 9)
        #expect(try await served.client.lookup(NFS3.Filename("no"), in: served.root).status == .noent)
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
            3, tree: sealed.tree,
            changing: { servers in
                var bytes = Self.large
                bytes[400_000] ^= 1
                servers[0].damageFile("large", to: bytes)
                servers[1].damageFile("large", to: bytes)
            }, configure: { $0.cacheSize = ByteSize(bytes: 1 << 30) })
        let served = replicated.served
        _ = try await status(served)
        #expect(try await read(served, "large") == Self.large)
        let mains = try await replicated.mains
        #expect(mains[2].isActive)
        #expect(try await events(served).contains("/large has other bytes there in block 6"))
        #expect(try await status(served) { $0.wrong > 0 }.wrong >= 2)
        // It stays dropped as long as it lies.
        try await replicated.waitUntil("refused", 0, 1)
        replicated.servers[0].damageFile("large", to: Self.large)
        try await replicated.waitUntil("connected", 0)
        #expect(try await replicated.mains[1].state != "connected")
        try await replicated.stop()
    }

    @Test func onlyOneServerAndItLies() async throws {
        let sealed = try SealedTree(Self.tree())
        let main = try await SimulatedNFSServer.start(sealed.tree)
        var bytes = Self.large
        bytes[5] ^= 1
        main.damageFile("large", to: bytes)
        let served = try await Served.remote(main)
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
        let first = try await Served.remote(old, in: folder)
        #expect(try await read(first, "large") == Self.large)
        _ = try await status(first)
        // Still running: both are served from the same state directory.
        var bytes = Self.large
        bytes[300_000] ^= 0xFF
        let new = try await SimulatedNFSServer.start(
            try SealedTree(Self.tree(large: bytes, hello: "hello, all\n")).tree)
        let copied = try await poll(for: "blocks to copy", within: .seconds(30)) {
            let second = try await Served.remote(new, in: folder) { $0.session = "other" }
            #expect(try await read(second, "large") == bytes)
            let status = try await status(second)
            let before = new.calls(.read)
            #expect(try await read(second, "hello") == Array("hello, all\n".utf8))
            #expect(new.calls(.read) == before + 1)
            try await second.stop()
            return status.copied >= 10 ? status : nil
        }
        #expect(copied.copiedBytes >= 10 << 16)
        #expect(try await read(first, "large") == Self.large)
        try await first.stop()
        try await old.stop()
        try await new.stop()
    }

    @Test func aManifestThatComesLateKeepsIdsAndDoubtsBlocks() async throws {
        let sealed = try SealedTree(Self.tree())
        let main = try await SimulatedNFSServer.start(Self.tree())
        let served = try await Served.remote(main)
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
        let served = try await Served.remote(main) { $0.manifestRoot = root }
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
        let served = try await Served.remote(main)
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
        let served = try await Served.remote(main)
        let waiting = try await served.client.lookup(NFS3.Filename("hello"), in: served.root)
        #expect(waiting.status == .jukebox)
        main.clearFaults()
        #expect(try await read(served, "hello") == Array("hello, world\n".utf8))
        try await served.stop()
        try await main.stop()
    }
}

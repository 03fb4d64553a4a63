import CLinux
import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// What a seal writes of a tree, and what it refuses to.
@Suite struct ImageSealTests {
    @Test func everyObjectIsInTheManifestAsItIsInTheTree() throws {
        let tree = try SealedTree()
        try tree.fill()
        let report = try tree.seal()
        let reader = try tree.open().reader
        var seen: [UInt64: Int] = [:]
        var files: UInt64 = 0
        try walk(reader) { path, entry in
            var stat = clinux_stat()
            let full = Array(tree.path.string.utf8) + [UInt8(ascii: "/")] + path + [0]
            let code = full.withUnsafeBufferPointer {
                $0.withMemoryRebound(to: CChar.self) {
                    clinux_fstatat(AT_FDCWD, $0.baseAddress!, AT_SYMLINK_NOFOLLOW, &stat)
                }
            }
            try #require(code == 0)
            let real = try #require(NFS3.Attributes(stat))
            let found = entry.attributes
            #expect(found.type == real.type && found.mode == real.mode)
            #expect(found.uid == real.uid && found.gid == real.gid)
            #expect(found.mtime == real.mtime && found.ctime == real.mtime)
            #expect(found.nlink == real.nlink || found.type == .directory)
            #expect(found.fileid == entry.node && found.fsid == 0)
            seen[entry.node, default: 0] += 1
            switch found.type {
            case .symbolicLink:
                let text = try FileManager.default.destinationOfSymbolicLink(
                    atPath: String(decoding: full.dropLast(), as: UTF8.self))
                #expect(try reader.target(of: entry.node) == Array(text.utf8))
            case .regular:
                if seen[entry.node] == 1 { files += 1 }
                #expect(found.size == real.size)
                #expect(try hashes(reader, entry) == hashes(tree, path))
            default: #expect(try reader.target(of: entry.node) == nil)
            }
            #expect(try reader.find(path: path) == entry.node)
        }
        #expect(Set(seen.values) == [1, 3])
        #expect(seen.count + 1 == Int(reader.facts.nodes) && files == reader.facts.files)
        #expect(report.bytes == reader.facts.bytes && report.bytesRead == report.bytes)
        #expect(report.nodes == 17)
        // Two directories in the root, and one in one of them.
        #expect(try reader.root().attributes.nlink == 4)
        let directory = try #require(try reader.entry(in: 1, named: Array("d".utf8)))
        #expect(directory.attributes.nlink == 3)
        #expect(try reader.root().attributes.mtime.seconds == UInt32(SealedTree.time))
        let sums = Data(try [UInt8](Disk.contents(tree.sums.string)))
        #expect(
            report.rootHash == sums.withUnsafeBytes { ContentHash(of: $0).description })
        #expect(try tree.differences() == [])
    }

    private func walk(
        _ reader: ManifestReader, _ body: ([UInt8], ManifestEntry) throws -> Void
    ) throws {
        var waiting: [([UInt8], UInt64)] = [([], 1)]
        while let (path, directory) = waiting.popLast() {
            var last: [UInt8] = []
            while true {
                let page = try reader.page(of: directory, after: last, count: 2)
                for (name, entry) in page.entries {
                    let path = path.isEmpty ? name : path + [UInt8(ascii: "/")] + name
                    #expect(try reader.entry(in: directory, named: name) == entry)
                    try body(path, entry)
                    if entry.attributes.type == .directory { waiting.append((path, entry.node)) }
                    last = name
                }
                if page.isLast { break }
            }
        }
    }

    private func hashes(_ reader: ManifestReader, _ entry: ManifestEntry) throws -> [UInt8] {
        var all: [UInt8] = []
        var page: UInt64 = 0
        while let hashes = try reader.hashes(of: entry.node, page: page) {
            all += hashes
            page += 1
        }
        return all
    }

    private func hashes(_ tree: SealedTree, _ path: [UInt8]) throws -> [UInt8] {
        let full = Array(tree.path.string.utf8) + [UInt8(ascii: "/")] + path + [0]
        let fd = full.withUnsafeBufferPointer {
            $0.withMemoryRebound(to: CChar.self) { open($0.baseAddress!, O_RDONLY) }
        }
        try #require(fd >= 0)
        let handle = FileHandle(fileDescriptor: fd, closeOnDealloc: true)
        let data = try handle.readToEnd() ?? Data()
        return stride(from: 0, to: data.count, by: SealedTree.block).flatMap { start in
            data[start..<min(start + SealedTree.block, data.count)].withUnsafeBytes {
                ContentHash(of: $0).bytes
            }
        }
    }

    @Test func hashesAreSHA256() {
        let hash = Array("abc".utf8).withUnsafeBytes { ContentHash(of: $0) }
        #expect(
            hash.description == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(hash.bytes.withUnsafeBytes { ContentHash(bytes: $0) } == hash)
    }

    @Test func equalTreesHaveEqualManifestsHoweverTheyCameToBe() throws {
        let trees = [try SealedTree(), try SealedTree()]
        try trees[0].fill()
        try trees[1].file(Array("file".utf8), Array("something else before".utf8))
        try trees[1].seal()
        try trees[1].remove(Array("file".utf8))
        try trees[1].fill(isReversed: true)
        let reports = try trees.map { try $0.seal() }
        #expect(reports[0].rootHash == reports[1].rootHash)
        #expect(
            try Disk.contents(trees[0].manifest.string)
                == Disk.contents(trees[1].manifest.string))
        // A manifest that takes over the hashes of one before is the same, too.
        #expect(try trees[0].seal().rootHash == reports[0].rootHash)
        #expect(try trees[0].seal(from: .none).rootHash == reports[0].rootHash)
        // SQLite takes it for what it is, and it says nothing of who wrote it.
        let checked = try RawDatabase(path: trees[0].manifest.string)
            .rows("PRAGMA integrity_check")
        #expect(checked == [[.text(Array("ok".utf8))]])
        let header = try Disk.contents(trees[0].manifest.string).prefix(100)
        #expect(header[18] == 1 && header[19] == 1)
        #expect(header[96...] == Data([0, 0, 0, 0]))
    }

    @Test func holesAreNotReadAndHashAsZeros() throws {
        let sparse = try SealedTree()
        let name = Array("sparse".utf8)
        let count = 600 * SealedTree.block + 100
        try sparse.file(name, [])
        try #require(truncate(sparse.path.appending("sparse").string, count) == 0)
        let file = try SparseFile(path: sparse.path.appending("sparse"), create: false)
        for block in [3, 255, 256, 599] {
            try [1, 2, 3].withUnsafeBytes {
                try file.write($0, at: UInt64(block * SealedTree.block))
            }
        }
        try sparse.setTime(name)
        let report = try sparse.seal()
        #expect(report.chunks == 601 && report.bytesRead < 10 * UInt64(SealedTree.block))
        let dense = try SealedTree()
        let bytes = try Disk.contents(sparse.path.appending("sparse").string)
        try dense.file(name, Array(bytes))
        #expect(try dense.seal().rootHash == report.rootHash)
    }

    @Test func filesThatAreAsBeforeAreNotReadAgain() throws {
        let tree = try SealedTree()
        try tree.fill()
        let first = try tree.seal()
        let second = try tree.seal()
        #expect(second.bytesRead == 0 && second.rootHash == first.rootHash)
        try tree.file(Array("d/e/deep".utf8), Array("longer than it was".utf8))
        let third = try tree.seal()
        #expect(third.bytesRead == 18 && third.rootHash != first.rootHash)
        #expect(try tree.seal(from: .none).rootHash == third.rootHash)
        // What size and time do not show is what is trusted.
        try tree.file(Array("d/e/deep".utf8), Array("longer than it WAS".utf8))
        #expect(try tree.seal().rootHash == third.rootHash)
        #expect(try tree.differences().count == 1)
        let fourth = try tree.seal(from: .none)
        #expect(fourth.rootHash != third.rootHash && fourth.bytesRead == fourth.bytes)
    }

    @Test func hashesComeFromTheManifestOfAnotherTreeWhereThatIsAskedFor() throws {
        let (before, after) = (try SealedTree(), try SealedTree())
        try before.fill()
        try after.fill()
        try after.file(Array("new".utf8), [1, 2, 3])
        try before.seal()
        for place in [before.path, before.manifest] {
            let report = try after.seal(from: .at(place))
            #expect(report.bytesRead == 3)
        }
        let unsealed = try SealedTree()
        try unsealed.fill()
        #expect(throws: StateError.self) { try unsealed.seal(from: .at("/nothing/there")) }
        #expect(!Disk.exists(unsealed.manifest.removingLastComponent().string))
    }

    @Test(arguments: ["exact", "d"])
    func whatChangesMeanwhileIsAnErrorAndTheManifestBeforeStays(name: String) throws {
        let tree = try SealedTree()
        try tree.fill()
        let first = try tree.seal()
        var isChanged = false
        let error = #expect(throws: StateError.self) {
            try tree.seal(from: .none) { progress in
                // All has been found, and nothing read.
                guard progress.names == 18, !isChanged else { return }
                isChanged = true
                try? tree.file(Array((name == "d" ? "d/new" : name).utf8), [1, 2, 3])
            }
        }
        #expect(isChanged)
        #expect(error?.message.contains("\(tree.path)/\(name) changed") == true, "\(error!)")
        #expect(try tree.open().sums.rootHash.description == first.rootHash)
        #expect(try Disk.names(tree.manifest.removingLastComponent().string).count == 2)
    }

    @Test func whatASealThatWasCutOffLeftIsRemovedAndHurtsNothing() throws {
        let tree = try SealedTree()
        try tree.fill()
        let first = try tree.seal()
        let place = tree.manifest.removingLastComponent().string
        for name in ["manifest.sqlite.new", "manifest.sums.new", "seal.tmp"] {
            try Disk.write("\(place)/\(name)", Data(repeating: 1, count: 10_000))
        }
        #expect(try tree.open().sums.rootHash.description == first.rootHash)
        #expect(try tree.seal().rootHash == first.rootHash)
        #expect(try Disk.names(place) == ["manifest.sqlite", "manifest.sums"])
        // Between the two renames.
        let sums = try Disk.contents(tree.sums.string)
        try tree.file(Array("new".utf8), [1])
        try tree.seal()
        try Disk.write(tree.sums.string, sums)
        #expect(throws: StateError.self) { try tree.open() }
        let after = try tree.seal()
        #expect(after.note?.contains("cut off") == true && after.bytesRead == after.bytes)
        #expect(try tree.differences() == [])
    }

    @Test func aTreeIsSealedByOneAtATime() throws {
        let tree = try SealedTree()
        try tree.fill()
        var codes: [StateError.Code] = []
        try tree.seal { progress in
            // Also when it has begun to write.
            guard codes.isEmpty || (codes.count == 1 && progress.files > 0) else { return }
            do { try tree.seal() } catch { codes.append((error as? StateError)?.code ?? .io) }
        }
        #expect(codes == [.locked, .locked])
        #expect(try tree.differences() == [])
    }

    @Test func mountPointsAndSymbolicLinksAreNotGoneThrough() throws {
        let system = try TreeRoot("/")
        let error = #expect(throws: StateError.self) {
            try system.open(Array("proc".utf8), UInt64(O_RDONLY | O_DIRECTORY))
        }
        #expect(error?.message.contains("mount point") == true)
        let tree = try SealedTree()
        try tree.symbolicLink(Array("out".utf8), to: "/etc")
        let root = try TreeRoot(tree.path)
        for path in ["out", "out/passwd", "../x", "/etc"] {
            #expect(throws: StateError.self, "\(path)") {
                try root.open(Array(path.utf8), UInt64(O_RDONLY))
            }
        }
        #expect(throws: StateError.self) { try ImageSeal.run(tree.path.appending("none")) }
        try tree.file(Array(".rowfs".utf8), [1])
        #expect(throws: StateError.self) { try tree.seal() }
    }
}

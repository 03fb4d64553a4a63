import Foundation
import SystemPackage
import Testing

@testable import ROWCore

/// Every kind of difference between a tree and its manifest is told.
@Suite struct ImageVerificationTests {
    private func expect(
        _ differences: [String], after change: (SealedTree) throws -> Void
    ) throws {
        let tree = try SealedTree()
        try tree.fill()
        try tree.seal()
        try change(tree)
        for name in ["d/e", "d", "bare"] { try? tree.setTime(Array(name.utf8)) }
        let found = try tree.differences()
        #expect(found == differences)
    }

    private func name(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test func dataAndAttributes() throws {
        try expect(["/one-more: other data in 1 block of 64 KiB, from byte 65536 on"]) { tree in
            var bytes = SealedTree.content(SealedTree.block + 1)
            bytes[SealedTree.block] ^= 1
            try tree.file(name("one-more"), bytes)
        }
        try expect(["/long: other data in 2 blocks of 64 KiB, from byte 65536 on"]) { tree in
            var bytes = SealedTree.content(257 * SealedTree.block + 5)
            bytes[SealedTree.block] ^= 1
            bytes[256 * SealedTree.block] ^= 1
            try tree.file(name("long"), bytes)
        }
        try expect(["/empty: size was 0, is 2"]) { try $0.file(name("empty"), [1, 2]) }
        try expect(["/d/e/deep: mode was 644, is 4711"]) {
            try $0.mode(name("d/e/deep"), 0o4711)
        }
        try expect([
            "/empty: time of modification was 1700000000.000000007, is 5.000000007"
        ]) { try $0.setTime(name("empty"), 5) }
    }

    @Test func namesAndTypes() throws {
        try expect(["/d/e/more: is not in the manifest"]) {
            try $0.file(name("d/e/more"), [1])
        }
        try expect(["/d/to: is missing"]) { try $0.remove(name("d/to")) }
        try expect([
            "/: number of links was 4, is 3", "/bare: is missing, a directory with all below it",
        ]) {
            try $0.remove(name("bare"), flags: AT_REMOVEDIR)
        }
        try expect(["/d/to: points elsewhere"]) { tree in
            try tree.remove(name("d/to"))
            try tree.symbolicLink(name("d/to"), to: "../FILE")
        }
        try expect(["/fifo: was a fifo, is a file"]) { tree in
            try tree.remove(name("fifo"))
            try tree.file(name("fifo"), [])
        }
    }

    @Test func hardLinks() throws {
        try expect([
            "/again: number of links was 3, is 1", "/d/linked: is linked to other names",
            "/d/linked: number of links was 3, is 2", "/file: is linked to other names",
            "/file: number of links was 3, is 2",
        ]) { tree in
            try tree.remove(name("again"))
            try tree.file(name("again"), name("file!"))
        }
    }

    @Test func aTreeWithoutAManifestOrWithADamagedOneIsNotVerified() throws {
        let tree = try SealedTree()
        try tree.fill()
        let missing = #expect(throws: StateError.self) { try tree.differences() }
        #expect(missing?.code == .notFound)
        try tree.seal()
        var bytes = try Disk.contents(tree.manifest.string)
        bytes[bytes.count / 2] ^= 1
        try Disk.write(tree.manifest.string, bytes)
        let damaged = #expect(throws: StateError.self) { try tree.differences() }
        #expect(damaged?.code == .unreadable)
    }
}

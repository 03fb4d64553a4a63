import NFSProtocol
import Testing

@testable import ROWCore

/// Which object is which: numbers are used once, and hard links are one object.
@Suite struct IdentityTests {
    @Test func numbersAreNotUsedAgainAfterACrash() throws {
        let engine = try Engine(PlainMain(PlainTree()))
        var seen: Set<NodeID> = []
        for round in 0..<4 {
            for index in 0..<3 {
                let id = try engine.create(.root, "f\(round).\(index)")
                #expect(seen.insert(id).inserted)
                try engine.remove(.root, "f\(round).\(index)")
            }
            engine.crash()
            try engine.open()
        }
    }

    @Test func numbersAreNotUsedAgainAfterACommitFailedAndThenACrash() throws {
        let engine = try Engine(PlainMain(PlainTree()))
        let fault = try Fault(engine)
        try fault.on()
        #expect(throws: Refusal.self) { try engine.create(.root, "a") }
        try fault.off()
        // The reservation was in the transaction that failed; this one must make it again.
        let id = try engine.create(.root, "b")
        try engine.remove(.root, "b")
        engine.crash()
        try engine.open()
        #expect(try engine.create(.root, "c") > id)
    }

    @Test func cookiesAreNotUsedAgainAfterACrash() throws {
        let engine = try Engine(PlainMain(PlainTree()))
        var last: UInt64 = 0
        for round in 0..<4 {
            try engine.create(.root, "f\(round)")
            let cookie = try engine.page(.root, after: 2, count: 1).entries.first?.cookie ?? 0
            #expect(cookie > last)
            last = cookie
            try engine.remove(.root, "f\(round)")
            engine.crash()
            try engine.open()
        }
    }

    private static func linked() -> PlainTree {
        var tree = PlainTree()
        tree.make("d", .directory)
        let file = tree.make("one", data: Array("main".utf8))
        tree.hardLink(file, "d/two")
        tree.hardLink(file, "d/three")
        return tree
    }

    @Test func hardLinksInMainAreOneNode() throws {
        let engine = try Engine(PlainMain(Self.linked()))
        let id = try engine.lookup("one")
        #expect(try engine.lookup("d/two") == id)
        try engine.store(id, 0, Array("MAI".utf8))
        #expect(try engine.read(try engine.lookup("d/three")).bytes == Array("MAIn".utf8))
        try engine.restart()
        #expect(try engine.lookup("d/three") == id)
        #expect(try engine.read(id).bytes == Array("MAIn".utf8))
    }

    @Test func linksAreCountedDownToTheLastAndThenTheShadowGoes() throws {
        let engine = try Engine(PlainMain(Self.linked()))
        let id = try engine.lookup("one")
        let directory = try engine.lookup("d")
        try engine.store(id, 0, [1])
        let shadow = engine.shadowPath(id)
        try engine.link(id, .root, "four")
        #expect(try engine.attributes(id).nlink == 4)
        try engine.remove(.root, "one")
        try engine.remove(directory, "two")
        try engine.remove(directory, "three")
        #expect(try engine.attributes(id).nlink == 1)
        #expect(Disk.exists(shadow))
        try engine.remove(.root, "four")
        #expect(engine.status { s throws(Interrupt) in try s.attributes(of: id) } == .stale)
        #expect(!Disk.exists(shadow))
    }

    @Test func directoriesCountTheirSubdirectories() throws {
        var tree = PlainTree()
        tree.make("a", .directory)
        tree.make("a/b", .directory)
        tree.make("c", .directory)
        let engine = try Engine(PlainMain(tree))
        let (a, c) = (try engine.lookup("a"), try engine.lookup("c"))
        func counts() throws -> [UInt32] {
            try [.root, a, c].map { try engine.attributes($0).nlink }
        }
        #expect(try counts() == [4, 3, 2])
        try engine.rename(a, "b", c, "b")
        #expect(try counts() == [4, 2, 3])
        try engine.mkdir(a, "x")
        try engine.rename(a, "x", c, "b")
        #expect(try counts() == [4, 2, 3])
        try engine.rmdir(c, "b")
        #expect(try counts() == [4, 2, 2])
    }

    @Test func aMainThatDoesNotCountSubdirectoriesIsNotCountedBelowOne() throws {
        var tree = PlainTree()
        for name in ["a", "b", "c"] { tree.make(name, .directory) }
        tree[PlainTree.root].attributes.nlink = 1
        let engine = try Engine(PlainMain(tree))
        for name in ["a", "b", "c"] { try engine.rmdir(.root, name) }
        #expect(try engine.attributes(.root).nlink == 1)
        try engine.mkdir(.root, "d")
        #expect(try engine.attributes(.root).nlink == 1)
    }
}

import NFSProtocol
import Testing

@testable import ROWCore

/// Names: which can be used, and what creating, removing and renaming them leaves behind.
@Suite struct NameTests {
    private static func tree() -> PlainTree {
        var tree = PlainTree()
        tree.make("d", .directory)
        tree.make("d/e", .directory)
        tree.make("d/e/deep", data: [1])
        tree.make("d/file", data: Array("main".utf8))
        tree.make("f", data: Array("f".utf8))
        tree.make("empty", .directory)
        return tree
    }

    private let engine: Engine
    private let d: NodeID

    init() throws {
        engine = try Engine(PlainMain(Self.tree()))
        d = try engine.lookup("d")
    }

    private func refusal(_ body: () throws -> Void) -> NFS3.Status? {
        do { try body() } catch { return (error as? Refusal)?.status ?? .serverFault }
        return nil
    }

    private func creating(_ name: [UInt8]) -> NFS3.Status? {
        engine.status { session throws(Interrupt) in
            try session.create(.root, name, .guarded(NFS3.SetAttributes()), .root)
        }
    }

    // MARK: Which names

    /// A session that makes and removes files all the time does not grow.
    @Test func whatIsGoneTakesNoMemory() throws {
        let kept = try engine.create(.root, "kept")
        let count = engine.session.nodeCount
        var ids: [NodeID] = []
        for number in 0..<10 {
            ids.append(try engine.create(.root, "file\(number)"))
            ids.append(try engine.mkdir(.root, "directory\(number)"))
            try engine.remove(.root, "file\(number)")
            try engine.rmdir(.root, "directory\(number)")
        }
        try engine.run { _ throws(Interrupt) in }
        #expect(engine.session.nodeCount == count)
        for id in ids {
            #expect(engine.status { session throws(Interrupt) in try session.node(id) } == .stale)
        }
        #expect(try engine.attributes(kept).nlink == 1)
    }

    @Test func namesAre1To255BytesWithoutSlashAndNUL() throws {
        #expect(creating([]) == .inval)
        #expect(creating([UInt8](repeating: 65, count: 255)) == nil)
        #expect(creating([UInt8](repeating: 65, count: 256)) == .nameTooLong)
        #expect(creating(Array("a/b".utf8)) == .inval)
        #expect(creating([65, 0, 66]) == .inval)
        #expect(creating(Array(".".utf8)) == .exist)
        #expect(creating(Array("..".utf8)) == .exist)
        #expect(creating(Array("...".utf8)) == nil)
    }

    @Test func anyOtherBytesAreANameAndComeBackAsTheyWere() throws {
        let odd: [UInt8] = [0xff, 0xfe, 0x80, 0x0a, 0x20, 0xc3]
        #expect(creating(odd) == nil)
        try engine.restart()
        #expect(throws: Never.self) { try engine.lookup(.root, odd) }
        let listed = try engine.entries(.root)
        #expect(listed.contains { $0.name == odd })
    }

    @Test func namesThatCannotBeAreNotFoundAndNeverReachMain() throws {
        let main = try #require(engine.main as? PlainMain)
        let asked = main.fetches.count
        for name in ["d/file", "../f", "f\0", "/", ""] {
            let bytes = Array(name.utf8)
            #expect(refusal { _ = try engine.lookup(.root, bytes) } == .noent, "\(name)")
            #expect(refusal { try engine.remove(.root, name) } == .noent, "\(name)")
            #expect(refusal { try engine.rename(.root, name, .root, "x") } == .noent, "\(name)")
        }
        #expect(main.fetches.count == asked)
        let long = [UInt8](repeating: 65, count: 256)
        #expect(refusal { _ = try engine.lookup(.root, long) } == .nameTooLong)
    }

    @Test func dotAndDotDotAreLookedUpAndNeverRemovedOrRenamed() throws {
        #expect(try engine.lookup(d, [46]) == d)
        #expect(try engine.lookup(d, [46, 46]) == .root)
        #expect(try engine.lookup(.root, [46, 46]) == .root)
        #expect(refusal { try engine.remove(.root, ".") } == .inval)
        #expect(refusal { try engine.rmdir(d, ".") } == .inval)
        #expect(refusal { try engine.rmdir(d, "..") } == .exist)
        #expect(refusal { try engine.rename(d, ".", .root, "x") } == .inval)
        #expect(refusal { try engine.rename(d, "file", .root, "..") } == .inval)
    }

    // MARK: Whiteouts

    @Test func aNameMadeOverAWhiteoutIsNewAndEmpty() throws {
        let old = try engine.lookup("d/file")
        try engine.remove(d, "file")
        let new = try engine.create(d, "file")
        #expect(new != old)
        #expect(try engine.read(new).bytes.isEmpty)
        try engine.setSize(new, 10)
        #expect(try engine.read(new).bytes == [UInt8](repeating: 0, count: 10))
        try engine.restart()
        #expect(try engine.lookup("d/file") == new)
        #expect(try engine.read(new).bytes == [UInt8](repeating: 0, count: 10))
    }

    @Test func nothingOfMainShowsInADirectoryMadeOverAWhiteout() throws {
        let e = try engine.lookup("d/e")
        try engine.remove(e, "deep")
        try engine.rmdir(d, "e")
        let new = try engine.mkdir(d, "e")
        #expect(try engine.names(new).isEmpty)
        #expect(refusal { _ = try engine.lookup(new, Array("deep".utf8)) } == .noent)
        try engine.restart()
        #expect(try engine.names(try engine.lookup("d/e")).isEmpty)
    }

    @Test func aDirectoryIsEmptyOnceEverythingInItIsWhitedOut() throws {
        let e = try engine.lookup("d/e")
        #expect(refusal { try engine.rmdir(d, "e") } == .notEmpty)
        try engine.remove(e, "deep")
        try engine.create(e, "new")
        #expect(refusal { try engine.rmdir(d, "e") } == .notEmpty)
        try engine.remove(e, "new")
        try engine.restart()
        try engine.rmdir(try engine.lookup("d"), "e")
        #expect(try engine.names(d) == ["file"])
    }

    @Test func whatIsInADirectoryThatNobodyListedCountsToo() throws {
        #expect(refusal { try engine.rmdir(.root, "d") } == .notEmpty)
        try engine.mkdir(.root, "x")
        #expect(refusal { try engine.rename(.root, "x", .root, "d") } == .notEmpty)
        try engine.rename(.root, "x", .root, "empty")
        #expect(try engine.names(.root) == ["d", "empty", "f"])
    }

    // MARK: Rename

    @Test func anUnmodifiedDirectoryOfMainMovesByOneEntryAndOneWhiteout() throws {
        let main = try #require(engine.main as? PlainMain)
        let fetches = main.fetches.count
        try engine.rename(.root, "d", try engine.lookup("empty"), "moved")
        let fault = try Fault(engine)
        #expect(try fault.count("SELECT count(*) FROM delta") == 2)
        #expect(try fault.count("SELECT count(*) FROM delta WHERE child = 0") == 1)
        #expect(try fault.count("SELECT count(*) FROM content") == 0)
        #expect(try Disk.names(engine.sessionDirectory + "/shadow").isEmpty)
        #expect(main.fetches.count - fetches <= 2)
        #expect(main.reads.isEmpty)
        try engine.restart()
        #expect(try engine.lookup("empty/moved") == d)
        #expect(try engine.read(try engine.lookup("empty/moved/file")).bytes == Array("main".utf8))
        #expect(refusal { _ = try engine.lookup("d") } == .noent)
        #expect(try engine.lookup(d, [46, 46]) == (try engine.lookup("empty")))
    }

    @Test func aDirectoryCannotMoveIntoItself() throws {
        let e = try engine.lookup("d/e")
        #expect(refusal { try engine.rename(.root, "d", d, "x") } == .inval)
        #expect(refusal { try engine.rename(.root, "d", e, "x") } == .inval)
        let new = try engine.mkdir(e, "new")
        #expect(refusal { try engine.rename(d, "e", new, "x") } == .inval)
        #expect(try engine.lookup("d/e/new") == new)
    }

    @Test func renamingOntoAnotherLinkOfTheSameObjectDoesNothing() throws {
        let file = try engine.lookup("f")
        try engine.link(file, .root, "g")
        let before = try engine.attributes(.root)
        try engine.rename(.root, "f", .root, "g")
        try engine.rename(.root, "f", .root, "f")
        #expect(try engine.attributes(.root) == before)
        #expect(try engine.lookup("f") == file)
        #expect(try engine.lookup("g") == file)
    }

    @Test func directoriesReplaceDirectoriesAndOtherThingsReplaceOthers() throws {
        #expect(refusal { try engine.rename(.root, "f", .root, "empty") } == .isdir)
        #expect(refusal { try engine.rename(.root, "empty", .root, "f") } == .notdir)
        let replaced = try engine.lookup("d/file")
        try engine.rename(.root, "f", d, "file")
        #expect(engine.status { s throws(Interrupt) in try s.attributes(of: replaced) } == .stale)
        #expect(try engine.read(try engine.lookup("d/file")).bytes == Array("f".utf8))
    }

    @Test func whatWasMovedAwayCanBeMovedBack() throws {
        let file = try engine.lookup("f")
        try engine.rename(.root, "f", d, "f")
        try engine.rename(d, "f", .root, "f")
        try engine.restart()
        #expect(try engine.lookup("f") == file)
        #expect(try engine.names(.root) == ["d", "empty", "f"])
        #expect(try engine.names(d) == ["e", "file"])
    }
}

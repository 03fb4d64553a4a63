import NFSProtocol
import Testing

@testable import ROWCore

/// What clients may hold on to, and what becomes of handles that are not what they seem.
@Suite struct HandleTests {
    private let engine: Engine
    private let file: NodeID
    private let handle: [UInt8]

    init() throws {
        var tree = PlainTree()
        tree.make("file", data: [1, 2, 3])
        engine = try Engine(PlainMain(tree))
        file = try engine.lookup("file")
        handle = engine.session.handle(of: file).array
    }

    private func status(_ bytes: [UInt8]) throws -> NFS3.Status? {
        let handle = try #require(NFS3.FileHandle(bytes))
        return engine.status { session throws(Interrupt) in
            try session.attributes(of: try session.node(of: handle))
        }
    }

    @Test func aHandleHas32BytesAndNamesItsNode() throws {
        #expect(handle.count == 32)
        #expect(try status(handle) == nil)
    }

    @Test func anotherLengthVersionOrKindIsABadHandle() throws {
        for count in [0, 1, 31, 33, 64] {
            let bytes = Array((handle + handle)[..<count])
            #expect(try status(bytes) == .badHandle, "\(count) bytes")
        }
        for place in 0..<4 {
            var bytes = handle
            bytes[place] ^= 4
            #expect(try status(bytes) == .badHandle, "byte \(place)")
        }
    }

    @Test func oneFlippedBitAnywhereElseIsStale() throws {
        for bit in (4 * 8)..<(32 * 8) {
            var bytes = handle
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(try status(bytes) == .stale, "bit \(bit)")
        }
    }

    @Test func aForgedHandleIsStaleWhetherTheNodeIsInMemoryOrNot() throws {
        try engine.restart()
        var bytes = handle
        bytes[31] ^= 1
        #expect(try status(bytes) == .stale)
        #expect(try status(handle) == nil)
        #expect(try status(bytes) == .stale)
    }

    @Test func anotherSessionsHandleIsStale() throws {
        let other = try Engine(engine.main)
        let theirs = other.session.handle(of: try other.lookup("file"))
        #expect(try status(theirs.array) == .stale)
    }

    @Test func handlesOutliveRestartsAndCrashes() throws {
        let made = try engine.create(.root, "made")
        let madeHandle = engine.session.handle(of: made)
        try engine.restart()
        #expect(try status(handle) == nil)
        engine.crash()
        try engine.open()
        #expect(try status(handle) == nil)
        #expect(try status(madeHandle.array) == nil)
        #expect(try engine.attributes(made).fileid == made.rawValue)
    }

    @Test func whatWasRemovedIsStaleForEver() throws {
        let made = try engine.create(.root, "made")
        let madeHandle = engine.session.handle(of: made).array
        try engine.remove(.root, "made")
        try engine.remove(.root, "file")
        for _ in 0..<2 {
            #expect(try status(handle) == .stale)
            #expect(try status(madeHandle) == .stale)
            try engine.restart()
        }
    }

    @Test func renamingChangesNeitherNumberNorHandle() throws {
        try engine.rename(.root, "file", .root, "other")
        let found = try engine.lookup("other")
        #expect(found == file)
        #expect(engine.session.handle(of: found).array == handle)
    }
}

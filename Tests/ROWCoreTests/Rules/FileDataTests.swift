import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// READ, WRITE and truncation of files of main and of the session's own.
@Suite struct FileDataTests {
    private static let text = (0..<10_000).map { UInt8($0 % 251 + 1) }

    private let main: PlainMain
    private let engine: Engine
    private let file: NodeID

    init() throws {
        var tree = PlainTree()
        tree.make("file", mode: 0o666, data: Self.text)
        main = PlainMain(tree)
        engine = try Engine(main)
        file = try engine.lookup("file")
    }

    private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    @Test func aWriteReadsNothingOfMainAndTheReadAfterItShowsBoth() throws {
        try engine.store(file, 5000, Array("new".utf8))
        #expect(main.reads.isEmpty)
        let expected = Self.text[..<5000] + Array("new".utf8) + Self.text[5003...]
        #expect(try engine.read(file).bytes == Array(expected))
        try engine.restart()
        #expect(try engine.read(file).bytes == Array(expected))
    }

    @Test func growingAfterACutReadsZerosAndNeverTheOldBytes() throws {
        try engine.store(file, 0, [UInt8](repeating: 9, count: 9000))
        try engine.setSize(file, 100)
        try engine.setSize(file, 10_000)
        let expected = [UInt8](repeating: 9, count: 100) + zeros(9900)
        #expect(try engine.read(file).bytes == expected)
        try engine.restart()
        #expect(try engine.read(file).bytes == expected)
        try engine.store(file, 3000, [7])
        #expect(try engine.read(file, 2999, 3).bytes == [0, 7, 0])
    }

    @Test func ofMainsFileOnlyWhatWasNotCutShowsAgain() throws {
        try engine.setSize(file, 4097)
        try engine.setSize(file, 6000)
        #expect(try engine.read(file).bytes == Array(Self.text[..<4097]) + zeros(1903))
        #expect(main.reads.allSatisfy { $0.upperBound <= 4097 })
    }

    @Test func theFirstWriteIntoABlockWritesItsZerosToo() throws {
        let made = try engine.create(.root, "made")
        try engine.store(made, 100, [1])
        // Whatever a lost write left in the same block does not show.
        let shadow = try Disk.contents(engine.shadowPath(made))
        #expect(shadow.count == 4096)
        #expect(try engine.read(made).bytes == zeros(100) + [1])
        try engine.setSize(made, 4096)
        #expect(try engine.read(made).bytes == zeros(100) + [1] + zeros(3995))
    }

    @Test func anOverlongShadowIsOfNoConsequence() throws {
        let made = try engine.create(.root, "made")
        try engine.store(made, 0, [UInt8](repeating: 1, count: 5000))
        try engine.setSize(made, 50)
        let path = engine.shadowPath(made)
        try engine.close()
        try Disk.write(path, Data(repeating: 0xee, count: 20_000).replacing(0..<50, with: 1))
        try engine.open()
        try engine.setSize(made, 20_000)
        #expect(
            try engine.read(made).bytes == [UInt8](repeating: 1, count: 50) + zeros(19_950))
    }

    @Test func aShadowThatNothingRefersToIsRemovedWhenTheSessionIsOpened() throws {
        let made = try engine.create(.root, "made")
        try engine.store(made, 0, [1])
        try engine.write(file, 0, [1], .unstable)
        let (kept, orphan) = (engine.shadowPath(made), engine.shadowPath(file))
        #expect(Disk.exists(orphan))
        engine.crash()
        try engine.open()
        #expect(Disk.exists(kept))
        #expect(!Disk.exists(orphan))
        #expect(try engine.read(file).bytes == Self.text)
    }

    @Test func unstableWritesThatWereLostLeaveTheFileReadable() throws {
        try engine.write(file, 20_000, [1, 2, 3], .unstable)
        // This commits the node's row: the data must come along, or the row would tell of a size
        // whose bytes are on no record.
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o600))
        engine.crash()
        try engine.open()
        let (bytes, _) = try engine.read(file)
        #expect(bytes == Self.text + zeros(10_000) + [1, 2, 3])
    }

    @Test func aWriteThatCouldNotBeginLeavesTheFileReadable() throws {
        // A directory stands where the shadow is to be made.
        let path = engine.shadowPath(file)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(throws: Refusal(.io)) { try engine.write(file, 0, [1], .unstable) }
        try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o600))
        try FileManager.default.removeItem(atPath: path)
        engine.crash()
        try engine.open()
        #expect(try engine.read(file).bytes == Self.text)
        try engine.store(file, 0, [1])
        #expect(try engine.read(file, 0, 2).bytes == [1, Self.text[1]])
    }

    @Test func offsetsBeyondTheLargestFileAreRefused() throws {
        let limit = SessionState.sizeMaximum
        for offset in [limit, (1 << 63) - 1, 1 << 63, UInt64.max - 1, .max] {
            #expect(throws: Refusal(.fbig)) { try engine.write(file, offset, [1, 2]) }
            #expect(try engine.read(file, offset, 10).bytes.isEmpty)
            #expect(try engine.read(file, offset, 10).eof)
        }
        for size in [limit + 1, 1 << 63, UInt64.max] {
            #expect(throws: Refusal(.fbig)) { try engine.setSize(file, size) }
        }
        try engine.setSize(file, limit)
        #expect(try engine.attributes(file).size == limit)
        #expect(try engine.read(file, limit - 5, 100).bytes == zeros(5))
        try engine.restart()
        #expect(try engine.read(file, 9_998, 4).bytes == Array(Self.text[9998...]) + [0, 0])
    }

    @Test func aReadEndsAtTheEndAndSaysSo() throws {
        #expect(try engine.read(file, 9_990, 100).bytes == Array(Self.text[9990...]))
        #expect(try engine.read(file, 9_990, 10).eof)
        #expect(try !engine.read(file, 9_990, 9).eof)
        #expect(try engine.read(file, 10_000, 1).eof)
        #expect(try engine.read(file, 0, 0).bytes.isEmpty)
    }
}

extension Data {
    fileprivate func replacing(_ range: Range<Int>, with byte: UInt8) -> Data {
        var data = self
        for place in range { data[place] = byte }
        return data
    }
}

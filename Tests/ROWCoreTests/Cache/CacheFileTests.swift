import Foundation
import SystemPackage
import Testing

@testable import ROWCore

/// A cache file on a real file system, and all that can happen to it.
@Suite struct CacheFileTests {
    private static let block = Int(CacheLayout.blockBytes)

    private func content(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var randomness = Randomness(seed: seed)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &randomness) }
    }

    private struct Place {
        let scratch: CacheScratch
        let layout: CacheLayout
        let bytes: [UInt8]
        var path: FilePath { scratch.path.appending("file") }

        init(size: Int, _ bytes: [UInt8]) throws {
            layout = try CacheLayout.sample(7, size: UInt64(size))
            self.bytes = bytes
            scratch = try CacheScratch()
        }

        /// - Returns: the file, and how often it was found to be cut short.
        func open(
            _ other: CacheLayout? = nil, create: Bool = false
        ) throws -> (file: CacheFile?, lost: Int) {
            var lost = 0
            let file = try CacheFile.open(path, other ?? layout, create: create) { lost += 1 }
            return (file, lost)
        }

        /// A file with all blocks.
        func filled() throws -> CacheFile {
            let file = try #require(try open(create: true).file)
            _ = try bytes.withUnsafeBytes { try file.write(0..<layout.blockCount, $0) }
            return file
        }

        func read(
            _ file: CacheFile, _ block: UInt64
        ) throws -> (outcome: CacheFile.BlockRead, isRight: Bool) {
            let range = layout.bytes(of: block)
            var memory = [UInt8](repeating: 0xdd, count: range.count)
            let outcome = try memory.withUnsafeMutableBytes { try file.read(block, into: $0) }
            return (outcome, memory[...] == bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        }

        func resize(_ size: Int) throws {
            try #require(truncate(path.string, size) == 0)
        }

        func flip(bit: Int) throws {
            let handle = try FileHandle(forUpdating: URL(filePath: path.string))
            try handle.seek(toOffset: UInt64(bit / 8))
            let byte = try #require(try handle.read(upToCount: 1)?.first)
            try handle.seek(toOffset: UInt64(bit / 8))
            try handle.write(contentsOf: [byte ^ UInt8(1 << (bit % 8))])
            try handle.close()
        }
    }

    @Test(arguments: [1, 7, 8, 4096, block - 1, block, block + 1, 3 * block + 5])
    func whatIsWrittenIsReadAndIsThereWhenItIsOpenedAgain(size: Int) throws {
        let place = try Place(size: size, content(size))
        let layout = place.layout
        #expect(try place.open().file == nil)
        let file = try place.filled()
        #expect(file.isNew)
        for file in [file, try #require(try place.open().file)] {
            for block in 0..<layout.blockCount {
                let read = try place.read(file, block)
                #expect(read.outcome == .bytes && read.isRight)
            }
        }
        let again = try place.open(create: true)
        #expect(again.file?.isNew == false && again.lost == 0)
        let page = try #require(try again.file?.tablePage(0))
        var blocks = CachedBlocks()
        blocks.learn(page)
        for block in 0..<layout.blockCount { #expect(blocks.state(of: block) == .unchecked) }
        #expect(blocks.state(of: layout.blockCount) == .absent)
        #expect(UInt64(try file.allocatedBytes) >= UInt64(size))

        // Given up, one after the other.
        for block in 0..<layout.blockCount {
            let before = try file.allocatedBytes
            #expect(try file.drop([block]) <= before)
            #expect(try place.read(file, block).outcome == .absent)
        }
        #expect(try file.allocatedBytes <= 8192)
    }

    @Test func blocksOfAnotherIdentityOrPlaceAreNotTaken() throws {
        let size = 2 * Self.block
        let place = try Place(size: size, [UInt8](repeating: 3, count: size))
        let file = try place.filled()
        let others: [CacheLayout] = try [
            .sample(8, size: UInt64(size)), .sample(7, size: UInt64(size), mtime: 6),
            .sample(7, size: UInt64(size), nanoseconds: 1),
        ]
        for other in others {
            let opened = try place.open(other)
            #expect(opened.lost == 0)
            #expect(try place.read(try #require(opened.file), 1).outcome == .damaged)
            // It has taken the block away; put it back.
            _ = try place.bytes.withUnsafeBytes { try file.write(0..<2, $0) }
        }
        // The blocks are equal, and so are not their sums: an entry in another's place is wrong.
        let table = place.layout.entryOffset(of: 0)
        let handle = try FileHandle(forUpdating: URL(filePath: place.path.string))
        try handle.seek(toOffset: table)
        let entries = try #require(try handle.read(upToCount: 8))
        try handle.seek(toOffset: table)
        try handle.write(contentsOf: entries.suffix(4) + entries.prefix(4))
        #expect(try place.read(file, 0).outcome == .damaged)
        #expect(try place.read(file, 0).outcome == .absent)
        #expect(try place.read(file, 1).outcome == .damaged)
        // One of another size is no whole file.
        let longer = try place.open(.sample(7, size: UInt64(size) + 8))
        #expect(longer.file == nil && longer.lost == 1)
        #expect(try place.open().file == nil)
    }

    @Test func everyBitThatFlipsIsFoundOrMeansNothing() throws {
        let place = try Place(size: 100, content(100))
        let bits = Int(place.layout.fileBytes) * 8
        for bit in 0..<bits {
            let file = try place.filled()
            try place.flip(bit: bit)
            let read = try place.read(file, 0)
            let isOutside = (100 * 8..<104 * 8).contains(bit) || bit >= bits - 64
            #expect(read.outcome == (isOutside ? .bytes : .damaged), "bit \(bit)")
            #expect(read.isRight || read.outcome != .bytes)
            // It can be written anew.
            _ = try place.bytes.withUnsafeBytes { try file.write(0..<1, $0) }
            let again = try place.read(file, 0)
            #expect(again.outcome == .bytes && again.isRight)
            try FileManager.default.removeItem(atPath: place.path.string)
        }
    }

    @Test func aFileThatIsCutShortNeverShowsWhatItLost() throws {
        let size = Self.block + 300
        let place = try Place(size: size, content(size))
        let whole = Int(place.layout.fileBytes)
        var randomness = Randomness(for: 0x6375_7421)
        var lengths = [0, 1, Self.block - 1, Self.block, Self.block + 1, size - 1, size, size + 4]
        lengths += (1...20).map { whole - $0 } + (0..<40).map { _ in randomness.below(whole) }
        for length in lengths {
            let file = try place.filled()
            try place.resize(length)
            // Whatever is done to it: of the blocks, in an order of its own.
            for _ in 0..<4 {
                let block = UInt64(randomness.below(2))
                let range = place.layout.bytes(of: block)
                if Bool.random(using: &randomness) {
                    let part = place.bytes[Int(range.lowerBound)..<Int(range.upperBound)]
                    let result = try Array(part).withUnsafeBytes {
                        try file.write(block..<block + 1, $0)
                    }
                    #expect(result == nil, "\(length) \(randomness.note)")
                } else {
                    let read = try place.read(file, block)
                    #expect(read.outcome == .lost || (read.outcome == .bytes && read.isRight))
                }
                var memory = [UInt8](repeating: 0, count: range.count)
                let now = try memory.withUnsafeMutableBytes {
                    try file.readNowait(into: $0, at: range.lowerBound)
                }
                #expect(now == .lost, "\(length) \(randomness.note)")
            }
            let opened = try place.open(create: true)
            #expect(opened.lost == 1 && opened.file?.isNew == true, "\(length)")
            #expect(try place.read(try #require(opened.file), 0).outcome == .absent)
            try FileManager.default.removeItem(atPath: place.path.string)
        }
    }

    @Test func aFileThatIsCutAndMadeLongAgainWhileNobodyLooksHasNoWrongBytes() throws {
        let size = 2 * Self.block
        let place = try Place(size: size, content(size))
        for length in [0, 5, Self.block, Self.block + 9, size, size + 4, size + 8] {
            _ = try place.filled()
            try place.resize(length)
            try place.resize(Int(place.layout.fileBytes))
            let file = try #require(try place.open().file)
            for block in UInt64(0)..<2 {
                let read = try place.read(file, block)
                #expect(read.outcome != .bytes || read.isRight, "\(length)")
            }
            try FileManager.default.removeItem(atPath: place.path.string)
        }
    }

    @Test func theDirectoryKnowsItsFilesByTheirIDs() throws {
        let scratch = try Scratch()
        let directory = CacheDirectory(image: scratch.path)
        #expect(directory.scan().isEmpty)
        let ids: [UInt64] = [1, 0x1ff, 0xff, UInt64.max >> 1]
        for id in ids {
            let layout = try CacheLayout.sample(id, size: 10)
            #expect(try directory.open(layout, create: false) {} == nil)
            let file = try #require(try directory.open(layout, create: true) {})
            _ = try content(10).withUnsafeBytes { try file.write(0..<1, $0) }
        }
        #expect(Set(directory.scan().map(\.id.rawValue)) == Set(ids))
        #expect(directory.scan().allSatisfy { $0.allocated >= 4096 })
        directory.remove(NodeID(rawValue: 0x1ff))
        #expect(directory.scan().count == 3)
    }
}

/// A directory that goes with the last reference.
final class CacheScratch {
    let path: FilePath

    init() throws {
        path = FilePath(FileManager.default.temporaryDirectory.path).appending("rowfs-\(UUID())")
        try FileManager.default.createDirectory(
            atPath: path.string, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }
}

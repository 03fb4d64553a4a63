import Foundation
import ROWCore
import ROWTestKit
import Testing

@testable import ROWProxy

/// Distinct bytes that were asked for, against a set of all their blocks.
@Suite struct TouchedBlocksTests {
    private struct Block: Hashable {
        let file: Int
        let number: UInt64
    }

    @Test func whatWasAskedForCountsOnce() throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let size = TouchedBlocks.blockBytes
        let sizes = (0..<20).map { _ in UInt64.random(in: 1...3_000_000, using: &random) }
        var touched = TouchedBlocks()
        var expected: Set<Block> = []
        for _ in 0..<2000 {
            let file = Int.random(in: 0..<sizes.count, using: &random)
            let start = UInt64.random(in: 0..<sizes[file], using: &random)
            let count = UInt64.random(in: 1...(1 << 20), using: &random)
            let end = min(start + count, sizes[file])
            touched.insert(start..<end, of: NodeID(rawValue: UInt64(file) + 1)) { sizes[file] }
            for number in start / size...(end - 1) / size {
                expected.insert(Block(file: file, number: number))
            }
            let bytes = expected.reduce(0) {
                $0 + Int(min(size, sizes[$1.file] - $1.number * size))
            }
            guard touched.bytes == bytes else {
                Issue.record("\(touched.bytes) are not \(bytes), \(seed)")
                return
            }
        }
        #expect(!touched.isFull)
        let read = try TouchedBlocks(file: touched.file)
        #expect(read == touched, "\(seed)")
        var damaged = touched.file
        damaged[damaged.count / 2] ^= 1
        #expect(throws: CheckedBytes.Damaged.self) { try TouchedBlocks(file: damaged) }
    }

    @Test func smallFilesCountTheirBytesAndEmptyRangesNothing() {
        var touched = TouchedBlocks()
        touched.insert(0..<13, of: NodeID(rawValue: 5)) { 13 }
        #expect(touched.bytes == 13)
        touched.insert(7..<7, of: NodeID(rawValue: 6)) { 13 }
        touched.insert(0..<13, of: NodeID(rawValue: 5)) { 13 }
        #expect(touched.bytes == 13)
        // A part of a block of a longer file.
        touched.insert(0..<13, of: NodeID(rawValue: 7)) { 100_000 }
        #expect(touched.bytes == 13 + 4096)
    }

    @Test func thereIsABoundAndItIsTold() {
        var touched = TouchedBlocks()
        let files = UInt64(TouchedBlocks.wordsMaximum)
        for file in 0..<files { touched.insert(0..<4096, of: NodeID(rawValue: file + 1)) { nil } }
        #expect(!touched.isFull && touched.bytes == Int(files) * 4096)
        touched.insert(0..<4096, of: NodeID(rawValue: files + 1)) { nil }
        #expect(touched.isFull && touched.bytes == Int(files) * 4096)
    }
}

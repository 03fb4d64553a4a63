import SystemPackage
import Testing

@testable import ROWCore

/// Several parts of a file in one go, whatever lies between them.
@Suite struct ScatteredReadTests {
    private static let fileBytes = 200_000

    private func file(_ scratch: borrowing Scratch) throws -> (SparseFile, [UInt8]) {
        let file = try SparseFile(path: scratch.path.appending("f"), create: true)
        let bytes = (0..<Self.fileBytes).map { UInt8(truncatingIfNeeded: $0 * 31 >> 3) }
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
        return (file, bytes)
    }

    /// Reads ranges and holds them against what the file has, with zeros past its end.
    private func check(_ ranges: [Range<Int>], _ file: SparseFile, _ bytes: [UInt8]) throws {
        let total = ranges.reduce(0) { $0 + $1.count }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: total, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0xee)
        var parts = ScatteredRead(reserving: ranges.count)
        var place = 0
        for range in ranges {
            parts.append(
                UnsafeMutableRawBufferPointer(rebasing: memory[place..<place + range.count]),
                at: UInt64(range.lowerBound))
            place += range.count
        }
        #expect(try parts.readNowait(file, gaps: .dropped) == .bytes(total))
        let expected = ranges.flatMap { range in
            range.map { $0 < bytes.count ? bytes[$0] : 0 }
        }
        #expect(memory.elementsEqual(expected), "\(ranges)")
        try checkInPlace(ranges, file, bytes)
    }

    /// The same with parts that lie as far apart in memory as in the file.
    private func checkInPlace(_ ranges: [Range<Int>], _ file: SparseFile, _ bytes: [UInt8]) throws {
        guard let first = ranges.first?.lowerBound, let end = ranges.last?.upperBound else {
            return
        }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: end - first, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0xee)
        var parts = ScatteredRead(reserving: ranges.count)
        for range in ranges {
            let place = range.lowerBound - first..<range.upperBound - first
            parts.append(
                UnsafeMutableRawBufferPointer(rebasing: memory[place]),
                at: UInt64(range.lowerBound))
        }
        let total = ranges.reduce(0) { $0 + $1.count }
        #expect(try parts.readNowait(file, gaps: .inPlace) == .bytes(total))
        for range in ranges {
            let expected = range.map { $0 < bytes.count ? bytes[$0] : 0 }
            let place = range.lowerBound - first..<range.upperBound - first
            #expect(memory[place].elementsEqual(expected), "\(range) of \(ranges)")
        }
    }

    @Test func partsComeFromTheirPlaces() throws {
        let scratch = try Scratch()
        let (file, bytes) = try file(scratch)
        let gap = ScatteredRead.gapMaximum
        try check([], file, bytes)
        try check([5..<17], file, bytes)
        try check([0..<4096, 8192..<12288, 12288..<12289, 16384..<20480], file, bytes)
        try check([0..<10, 10 + gap..<20 + gap, 21 + 2 * gap..<30 + 2 * gap], file, bytes)
        try check((0..<900).map { $0 * 200..<$0 * 200 + 100 }, file, bytes)
    }

    @Test func pastTheEndThereAreZeros() throws {
        let scratch = try Scratch()
        let (file, bytes) = try file(scratch)
        let end = Self.fileBytes
        try check([end - 10..<end + 10, end + 20..<end + 30], file, bytes)
        try check([end - 30..<end - 20, end - 10..<end, end + 1000..<end + 1010], file, bytes)
    }
}

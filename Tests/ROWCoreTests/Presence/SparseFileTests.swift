import Foundation
import SystemPackage
import Testing

@testable import ROWCore

/// A directory of its own for one test, on the disk that holds temporary files.
struct Scratch: ~Copyable {
    let path: FilePath

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "rowfs-\(UUID())")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = FilePath(url.path())
    }

    deinit { try? FileManager.default.removeItem(atPath: path.string) }
}

@Suite struct SparseFileTests {
    private func read(_ file: SparseFile, _ range: Range<UInt64>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xdd, count: range.count)
        try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: range.lowerBound) }
        return bytes
    }

    private func write(
        _ file: SparseFile, _ bytes: [UInt8], at offset: UInt64,
        zeros: LayerMap.ZeroFill = .none
    ) throws {
        try bytes.withUnsafeBytes { try file.write($0, at: offset, zeros: zeros) }
    }

    @Test func zerosGoWhereTheWriteWantsThem() throws {
        let scratch = try Scratch()
        let file = try SparseFile(path: scratch.path.appending("a"), create: true)
        try write(file, [UInt8](repeating: 9, count: 4096), at: 0)
        try write(
            file, [1, 2], at: 100, zeros: LayerMap.ZeroFill(before: 90..<100, after: 102..<110))
        try write(file, [3], at: 200, zeros: LayerMap.ZeroFill(before: nil, after: 210..<220))
        let wanted: [UInt8] =
            [UInt8](repeating: 0, count: 10) + [1, 2] + [UInt8](repeating: 0, count: 8) + [9]
        #expect(try read(file, 90..<111) == wanted)
        #expect(
            try read(file, 199..<221)
                == [9, 3] + [UInt8](repeating: 9, count: 9) + [UInt8](repeating: 0, count: 10)
                + [9])
        #expect(try file.size == 4096)
    }

    @Test func bytesPastTheEndReadAsZeros() throws {
        let scratch = try Scratch()
        let file = try SparseFile(path: scratch.path.appending("a"), create: true)
        try write(file, [7, 8], at: 10)
        #expect(try read(file, 10..<14) == [7, 8, 0, 0])
        #expect(try read(file, 5000..<5002) == [0, 0])
        var bytes: [UInt8] = [1, 1, 1, 1]
        let outcome = try bytes.withUnsafeMutableBytes { try file.readNowait(into: $0, at: 11) }
        // A file system without such reads says that it would block.
        #expect(outcome == .bytes(4) || outcome == .wouldBlock)
        if outcome == .bytes(4) { #expect(bytes == [8, 0, 0, 0]) }
    }

    @Test func aReadWithoutWaitingIsWholeOrRefused() throws {
        let scratch = try Scratch()
        let file = try SparseFile(path: scratch.path.appending("a"), create: true)
        let data = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try write(file, data, at: 0)
        try file.sync()
        _ = posix_fadvise(file.descriptor.rawValue, 4096 * 8, 0, POSIX_FADV_DONTNEED)
        var bytes = [UInt8](repeating: 0, count: data.count)
        let outcome = try bytes.withUnsafeMutableBytes { try file.readNowait(into: $0, at: 0) }
        if outcome == .bytes(data.count) { #expect(bytes == data) }
        #expect(try read(file, 0..<200_000) == data)
    }

    @Test func cuttingAndPunchingLeaveZerosAndFreeStorage() throws {
        let scratch = try Scratch()
        let file = try SparseFile(path: scratch.path.appending("a"), create: true)
        try write(file, [UInt8](repeating: 5, count: 1 << 20), at: 0)
        try file.sync()
        let full = try file.allocatedBytes
        #expect(full >= 1 << 20)
        try file.punch(4096..<1 << 19)
        #expect(try file.allocatedBytes < full)
        #expect(try file.size == 1 << 20)
        #expect(try read(file, 4095..<4097) == [5, 0])
        try file.truncate(to: 100)
        try file.truncate(to: 200)
        #expect(try read(file, 99..<102) == [5, 0, 0])
    }

    @Test func errorsAreThoseOfTheSystem() throws {
        let scratch = try Scratch()
        let path = scratch.path.appending("a")
        #expect(throws: Errno.noSuchFileOrDirectory) {
            _ = try SparseFile(path: path, create: false)
        }
        _ = try SparseFile(path: path, create: true)
        let file = SparseFile(descriptor: try FileDescriptor.open(path, .readOnly))
        #expect(throws: Errno.badFileDescriptor) { try write(file, [1], at: 0) }
        #expect(throws: Errno.fileTooLarge) { try write(file, [1], at: 1 << 63) }
        #expect(throws: Errno.invalidArgument) { try file.truncate(to: 5) }
    }

    @Test func mapAndFileTogetherReadAsAPlainFile() throws {
        var randomness = Randomness(for: 3)
        let scratch = try Scratch()
        let file = try SparseFile(path: scratch.path.appending("a"), create: true)
        let below = [UInt8](repeating: 0xbb, count: 30_000)
        var map = LayerMap(blockSize: 4096, mainValid: UInt64(below.count))
        var expected = below
        // Nobody recorded any of this.
        try write(file, [UInt8](repeating: 0xee, count: 60_000), at: 0)
        for round in 0..<600 {
            if randomness.below(5) == 0 {
                let size = randomness.below(60_000)
                if size < expected.count {
                    expected.removeLast(expected.count - size)
                    map.truncate(to: UInt64(size))
                    try file.truncate(to: UInt64(size))
                } else {
                    expected += [UInt8](repeating: 0, count: size - expected.count)
                }
            } else {
                let range = randomness.range(in: 60_000, unit: 4096)
                let data = [UInt8](repeating: UInt8(round % 180 + 1), count: range.count)
                let offsets = UInt64(range.lowerBound)..<UInt64(range.upperBound)
                try write(file, data, at: offsets.lowerBound, zeros: map.zeroFill(for: offsets))
                map.wrote(offsets)
                if expected.count < range.upperBound {
                    expected += [UInt8](repeating: 0, count: range.upperBound - expected.count)
                }
                expected.replaceSubrange(range, with: data)
            }
            guard !expected.isEmpty else { continue }
            var result: [UInt8] = []
            var runs: [LayerMap.Run] = []
            map.forEachRun(in: 0..<UInt64(expected.count)) { runs.append($0) }
            for run in runs {
                switch run.source {
                case .here: result += try read(file, run.range)
                case .below:
                    result += below[Int(run.range.lowerBound)..<Int(run.range.upperBound)]
                case .zeros: result += [UInt8](repeating: 0, count: run.range.count)
                }
            }
            try #require(result == expected, "round \(round), \(randomness.note)")
        }
    }
}

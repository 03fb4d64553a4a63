import Foundation
import Testing

@testable import ROWCore

/// A layer map and its sparse file, beside the plain file that they must add up to.
///
/// All of it happens in a window of the file, so that offsets can be anywhere. The sparse file holds
/// garbage wherever nobody wrote.
private struct Simulation {
    let base: UInt64
    let width: Int
    var map: LayerMap
    var randomness: Randomness
    /// What the next layer holds in the window.
    let below: [UInt8]
    /// The layer's sparse file in the window.
    var file: [UInt8]
    /// The file as it must read, in the window.
    var expected: [UInt8]
    /// Where the file ends, in the window.
    var size: Int
    var stored = Stored()

    /// What SQLite would hold.
    struct Stored {
        var pages: [UInt64: [UInt8]] = [:]
        var partial: [UInt64: [UInt8]] = [:]
        var mainValid: UInt64 = 0
    }

    init(blockSize: UInt64, base: UInt64, blocks: Int, randomness: Randomness) {
        var randomness = randomness
        let width = blocks * Int(blockSize)
        let belowSize = randomness.below(4) == 0 ? 0 : randomness.below(width + 1)
        self.base = base
        self.width = width
        below = (0..<width).map { $0 < belowSize ? UInt8($0 % 100 + 1) : 0xff }
        file = [UInt8](repeating: 0xee, count: width)
        expected = (0..<width).map { $0 < belowSize ? UInt8($0 % 100 + 1) : 0 }
        size = belowSize
        map = LayerMap(blockSize: blockSize, mainValid: base + UInt64(belowSize))
        stored.mainValid = map.mainValid
        self.randomness = randomness
    }

    mutating func step() throws {
        switch randomness.below(20) {
        case 0..<8: write()
        case 8..<10: truncate()
        case 10..<11: size = max(size, randomness.below(width + 1))
        case 11..<18: checkRead(randomness.range(in: width, unit: Int(map.blockSize)))
        default: try save()
        }
    }

    mutating func write() {
        let range = randomness.range(in: width, unit: Int(map.blockSize))
        let value = UInt8(101 + randomness.below(100))
        let zeros = map.zeroFill(for: offsets(range))
        for fill in [zeros.before, zeros.after] {
            guard let fill else { continue }
            set(&file, places(fill), to: 0)
        }
        set(&file, range, to: value)
        map.wrote(offsets(range))
        set(&expected, range, to: value)
        size = max(size, range.upperBound)
    }

    mutating func truncate() {
        let to = randomness.below(4) == 0 ? size / 512 * 512 : randomness.below(width + 1)
        if to < size {
            map.truncate(to: base + UInt64(to))
            set(&file, to..<width, to: 0xee)
            set(&expected, to..<width, to: 0)
        }
        size = to
    }

    func checkRead(_ range: Range<Int>) {
        var result = [UInt8](repeating: 0xdd, count: width)
        var next = base + UInt64(range.lowerBound)
        var runs: [LayerMap.Run] = []
        var isOrdered = true
        map.forEachRun(in: offsets(range)) { run in
            isOrdered =
                isOrdered && run.range.lowerBound == next && !run.range.isEmpty
                && run.source != runs.last?.source
            next = run.range.upperBound
            runs.append(run)
            switch run.source {
            case .here: copy(&result, from: file, places(run.range))
            case .below: copy(&result, from: below, places(run.range))
            case .zeros: set(&result, places(run.range), to: 0)
            }
        }
        let single = map.singleSource(of: offsets(range))
        guard next == base + UInt64(range.upperBound), isOrdered,
            single == (runs.count == 1 ? runs[0].source : nil), isEqual(result, expected, range)
        else {
            Issue.record("\(range) reads wrongly as \(runs); \(randomness.note)")
            return
        }
    }

    /// A transaction that fails or is committed, and sometimes a restart after it.
    mutating func save() throws {
        let changes = map.takeChanges()
        if map.hasChanges { Issue.record("changes are left; \(randomness.note)") }
        if randomness.below(3) == 0 {
            map.restore(changes)
            return
        }
        for page in changes.pages {
            stored.pages[page.index] = page.words.isEmpty ? nil : page.blob
        }
        for (block, blob) in changes.partial { stored.partial[block] = blob }
        stored.mainValid = changes.mainValid
        guard randomness.below(2) == 0 else { return }
        let storedBlocks = map.storedBlocks
        map = try LayerMap(
            blockSize: map.blockSize, mainValid: stored.mainValid,
            pages: stored.pages.compactMap { PresenceMap.Page(index: $0, blob: $1) },
            partial: stored.partial.map { ($0, $1) })
        #expect(map.storedBlocks == storedBlocks, "\(randomness.note)")
    }

    private func offsets(_ range: Range<Int>) -> Range<UInt64> {
        base + UInt64(range.lowerBound)..<base + UInt64(range.upperBound)
    }

    private func places(_ range: Range<UInt64>) -> Range<Int> {
        Int(range.lowerBound - base)..<Int(range.upperBound - base)
    }

    // Plain loops over bytes would take minutes in a debug build.

    private func set(_ bytes: inout [UInt8], _ range: Range<Int>, to value: UInt8) {
        bytes.withUnsafeMutableBytes { target in
            _ = memset(target.baseAddress! + range.lowerBound, Int32(value), range.count)
        }
    }

    private func copy(_ bytes: inout [UInt8], from other: [UInt8], _ range: Range<Int>) {
        bytes.withUnsafeMutableBytes { target in
            other.withUnsafeBytes { source in
                _ = memcpy(
                    target.baseAddress! + range.lowerBound, source.baseAddress! + range.lowerBound,
                    range.count)
            }
        }
    }

    private func isEqual(_ one: [UInt8], _ other: [UInt8], _ range: Range<Int>) -> Bool {
        one.withUnsafeBytes { one in
            other.withUnsafeBytes { other in
                memcmp(
                    one.baseAddress! + range.lowerBound, other.baseAddress! + range.lowerBound,
                    range.count) == 0
            }
        }
    }
}

@Suite struct LayerMapModelTests {
    @Test(arguments: [512, 4096] as [UInt64], 0..<4)
    func anyMixOfOperationsReadsAsAPlainFile(blockSize: UInt64, lane: Int) throws {
        let blocks = 12
        let width = UInt64(blocks) * blockSize
        // The window starts at 0, crosses a page of presence, lies far out, and ends at the end.
        let bases: [UInt64] = [
            0, 4090 * blockSize, 1 << 40, LayerMap.sizeMaximum - width,
        ]
        for episode in 0..<60 {
            let randomness = Randomness(for: blockSize &+ UInt64(lane * 1000 + episode))
            var simulation = Simulation(
                blockSize: blockSize, base: bases[lane], blocks: blocks, randomness: randomness)
            for _ in 0..<500 { try simulation.step() }
            simulation.checkRead(0..<simulation.width)
        }
    }
}

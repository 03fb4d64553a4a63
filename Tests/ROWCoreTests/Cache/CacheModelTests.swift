import Foundation
import SystemPackage
import Testing

@testable import ROWCore

/// Cache files and what is known of them, beside a dictionary of what was written: whatever happens,
/// what is read is what was written or nothing, and without damage it is there.
@Suite struct CacheModelTests {
    @Test(arguments: 0..<4)
    func whatIsReadIsWhatWasWritten(round: Int) throws {
        var simulation = try Simulation(Randomness(for: UInt64(0x6361_6368 + round)))
        for _ in 0..<1500 { try simulation.step() }
        #expect(simulation.found > 100, "\(simulation.randomness.note)")
    }
}

private struct Simulation {
    let scratch: CacheScratch
    let directory: CacheDirectory
    var randomness: Randomness
    var index = CacheIndex()
    /// By file; a file that is not here is not open.
    var open: [Int: (file: CacheFile, blocks: CachedBlocks)] = [:]
    let layouts: [CacheLayout]
    /// What was written and not given up, by file and block: what its bytes begin with.
    var written: [Int: [UInt64: UInt64]] = [:]
    /// Damaged while it was not open: what was written may be gone.
    var damaged: Set<Int> = []
    var lost = 0
    var found = 0

    init(_ randomness: Randomness) throws {
        self.randomness = randomness
        let sizes: [UInt64] = [1, 4096, 65_536, 65_537, 300_000, 1 << 20]
        layouts = try sizes.enumerated().map {
            try CacheLayout.sample(UInt64($0.offset + 1), size: $0.element)
        }
        scratch = try CacheScratch()
        directory = CacheDirectory(image: scratch.path)
    }

    private var note: Comment { "\(randomness.note)" }

    mutating func step() throws {
        let number = randomness.below(layouts.count)
        let block = UInt64(randomness.below(Int(layouts[number].blockCount)))
        switch randomness.below(20) {
        case 0..<7: try write(number, block)
        case 7..<14: try read(number, block)
        case 14..<16: try evict()
        case 16..<18: close(number)
        case 18: try damage(number)
        default: try check()
        }
    }

    private func bytes(_ count: Int, _ seed: UInt64) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: (seed &+ UInt64($0)) &* 0x9E37_79B9 >> 7) }
    }

    private mutating func write(_ number: Int, _ first: UInt64) throws {
        try load(number, create: true)
        let layout = layouts[number]
        let end = min(first + 1 + UInt64(randomness.below(4)), layout.blockCount)
        let seed = randomness.next()
        let data = bytes(layout.bytes(of: first..<end).count, seed)
        let file = try #require(open[number]?.file, note)
        let allocated = try data.withUnsafeBytes { try file.write(first..<end, $0) }
        index.set(layout.id, allocated: try #require(allocated, note))
        open[number]?.blocks.checked(first..<end)
        for block in first..<end {
            written[number, default: [:]][block] = seed &+ (block - first) * CacheLayout.blockBytes
        }
    }

    private mutating func load(_ number: Int, create: Bool) throws {
        guard open[number] == nil else { return }
        var wasLost = false
        let file = try directory.open(layouts[number], create: create) { wasLost = true }
        if wasLost {
            #expect(damaged.contains(number), note)
            lost += 1
            written[number] = nil
            index.remove(layouts[number].id)
        }
        guard let file else { return }
        open[number] = (file, CachedBlocks(isEmpty: file.isNew))
    }

    private mutating func read(_ number: Int, _ block: UInt64) throws {
        try load(number, create: false)
        guard let file = open[number]?.file else {
            #expect(written[number, default: [:]].isEmpty, note)
            return
        }
        if open[number]?.blocks.state(of: block) == .unknown {
            open[number]?.blocks.learn(try file.tablePage(CachedBlocks.page(of: block)))
        }
        let state = try #require(open[number]?.blocks.state(of: block))
        let range = layouts[number].bytes(of: block)
        let seed = written[number]?[block]
        var memory = [UInt8](repeating: 0xdd, count: range.count)
        if state == .checked {
            let now = try memory.withUnsafeMutableBytes {
                try file.readNowait(into: $0, at: range.lowerBound)
            }
            guard now != .wouldBlock else { return }
            #expect(now == .bytes, note)
        } else {
            let outcome = try memory.withUnsafeMutableBytes { try file.read(block, into: $0) }
            guard outcome == .bytes else {
                #expect(damaged.contains(number) || (seed == nil && outcome == .absent), note)
                open[number]?.blocks.remove(block)
                written[number]?[block] = nil
                return
            }
            #expect(state == .unchecked, note)
            open[number]?.blocks.checked(block..<block + 1)
        }
        open[number]?.blocks.use(block..<block + 1)
        index.use(layouts[number].id)
        let expected = try #require(seed, "read what was never written, \(randomness.note)")
        let isRight = memory == bytes(range.count, expected)
        #expect(isRight, note)
        found += 1
    }

    private mutating func evict() throws {
        guard let id = index.candidate() else { return }
        let number = Int(id.rawValue) - 1
        try load(number, create: false)
        guard let file = open[number]?.file else { return index.remove(id) }
        if open[number]?.blocks.knows(0) == false {
            open[number]?.blocks.learn(try file.tablePage(0))
        }
        let count = layouts[number].blockCount
        let victims =
            open[number]?.blocks.takeVictims(
                from: 0, count: 1 + randomness.below(4), blockCount: count)
        for block in victims?.blocks ?? [] {
            open[number]?.blocks.remove(block)
            written[number]?[block] = nil
        }
        index.set(id, allocated: try file.drop(victims?.blocks ?? []))
        guard victims?.next == nil else { return }
        index.advance()
        guard open[number]?.blocks.isEmpty == true else { return }
        #expect(written[number, default: [:]].isEmpty || damaged.contains(number), note)
        open[number] = nil
        directory.remove(id)
        index.remove(id)
        written[number] = nil
        damaged.remove(number)
    }

    private mutating func close(_ number: Int) { open[number] = nil }

    /// Only of a file that is not open: what was checked is believed.
    private mutating func damage(_ number: Int) throws {
        close(number)
        let path = directory.file(of: layouts[number].id).string
        guard FileManager.default.fileExists(atPath: path) else { return }
        damaged.insert(number)
        let size = Int(layouts[number].fileBytes)
        if randomness.below(4) == 0 {
            try #require(truncate(path, randomness.below(size)) == 0)
            return
        }
        let handle = try FileHandle(forUpdating: URL(filePath: path))
        for _ in 0..<8 {
            try handle.seek(toOffset: UInt64(randomness.below(size)))
            let garbage = Data([UInt8.random(in: 0...255, using: &randomness)])
            let end = try handle.offset() + 1
            if end <= UInt64(size) { try handle.write(contentsOf: garbage) }
        }
        try handle.close()
    }

    private func check() throws {
        for (id, allocated) in directory.scan() where !damaged.contains(Int(id.rawValue) - 1) {
            #expect(index.allocated(of: id) == allocated, note)
        }
        #expect(index.allocated == index.ids.reduce(0) { $0 + index.allocated(of: $1) }, note)
    }
}

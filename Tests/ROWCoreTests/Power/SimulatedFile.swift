import Foundation

/// One file of a disk that loses power: what is on the platter for sure, and what came since.
struct SimulatedFile {
    static let sectorSize = 512

    /// As of the last sync.
    private(set) var durable: [UInt8] = []
    /// Sectors that were ever written and synced.
    private var durableSectors: Set<Int> = []
    private(set) var pending: [Change] = []

    struct Change {
        /// When it was made.
        let position: Int
        let kind: Kind

        enum Kind {
            case write(offset: Int, [UInt8])
            case resize(Int)
        }
    }

    /// Whether the byte's sector was ever written and synced; if not, it can be anything.
    func isDurable(_ place: Int) -> Bool { durableSectors.contains(place / Self.sectorSize) }

    mutating func add(_ change: Change) { pending.append(change) }

    mutating func sync() {
        guard !pending.isEmpty else { return }
        for change in pending {
            guard case .write(let offset, let bytes) = change.kind, !bytes.isEmpty else { continue }
            durableSectors.formUnion(Self.sectors(offset, bytes.count))
        }
        durable = content(SectorChoice(.new))
        pending = []
    }

    static func sectors(_ offset: Int, _ count: Int) -> Range<Int> {
        offset / sectorSize..<(offset + count + sectorSize - 1) / sectorSize
    }

    /// What is found after the power came back.
    func content(_ choice: SectorChoice) -> [UInt8] {
        var data = durable
        var size = durable.count
        let ends = pending.map(\.end)
        let capacity = max(size, ends.max() ?? 0)
        data.append(contentsOf: repeatElement(0, count: capacity - size))
        let sectorCount = Self.sectors(0, capacity).count
        // How many of the changes each sector has seen, and the size.
        let times = choice.times(of: pending, sectorCount)
        for (index, change) in pending.enumerated() {
            switch change.kind {
            case .write(let offset, let bytes):
                if choice.sizeTime(pending.count) > index { size = max(size, change.end) }
                for sector in Self.sectors(offset, bytes.count) where times[sector] > index {
                    let start = max(sector * Self.sectorSize, offset)
                    let end = min((sector + 1) * Self.sectorSize, offset + bytes.count)
                    data.replace(at: start, with: bytes, (start - offset)..<(end - offset))
                }
            case .resize(let newSize):
                if choice.sizeTime(pending.count) > index { size = newSize }
                guard newSize < capacity else { continue }
                for sector in newSize / Self.sectorSize..<sectorCount where times[sector] > index {
                    let start = max(sector * Self.sectorSize, newSize)
                    let end = min((sector + 1) * Self.sectorSize, capacity)
                    if start < end { data.zero(start..<end) }
                }
            }
        }
        if choice.hasGarbage { scribble(&data, times) }
        data.removeSubrange(min(size, data.count)...)
        return data
    }

    /// Storage that was given to the file, and that the data has not come to, may hold anything.
    private func scribble(_ data: inout [UInt8], _ times: [Int]) {
        for change in pending {
            guard case .write(let offset, let bytes) = change.kind, !bytes.isEmpty else { continue }
            for sector in Self.sectors(offset, bytes.count)
            where times[sector] == 0 && !durableSectors.contains(sector) {
                let start = sector * Self.sectorSize
                for place in start..<min(start + Self.sectorSize, data.count) { data[place] = 0xa7 }
            }
        }
    }
}

extension SimulatedFile.Change {
    /// Where the file must reach for it.
    var end: Int {
        switch kind {
        case .write(let offset, let bytes): offset + bytes.count
        case .resize(let size): size
        }
    }
}

/// Which of the changes since the last sync are found on a file.
struct SectorChoice {
    enum Kind {
        case old, new
        /// All but a part of one change: that of this position, from a sector on.
        case torn(position: Int, keeping: Double)
        /// Each sector has seen some of the changes, in order.
        case random(Randomness)
    }

    let kind: Kind
    /// Sectors that were never synced hold garbage where the data has not come; the size is the new
    /// one then.
    let hasGarbage: Bool

    init(_ kind: Kind, hasGarbage: Bool = false) {
        self.kind = kind
        self.hasGarbage = hasGarbage
    }

    func times(of changes: [SimulatedFile.Change], _ sectorCount: Int) -> [Int] {
        let count = changes.count
        switch kind {
        case .old: return [Int](repeating: 0, count: sectorCount)
        case .new: return [Int](repeating: count, count: sectorCount)
        case .random(var random):
            return (0..<sectorCount).map { _ in
                [0, count, random.below(count + 1)][random.below(3)]
            }
        case .torn(let position, let keeping):
            var times = [Int](repeating: count, count: sectorCount)
            guard let index = changes.firstIndex(where: { $0.position == position }),
                case .write(let offset, let bytes) = changes[index].kind
            else { return times }
            let sectors = SimulatedFile.sectors(offset, bytes.count)
            for sector in sectors.dropFirst(Int(keeping * Double(sectors.count))) {
                times[sector] = index
            }
            return times
        }
    }

    func sizeTime(_ count: Int) -> Int {
        if hasGarbage { return count }
        switch kind {
        case .old: return 0
        case .new, .torn: return count
        case .random(var random): return [0, count, random.below(count + 1)][random.below(3)]
        }
    }
}

/// Loops over bytes take their time in a debug build.
extension [UInt8] {
    fileprivate mutating func replace(at place: Int, with bytes: [UInt8], _ part: Range<Int>) {
        withUnsafeMutableBytes { target in
            bytes.withUnsafeBytes { source in
                target.baseAddress!.advanced(by: place).copyMemory(
                    from: source.baseAddress!.advanced(by: part.lowerBound), byteCount: part.count)
            }
        }
    }

    fileprivate mutating func zero(_ part: Range<Int>) {
        withUnsafeMutableBytes { bytes in
            _ = memset(bytes.baseAddress!.advanced(by: part.lowerBound), 0, part.count)
        }
    }
}

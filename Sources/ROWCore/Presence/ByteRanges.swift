/// Byte ranges inside one block: sorted, disjoint, and with a gap between any two.
public struct ByteRanges: Sendable, Hashable {
    /// Ascending; offsets from the start of the block.
    public private(set) var ranges: [Range<UInt32>] = []

    public init() {}

    public var isEmpty: Bool { ranges.isEmpty }

    /// Where the last range ends; 0 when there is none.
    public var end: UInt32 { ranges.last?.upperBound ?? 0 }

    /// Adds a range, joined with those that it touches.
    public mutating func insert(_ range: Range<UInt32>) {
        guard !range.isEmpty else { return }
        let first = firstIndex { $0.upperBound >= range.lowerBound }
        let next = firstIndex { $0.lowerBound > range.upperBound }
        guard first < next else {
            ranges.insert(range, at: first)
            return
        }
        let lower = min(range.lowerBound, ranges[first].lowerBound)
        let upper = max(range.upperBound, ranges[next - 1].upperBound)
        ranges.replaceSubrange(first..<next, with: CollectionOfOne(lower..<upper))
    }

    /// Whether every byte of `range` is in it.
    public func covers(_ range: Range<UInt32>) -> Bool {
        guard !range.isEmpty else { return true }
        let index = firstIndex { $0.upperBound > range.lowerBound }
        return index < ranges.count && ranges[index].lowerBound <= range.lowerBound
            && ranges[index].upperBound >= range.upperBound
    }

    /// Adds a range.
    /// - Returns: whether the whole block of `blockSize` bytes is covered by now.
    mutating func insert(_ range: Range<UInt32>, in blockSize: UInt32) -> Bool {
        insert(range)
        return covers(0..<blockSize)
    }

    /// Drops the bytes from `size` on.
    public mutating func clip(to size: UInt32) {
        ranges.removeSubrange(firstIndex { $0.lowerBound >= size }...)
        if let last = ranges.last, last.upperBound > size {
            ranges[ranges.count - 1] = last.lowerBound..<size
        }
    }

    /// The bytes from `offset` on that are in it, or out of it, as the one at `offset` is.
    /// - Returns: `end` is nil when nothing follows.
    func run(at offset: UInt32) -> (isIn: Bool, end: UInt32?) {
        let index = firstIndex { $0.upperBound > offset }
        guard index < ranges.count else { return (false, nil) }
        let range = ranges[index]
        return range.lowerBound <= offset ? (true, range.upperBound) : (false, range.lowerBound)
    }

    /// The first range for which `isPast` holds; it must hold for all after it too.
    private func firstIndex(where isPast: (Range<UInt32>) -> Bool) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if isPast(ranges[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension ByteRanges {
    /// Lower and upper bound of each range as little-endian 32-bit words.
    public var blob: [UInt8] {
        ranges.flatMap { range in
            [range.lowerBound, range.upperBound].flatMap { bound in
                (0..<4).map { UInt8(truncatingIfNeeded: bound >> UInt32($0 * 8)) }
            }
        }
    }

    /// Reads ``blob``.
    /// - Parameter blockSize: bytes in the block.
    /// - Returns: nil unless the ranges ascend with gaps between them and stay inside the block.
    public init?(blob: [UInt8], blockSize: UInt32) {
        guard blob.count % 8 == 0 else { return nil }
        let bounds = stride(from: 0, to: blob.count, by: 4).map { start in
            blob[start..<(start + 4)].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        }
        guard zip(bounds, bounds.dropFirst()).allSatisfy({ $0 < $1 }), bounds.last ?? 0 <= blockSize
        else { return nil }
        ranges = stride(from: 0, to: bounds.count, by: 2).map { bounds[$0]..<bounds[$0 + 1] }
    }
}

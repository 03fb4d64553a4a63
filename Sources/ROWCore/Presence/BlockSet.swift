/// A sparse set of block numbers: one bit a block in pages of 4096, and only pages with a bit set take
/// memory (512 bytes each). Ranges are set and scanned a word at a time.
public struct BlockSet: Sendable {
    static let wordsPerPage = 64
    private static let pageShift: UInt64 = 12
    private static let blocksPerPage: UInt64 = 1 << pageShift

    /// Page index to its words, lowest block in bit 0 of word 0. Never a page without a bit.
    private(set) var pages: [UInt64: [UInt64]] = [:]
    /// Blocks in the set.
    private(set) var count = 0

    public init() {}

    /// Pages that take memory.
    public var pageCount: Int { pages.count }

    var isEmpty: Bool { count == 0 }

    /// The page that holds a block's bit.
    static func page(of block: UInt64) -> UInt64 { block >> pageShift }

    func contains(_ block: UInt64) -> Bool {
        pages[Self.page(of: block)]?.isSet(Int(block & (Self.blocksPerPage - 1))) ?? false
    }

    /// Adds every block of a range.
    /// - Returns: how many of them were not in the set.
    @discardableResult
    public mutating func insert(_ blocks: Range<UInt64>) -> Int {
        let countBefore = count
        Self.forEachPage(of: blocks) { index, part in
            count += pages[index, default: Self.noBits].setBits(part)
        }
        return count - countBefore
    }

    /// Takes every block of a range out.
    /// - Returns: the pages that changed, in no order.
    @discardableResult
    mutating func remove(_ blocks: Range<UInt64>) -> [UInt64] {
        guard let last = blocks.last else { return [] }
        let touched = Self.page(of: blocks.lowerBound)...Self.page(of: last)
        var changed: [UInt64] = []
        for index in existingPages(in: touched) {
            let start = index << Self.pageShift
            let from = max(blocks.lowerBound, start) - start
            let through = min(last - start, Self.blocksPerPage - 1)
            let cleared = pages[index]?.clearBits(Int(from)..<Int(through + 1)) ?? 0
            guard cleared > 0 else { continue }
            count -= cleared
            changed.append(index)
            if pages[index]?.allSatisfy({ $0 == 0 }) == true { pages[index] = nil }
        }
        return changed
    }

    /// The blocks from `block` on that are in the set, or out of it, as `block` itself is.
    /// - Parameter limit: where to stop looking; greater than `block`.
    func run(at block: UInt64, limit: UInt64) -> (isPresent: Bool, end: UInt64) {
        precondition(block < limit)
        guard !isEmpty else { return (false, limit) }
        var index = Self.page(of: block)
        var words = pages[index]
        var bit = Int(block & (Self.blocksPerPage - 1))
        let isPresent = words?.isSet(bit) ?? false
        while true {
            let start = index << Self.pageShift
            if let words {
                let bitLimit = Int(min(limit - start, Self.blocksPerPage))
                let end = words.endOfRun(of: isPresent, from: bit, limit: bitLimit)
                if end < bitLimit { return (isPresent, start + UInt64(end)) }
            } else if isPresent {
                return (true, start)
            }
            guard limit - start > Self.blocksPerPage else { return (isPresent, limit) }
            if isPresent {
                index += 1
            } else {
                let last = Self.page(of: limit - 1)
                guard let next = nextPage(after: index, through: last) else {
                    return (false, limit)
                }
                index = next
            }
            words = pages[index]
            bit = 0
        }
    }

    /// The blocks of a range that are in the set, in order.
    func members(in blocks: Range<UInt64>) -> [UInt64] {
        var members: [UInt64] = []
        var block = blocks.lowerBound
        while !isEmpty, block < blocks.upperBound {
            let (isPresent, end) = run(at: block, limit: blocks.upperBound)
            if isPresent { members.append(contentsOf: block..<end) }
            block = end
        }
        return members
    }

    /// Puts a page in place of what is there; no words, or none but zeros, take it away.
    mutating func replacePage(_ index: UInt64, with words: [UInt64]) {
        precondition(words.isEmpty || words.count == Self.wordsPerPage)
        count -= pages[index]?.bitCount ?? 0
        let bits = words.bitCount
        count += bits
        pages[index] = bits == 0 ? nil : words
    }

    /// A page without a bit.
    private static let noBits = [UInt64](repeating: 0, count: wordsPerPage)

    /// Splits blocks into their pages and the bits of each.
    private static func forEachPage(
        of blocks: Range<UInt64>, _ body: (_ index: UInt64, _ bits: Range<Int>) -> Void
    ) {
        guard let last = blocks.last else { return }
        for index in page(of: blocks.lowerBound)...page(of: last) {
            let start = index << pageShift
            let from = max(blocks.lowerBound, start) - start
            let through = min(last - start, blocksPerPage - 1)
            body(index, Int(from)..<Int(through + 1))
        }
    }

    /// Those of the pages that have a bit, looked up or sifted, whichever is less work.
    private func existingPages(in range: ClosedRange<UInt64>) -> [UInt64] {
        guard range.upperBound - range.lowerBound >= UInt64(pages.count) else {
            return range.filter { pages[$0] != nil }
        }
        return pages.keys.filter { range.contains($0) }
    }

    /// The first page with a bit after `index`, so that a hole of any size costs no more than the
    /// pages there are.
    private func nextPage(after index: UInt64, through last: UInt64) -> UInt64? {
        guard index < last else { return nil }
        guard last - index > UInt64(pages.count) else {
            return ((index + 1)...last).first { pages[$0] != nil }
        }
        return pages.keys.lazy.filter { index < $0 && $0 <= last }.min()
    }
}

/// The words of one page as a row of bits.
extension [UInt64] {
    fileprivate var bitCount: Int { reduce(0) { $0 + $1.nonzeroBitCount } }

    fileprivate func isSet(_ bit: Int) -> Bool { self[bit >> 6] & (1 << UInt64(bit & 63)) != 0 }

    /// - Returns: how many of the bits were clear.
    fileprivate mutating func setBits(_ bits: Range<Int>) -> Int {
        var changed = 0
        forEachMask(of: bits) { words, index, mask in
            changed += (mask & ~words[index]).nonzeroBitCount
            words[index] |= mask
        }
        return changed
    }

    /// - Returns: how many of the bits were set.
    fileprivate mutating func clearBits(_ bits: Range<Int>) -> Int {
        var changed = 0
        forEachMask(of: bits) { words, index, mask in
            changed += (mask & words[index]).nonzeroBitCount
            words[index] &= ~mask
        }
        return changed
    }

    /// The first bit at or after `from` that is not `isSet`; `limit` if there is none before it.
    fileprivate func endOfRun(of isSet: Bool, from: Int, limit: Int) -> Int {
        let flip: UInt64 = isSet ? .max : 0
        var index = from >> 6
        var other = (self[index] ^ flip) & (.max << UInt64(from & 63))
        while other == 0 {
            index += 1
            guard index << 6 < limit else { return limit }
            other = self[index] ^ flip
        }
        return Swift.min(index << 6 + other.trailingZeroBitCount, limit)
    }

    private mutating func forEachMask(
        of bits: Range<Int>, _ body: (inout [UInt64], _ index: Int, _ mask: UInt64) -> Void
    ) {
        var from = bits.lowerBound
        while from < bits.upperBound {
            let index = from >> 6
            let end = Swift.min((index + 1) << 6, bits.upperBound)
            let mask = (UInt64.max >> UInt64(64 - (end - from))) << UInt64(from & 63)
            body(&self, index, mask)
            from = end
        }
    }
}

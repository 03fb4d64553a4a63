/// What one layer holds of one file: which bytes are in the layer's own sparse file, which still come
/// from below, and which are zeros.
///
/// The rules, for a byte at offset `o` in block `b`:
///
/// - `b` is **present**: the byte is here.
/// - `b` is **partial** and the byte is in one of its recorded ranges: it is here.
/// - otherwise it comes from below when `o < mainValid`, and is zero when not.
///
/// A byte of the sparse file that is not recorded is never read: a write lost in a crash may have left
/// anything there. So the first write into a block also writes, as explicit zeros, the block's bytes
/// at or past `mainValid` (``zeroFill(for:)``), and those count as written. From this follows what
/// keeps the fill small: of a partial block's bytes at or past `mainValid`, the recorded ones come
/// before all others.
///
/// The size of the file is not here. Extension needs no call: what nobody wrote reads as zeros.
/// Offsets end at ``sizeMaximum``.
public struct LayerMap: Sendable {
    /// Where bytes are read from.
    public enum Source: Sendable, Hashable {
        /// This layer's sparse file, at the same offset.
        case here
        /// The next layer or main, at the same offset.
        case below
        case zeros
    }

    /// Bytes that all come from one source.
    public struct Run: Sendable, Hashable {
        public let source: Source
        public let range: Range<UInt64>
    }

    /// Explicit zeros that go to the sparse file together with a write.
    public struct ZeroFill: Sendable, Hashable {
        /// Ends where the write begins.
        public let before: Range<UInt64>?
        /// Ends at a block's end. It begins where the write ends, or later: when `mainValid` lies
        /// beyond the write in the same block, and when the bytes between are recorded already.
        public let after: Range<UInt64>?

        public static let none = ZeroFill(before: nil, after: nil)
    }

    public static let blockSizeMinimum: UInt64 = 512
    public static let blockSizeMaximum: UInt64 = 1 << 20
    /// The most bytes in a file: what fits an `off_t`, less the part of a block at its end.
    public static let sizeMaximum: UInt64 = 1 << 63 - blockSizeMaximum

    /// Bytes in a block, a power of two.
    public let blockSize: UInt64
    /// How many bytes, from the start, still show through where this layer has none. Only falls.
    public private(set) var mainValid: UInt64
    /// Moves with every truncation. A decision made under an older one must be made again.
    public private(set) var generation: UInt64 = 0

    private let shift: UInt64
    private var presence = PresenceMap()
    /// Blocks that are here in part, by number; none of them is present, empty or complete.
    private var partial: [UInt64: ByteRanges] = [:]
    /// The numbers of those blocks, to find the next one without trying each.
    private var partialBlocks = BlockSet()
    private var dirtyPartial: Set<UInt64> = []
    private var mainValidIsDirty = false

    /// A layer with nothing in it.
    /// - Parameter blockSize: a power of two in ``blockSizeMinimum``...``blockSizeMaximum``.
    /// - Parameter mainValid: the file's size below; 0 for a new file.
    public init(blockSize: UInt64, mainValid: UInt64) {
        precondition(Self.isValid(blockSize: blockSize))
        self.blockSize = blockSize
        self.mainValid = mainValid
        shift = UInt64(blockSize.trailingZeroBitCount)
    }

    /// Blocks with storage in the sparse file, present or partial.
    public var storedBlocks: Int { presence.count + partial.count }

    // MARK: Reading

    /// Calls `body` for the runs that make up `range`: in order, without gaps, neighbours of different
    /// sources.
    public func forEachRun<Failure>(
        in range: Range<UInt64>, _ body: (Run) throws(Failure) -> Void
    ) throws(Failure) {
        guard !range.isEmpty else { return }
        var start = range.lowerBound
        var (source, end) = piece(at: start, limit: range.upperBound)
        while end < range.upperBound {
            let next = piece(at: end, limit: range.upperBound)
            if next.source != source {
                try body(Run(source: source, range: start..<end))
                (source, start) = (next.source, end)
            }
            end = next.end
        }
        try body(Run(source: source, range: start..<end))
    }

    /// The source of all of `range`, when it is one; an empty range has none.
    public func singleSource(of range: Range<UInt64>) -> Source? {
        guard !range.isEmpty else { return nil }
        let run = run(at: range.lowerBound, limit: range.upperBound)
        return run.range.upperBound == range.upperBound ? run.source : nil
    }

    /// The longest run that begins at `offset`.
    /// - Parameter limit: the run ends here at the latest; greater than `offset`.
    public func run(at offset: UInt64, limit: UInt64) -> Run {
        var (source, end) = piece(at: offset, limit: limit)
        while end < limit {
            let next = piece(at: end, limit: limit)
            guard next.source == source else { break }
            end = next.end
        }
        return Run(source: source, range: offset..<end)
    }

    /// Whether anything is stored of the blocks that begin at `offset` or later.
    func stores(from offset: UInt64) -> Bool {
        let first = offset >> shift + (offset & (blockSize - 1) == 0 ? 0 : 1)
        return presence.run(at: first, limit: .max) != (false, .max)
            || partialBlocks.run(at: first, limit: .max) != (false, .max)
    }

    // MARK: Writing

    /// The zeros to write in the same pwritev as `write`: the bytes at or past ``mainValid`` of the
    /// blocks it touches that are neither written by it nor recorded.
    ///
    /// Asking, writing and ``wrote(_:)`` belong together: another write into the same block between
    /// them would be overwritten with zeros.
    /// - Parameter write: not empty, ends at ``sizeMaximum`` or before.
    public func zeroFill(for write: Range<UInt64>) -> ZeroFill {
        precondition(!write.isEmpty && write.upperBound <= Self.sizeMaximum)
        var before: Range<UInt64>?
        var after: Range<UInt64>?
        if write.lowerBound & (blockSize - 1) != 0 {
            let from = startOfUnrecordedZeros(in: write.lowerBound >> shift)
            if from < write.lowerBound { before = from..<write.lowerBound }
        }
        if write.upperBound & (blockSize - 1) != 0 {
            let block = write.upperBound >> shift
            let from = max(startOfUnrecordedZeros(in: block), write.upperBound)
            let end = (block + 1) << shift
            if from < end { after = from..<end }
        }
        return ZeroFill(before: before, after: after)
    }

    /// Records a write that is in the sparse file, with its zero fill.
    public mutating func wrote(_ range: Range<UInt64>) {
        let zeros = zeroFill(for: range)
        record((zeros.before?.lowerBound ?? range.lowerBound)..<range.upperBound)
        if let after = zeros.after { record(after) }
    }

    /// Records that the file was cut to `size`, or set to it.
    ///
    /// Of the block at the boundary only the bytes before `size` stay recorded. Nothing depends on the
    /// sparse file being cut as well: that gives its space back, sooner or later or never.
    public mutating func truncate(to size: UInt64) {
        generation += 1
        if size < mainValid {
            mainValid = size
            mainValidIsDirty = true
        }
        let boundary = size >> shift
        let cut = UInt32(size & (blockSize - 1))
        // The boundary block goes with the rest when nothing of it is left.
        let firstDropped = cut == 0 ? boundary : boundary + 1
        presence.remove(from: firstDropped)
        dropPartial(in: firstDropped..<UInt64.max)
        guard cut != 0 else { return }
        if presence.contains(boundary) {
            presence.remove(boundary..<(boundary + 1))
            recordPart(of: boundary, (boundary << shift)..<size)
        } else if let end = partial[boundary]?.end, end > cut {
            partial[boundary]?.clip(to: cut)
            dirtyPartial.insert(boundary)
            if partial[boundary]?.isEmpty == true { dropPartial(in: boundary..<(boundary + 1)) }
        }
    }

    // MARK: Pieces

    /// The source of the byte at `offset` and how far it surely reaches.
    private func piece(at offset: UInt64, limit: UInt64) -> (source: Source, end: UInt64) {
        let block = offset >> shift
        let blockLimit = (limit - 1) >> shift + 1
        let (isPresent, presenceEnd) = presence.run(at: block, limit: blockLimit)
        if isPresent { return (.here, start(of: presenceEnd, orLimit: limit, at: blockLimit)) }
        let (isPartial, absentEnd) = partialBlocks.run(at: block, limit: presenceEnd)
        guard isPartial, let ranges = partial[block] else {
            return unrecorded(offset..<start(of: absentEnd, orLimit: limit, at: blockLimit))
        }
        let blockStart = block << shift
        let (isHere, runEnd) = ranges.run(at: UInt32(offset - blockStart))
        let inBlock = runEnd.map(UInt64.init) ?? blockSize
        // Counted from the block's start, since that of the next may not fit 64 bits.
        let end = blockStart + min(inBlock, limit - blockStart)
        return isHere ? (.here, end) : unrecorded(offset..<end)
    }

    /// A block's first byte, or `limit` when the block is the one that the limit lies in or before.
    private func start(of block: UInt64, orLimit limit: UInt64, at blockLimit: UInt64) -> UInt64 {
        block == blockLimit ? limit : block << shift
    }

    /// The first piece of bytes that this layer has no record of.
    private func unrecorded(_ range: Range<UInt64>) -> (source: Source, end: UInt64) {
        range.lowerBound < mainValid
            ? (.below, min(range.upperBound, mainValid)) : (.zeros, range.upperBound)
    }

    /// From here to the block's end its bytes are zeros that nobody wrote; the block's end if none are.
    private func startOfUnrecordedZeros(in block: UInt64) -> UInt64 {
        let start = block << shift
        let end = start + blockSize
        if presence.contains(block) { return end }
        let recordedEnd = start + UInt64(partial[block]?.end ?? 0)
        return min(max(mainValid, recordedEnd), end)
    }

    /// Whole blocks become present; the parts of the first and the last are added to their ranges.
    private mutating func record(_ range: Range<UInt64>) {
        let head = range.lowerBound >> shift
        let tail = range.upperBound >> shift
        let firstWhole = (range.lowerBound + blockSize - 1) >> shift
        if firstWhole < tail { makePresent(firstWhole..<tail) }
        if head < firstWhole { recordPart(of: head, range) }
        if tail << shift < range.upperBound, tail >= firstWhole { recordPart(of: tail, range) }
    }

    private mutating func recordPart(of block: UInt64, _ range: Range<UInt64>) {
        guard !presence.contains(block) else { return }
        let start = block << shift
        let part = range.clamped(to: start..<(start + blockSize))
        let ranges = UInt32(part.lowerBound - start)..<UInt32(part.upperBound - start)
        let isComplete = partial[block, default: ByteRanges()].insert(ranges, in: UInt32(blockSize))
        partialBlocks.insert(block..<(block + 1))
        dirtyPartial.insert(block)
        if isComplete { makePresent(block..<(block + 1)) }
    }

    private mutating func makePresent(_ blocks: Range<UInt64>) {
        presence.insert(blocks)
        dropPartial(in: blocks)
    }

    private mutating func dropPartial(in blocks: Range<UInt64>) {
        for block in partialBlocks.members(in: blocks) {
            partial[block] = nil
            dirtyPartial.insert(block)
        }
        partialBlocks.remove(blocks)
    }

    static func isValid(blockSize: UInt64) -> Bool {
        (blockSizeMinimum...blockSizeMaximum).contains(blockSize) && blockSize.nonzeroBitCount == 1
    }
}

// MARK: - Persistence

extension LayerMap {
    /// What one transaction stores.
    public struct Changes: Sendable {
        public let pages: [PresenceMap.Page]
        /// The blob of ``ByteRanges``; nil when the block's row goes.
        public let partial: [(block: UInt64, blob: [UInt8]?)]
        public let mainValid: UInt64
    }

    /// Whether a restart would find less than is known here.
    public var hasChanges: Bool {
        mainValidIsDirty || presence.hasDirtyPages || !dirtyPartial.isEmpty
    }

    /// Everything that changed since the last call; it counts as stored from now on. If the
    /// transaction fails, give it back to ``restore(_:)``.
    public mutating func takeChanges() -> Changes {
        defer {
            dirtyPartial.removeAll()
            mainValidIsDirty = false
        }
        return Changes(
            pages: presence.takeDirtyPages(),
            partial: dirtyPartial.sorted().map { ($0, partial[$0]?.blob) },
            mainValid: mainValid)
    }

    /// These changes were not stored after all: the next ``takeChanges()`` has their places again,
    /// with what is true by then.
    public mutating func restore(_ changes: Changes) {
        presence.markDirty(changes.pages)
        dirtyPartial.formUnion(changes.partial.lazy.map(\.block))
        mainValidIsDirty = true
    }

    /// A layer as its transactions left it.
    /// - Throws: ``LayerMapError`` when the parts cannot have come from one map.
    public init(
        blockSize: UInt64, mainValid: UInt64, pages: [PresenceMap.Page],
        partial: [(block: UInt64, blob: [UInt8])]
    ) throws(LayerMapError) {
        guard Self.isValid(blockSize: blockSize) else { throw .badBlockSize(blockSize) }
        self.init(blockSize: blockSize, mainValid: mainValid)
        let blockLimit = Self.sizeMaximum >> shift
        for page in pages {
            presence.load(page)
        }
        if presence.run(at: blockLimit, limit: .max) != (false, .max) {
            throw .beyondMaximum(block: blockLimit)
        }
        for (block, blob) in partial {
            guard block < blockLimit else { throw .beyondMaximum(block: block) }
            guard !presence.contains(block), self.partial[block] == nil else {
                throw .recordedTwice(block: block)
            }
            guard let ranges = ByteRanges(blob: blob, blockSize: UInt32(blockSize)),
                !ranges.isEmpty, !ranges.covers(0..<UInt32(blockSize)),
                Self.hasItsZerosFirst(ranges, start: block << shift, mainValid: mainValid)
            else { throw .badRanges(block: block) }
            self.partial[block] = ranges
            partialBlocks.insert(block..<(block + 1))
        }
    }

    /// Whether no byte that reads as an implicit zero has a recorded one after it; see the type.
    private static func hasItsZerosFirst(
        _ ranges: ByteRanges, start: UInt64, mainValid: UInt64
    ) -> Bool {
        let recordedEnd = start + UInt64(ranges.end)
        guard recordedEnd > mainValid else { return true }
        let from = UInt32(max(mainValid, start) - start)
        return ranges.covers(from..<ranges.end)
    }
}

/// Stored parts of a ``LayerMap`` that do not fit together.
public enum LayerMapError: Error, Sendable, Hashable, CustomStringConvertible {
    case badBlockSize(UInt64)
    /// A block is both present and partial, or partial twice.
    case recordedTwice(block: UInt64)
    case badRanges(block: UInt64)
    case beyondMaximum(block: UInt64)

    public var description: String {
        switch self {
        case .badBlockSize(let size):
            "a block size of \(size) bytes is not a power of two from "
                + "\(LayerMap.blockSizeMinimum) to \(LayerMap.blockSizeMaximum)"
        case .recordedTwice(let block): "block \(block) is recorded twice"
        case .badRanges(let block): "the written ranges of block \(block) are malformed"
        case .beyondMaximum(let block): "block \(block) lies beyond the largest file"
        }
    }
}

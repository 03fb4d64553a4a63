/// Which blocks of a file are in a sparse store, and which pages of that knowledge a restart would
/// not find yet. Memory is proportional to what is present.
public struct PresenceMap: Sendable {
    /// The unit of persistence: 4096 blocks.
    public struct Page: Sendable, Hashable {
        /// The first block divided by 4096.
        public let index: UInt64
        /// 64 words, the lowest block in bit 0 of the first; empty when no block is left: the page's
        /// row goes.
        public let words: [UInt64]

        init(index: UInt64, words: [UInt64]) {
            self.index = index
            self.words = words
        }

        /// Reads ``blob``.
        /// - Returns: nil unless `blob` is made of at most 64 words of eight bytes.
        public init?(index: UInt64, blob: [UInt8]) {
            guard blob.count <= BlockSet.wordsPerPage * 8, blob.count % 8 == 0,
                index <= BlockSet.page(of: .max)
            else { return nil }
            var words = [UInt64](repeating: 0, count: BlockSet.wordsPerPage)
            for (place, byte) in blob.enumerated() {
                words[place / 8] |= UInt64(byte) << UInt64(place % 8 * 8)
            }
            self.index = index
            self.words = words.allSatisfy { $0 == 0 } ? [] : words
        }

        /// The words in little-endian order, without the zero words at the end: a small file's page
        /// takes eight bytes.
        public var blob: [UInt8] {
            let used = words.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
            return words[..<used].flatMap { word in
                (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) }
            }
        }
    }

    private var blocks = BlockSet()
    /// Pages that changed since they were last taken.
    private var dirty: Set<UInt64> = []

    public init() {}

    /// Blocks present.
    public var count: Int { blocks.count }

    /// Whether ``takeDirtyPages()`` would return any.
    public var hasDirtyPages: Bool { !dirty.isEmpty }

    public func contains(_ block: UInt64) -> Bool { blocks.contains(block) }

    /// - Returns: how many of the blocks were absent.
    @discardableResult
    public mutating func insert(_ range: Range<UInt64>) -> Int {
        let added = blocks.insert(range)
        if added > 0, let last = range.last {
            dirty.formUnion(BlockSet.page(of: range.lowerBound)...BlockSet.page(of: last))
        }
        return added
    }

    /// Takes a range of blocks out, as when a cache gives up their storage.
    public mutating func remove(_ range: Range<UInt64>) {
        dirty.formUnion(blocks.remove(range))
    }

    /// Takes out this block and all later ones.
    public mutating func remove(from block: UInt64) { remove(block..<UInt64.max) }

    /// The longest run of blocks, starting with `block`, that are all present or all absent.
    /// - Parameter limit: the run ends here at the latest; greater than `block`.
    public func run(at block: UInt64, limit: UInt64) -> (isPresent: Bool, end: UInt64) {
        blocks.run(at: block, limit: limit)
    }

    /// The pages to store in the next transaction, in order. They count as clean from now on; if the
    /// transaction fails, give them back to ``markDirty(_:)``.
    public mutating func takeDirtyPages() -> [Page] {
        guard !dirty.isEmpty else { return [] }
        defer { dirty.removeAll() }
        return dirty.sorted().map { Page(index: $0, words: blocks.pages[$0] ?? []) }
    }

    /// These pages were not stored after all.
    public mutating func markDirty(_ pages: [Page]) {
        dirty.formUnion(pages.lazy.map(\.index))
    }

    /// Puts a stored page in place.
    public mutating func load(_ page: Page) { blocks.replacePage(page.index, with: page.words) }
}

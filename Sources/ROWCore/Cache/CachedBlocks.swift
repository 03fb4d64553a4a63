/// What is known in memory of the blocks in one cache file.
public struct CachedBlocks {
    public enum State: Sendable, Hashable {
        /// In the file, and checked since this was made.
        case checked
        /// In the file as far as its table says.
        case unchecked
        case absent
        /// The table has not been looked at.
        case unknown
    }

    /// Blocks whose entries are learned at once.
    public static let pageBlocks: UInt64 = 4096

    /// Which of the pages of ``pageBlocks`` a block is in.
    public static func page(of block: UInt64) -> UInt64 { block / pageBlocks }

    /// In the file, as far as is known.
    private var present = BlockSet()
    private var checked = BlockSet()
    /// Used since the clock's hand came by.
    private var used = BlockSet()
    private var knownPages: Set<UInt64> = []
    /// Whether blocks that are not known to be in the file are known not to be.
    private let isComplete: Bool

    /// What is known at first.
    /// - Parameter isEmpty: that there is no block in the file; otherwise nothing is.
    public init(isEmpty: Bool = false) { isComplete = isEmpty }

    /// Pages that are known of one file at most, so that memory has a bound however long the file is.
    private static let pagesMaximum = 1024

    /// No block is known to be in the file.
    public var isEmpty: Bool { present.isEmpty }

    public func state(of block: UInt64) -> State {
        if checked.contains(block) { return .checked }
        if present.contains(block) { return .unchecked }
        return knows(Self.page(of: block)) ? .absent : .unknown
    }

    /// Whether all of a page's blocks are known, rather than those alone that were read or written.
    public func knows(_ page: UInt64) -> Bool { isComplete || knownPages.contains(page) }

    /// The first block from `start` on that is in the file, as far as is known.
    public func firstPresent(from start: UInt64, limit: UInt64) -> UInt64? {
        guard start < limit else { return nil }
        let run = present.run(at: start, limit: limit)
        if run.isPresent { return start }
        return run.end < limit ? run.end : nil
    }

    public func areChecked(_ blocks: Range<UInt64>) -> Bool {
        let run = checked.run(at: blocks.lowerBound, limit: blocks.upperBound)
        return run.isPresent && run.end == blocks.upperBound
    }

    /// Takes in a page of the table. Blocks that were written while it was read are not in it.
    public mutating func learn(_ page: CacheFile.TablePage) {
        if present.pages.count + knownPages.count >= 2 * Self.pagesMaximum { self = CachedBlocks() }
        guard knownPages.insert(page.index).inserted else { return }
        let known = present.pages[page.index] ?? []
        present.replacePage(
            page.index,
            with: known.isEmpty ? page.words : zip(known, page.words).map { $0 | $1 })
    }

    /// Blocks were written, or read and found intact.
    public mutating func checked(_ blocks: Range<UInt64>) {
        if isComplete, present.pages.count >= Self.pagesMaximum { self = CachedBlocks() }
        present.insert(blocks)
        checked.insert(blocks)
    }

    public mutating func use(_ blocks: Range<UInt64>) { used.insert(blocks) }

    public mutating func remove(_ block: UInt64) {
        for set in [\CachedBlocks.present, \.checked, \.used] {
            self[keyPath: set].remove(block..<block + 1)
        }
    }

    /// Blocks to give up, from `start` on: those not used since the last time, while those that were are
    /// spared once.
    /// - Parameter count: the most.
    /// - Returns: the blocks, and where to go on; nil at the end of the file.
    public mutating func takeVictims(
        from start: UInt64, count: Int, blockCount: UInt64
    ) -> (blocks: [UInt64], next: UInt64?) {
        var victims: [UInt64] = []
        var block = start
        while block < blockCount {
            let run = present.run(at: block, limit: blockCount)
            guard run.isPresent else {
                block = run.end
                continue
            }
            while block < run.end {
                if victims.count == count { return (victims, block) }
                if used.contains(block) {
                    used.remove(block..<block + 1)
                } else {
                    victims.append(block)
                }
                block += 1
            }
        }
        return (victims, nil)
    }
}

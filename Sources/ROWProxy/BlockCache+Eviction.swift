import NIOCore
import ROWCore

/// Giving blocks up, so that others have room.
extension BlockCache {
    struct Eviction {
        fileprivate var isRunning = false
        /// Where the sweep of the file under the clock's hand goes on.
        fileprivate var sweep: (id: NodeID, block: UInt64)?
        /// Blocks that were given up.
        fileprivate(set) var blocksDone = 0

        fileprivate static let victimsAtOnce = 64
    }

    /// Gives up some blocks, and calls ``proceed()`` then.
    func evict() {
        // Until the scan is done, nobody knows what there is.
        guard !eviction.isRunning, isScanned else { return }
        guard let id = index.candidate() else { return cannotEvict() }
        eviction.isRunning = true
        guard let layout = layout(of: id) else {
            // Of an image database that is lost.
            let directory = directory
            run({ directory.remove(id) }) {
                self.index.remove(id)
                self.evicted()
            }
            return
        }
        let entry = entry(layout)
        guard layout.blockCount > 1 else { return giveUp(entry) }
        let start = eviction.sweep?.id == id ? eviction.sweep?.block ?? 0 : 0
        let page = CachedBlocks.page(of: start)
        if entry.blocks.knows(page) {
            giveUpBlocks(of: entry, from: start)
        } else {
            learn(entry, page) { self.giveUpBlocks(of: entry, from: start) }
        }
    }

    private func giveUpBlocks(of entry: CacheEntry, from start: UInt64) {
        let layout = entry.layout
        let pageEnd = min(
            (CachedBlocks.page(of: start) + 1) * CachedBlocks.pageBlocks, layout.blockCount)
        let (victims, next) = entry.blocks.takeVictims(
            from: start, count: Eviction.victimsAtOnce, blockCount: pageEnd)
        for block in victims { entry.blocks.remove(block) }
        let isEnd = next == nil && pageEnd == layout.blockCount
        // What is being written to it right now is not to go with it.
        if isEnd, entry.blocks.isEmpty, entry.isIdle { return giveUp(entry, victims.count) }
        eviction.sweep = isEnd ? nil : (layout.id, next ?? pageEnd)
        if isEnd { index.advance() }
        guard !victims.isEmpty, let file = entry.file else { return evicted() }
        eviction.blocksDone += victims.count
        schedule(
            entry, isAlone: { true },
            {
                // Once more: jobs that were done since may have found them intact.
                for block in victims { entry.blocks.remove(block) }
                return { try? file.drop(victims) }
            }
        ) { allocated in
            if let allocated, entry.file === file {
                self.index.set(layout.id, allocated: allocated)
            }
            self.evicted()
        }
    }

    /// Gives up a whole file.
    private func giveUp(_ entry: CacheEntry, _ blockCount: Int = 1) {
        eviction.sweep = nil
        eviction.blocksDone += blockCount
        remove(entry) {
            self.index.advance()
            self.evicted()
        }
    }

    private func evicted() {
        eviction.isRunning = false
        // Not at once: there may be many that were used and are spared.
        loop.assumeIsolated().execute { self.proceed() }
    }

    /// Gives up all blocks of a file.
    func drop(_ id: NodeID, then: @escaping () -> Void) {
        guard let layout = layout(of: id) else { return then() }
        remove(entry(layout), then: then)
    }
}

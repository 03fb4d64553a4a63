import NIOCore
import ROWCore

/// What operators have done to what is kept.
extension BlockCache {
    /// Finds the first block from `start` on that is kept, as far as the table knows.
    func firstKept(
        _ layout: CacheLayout, from start: UInt64, then: @escaping (UInt64?) -> Void
    ) {
        guard start < layout.blockCount else { return then(nil) }
        let entry = entry(layout)
        let page = CachedBlocks.page(of: start)
        let end = min((page + 1) * CachedBlocks.pageBlocks, layout.blockCount)
        let look = {
            if let kept = entry.blocks.firstPresent(from: start, limit: end) { return then(kept) }
            self.loop.assumeIsolated().execute { self.firstKept(layout, from: end, then: then) }
        }
        if entry.file == nil || !entry.blocks.knows(page) {
            learn(entry, page, then: look)
        } else {
            look()
        }
    }
}

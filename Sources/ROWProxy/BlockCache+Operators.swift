import NIOCore
import ROWCore

/// What is done to what is kept, beside serving clients.
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

    /// Reads bytes of one block if it is kept, for a comparison with what a server has.
    func readIfKept(
        _ id: NodeID, _ range: Range<UInt64>, then: @escaping (ByteBuffer?) -> Void
    ) {
        guard !range.isEmpty, let layout = layout(of: id), range.upperBound <= layout.size else {
            return then(nil)
        }
        let blocks = layout.blocks(of: range)
        guard blocks.count == 1 else { return then(nil) }
        let block = blocks.lowerBound
        find(layout, [block]) { present, _ in
            guard !present.isEmpty,
                !self.needsConfirmation || self.checkedFile(id, range) != nil
            else { return then(nil) }
            self.read(layout, block) { data in
                let start = Int(range.lowerBound - layout.bytes(of: block).lowerBound)
                then(data.flatMap { $0.getSlice(at: $0.readerIndex + start, length: range.count) })
            }
        }
    }
}

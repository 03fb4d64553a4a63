/// What is recorded of one file's changed data while it is put right: ``LayerMap`` without its rules.
struct FileLayout {
    let blockSize: UInt64
    var mainValid: UInt64 = 0
    /// Blocks that are stored whole.
    var present = BlockSet()
    /// Blocks that are stored in part; none of them is in `present`.
    var partial: [UInt64: ByteRanges] = [:]

    init(blockSize: UInt64) { self.blockSize = blockSize }

    var storedBlocks: Int { present.count + partial.count }

    /// Rows of `presence`.
    var pages: [UInt64: [UInt8]] {
        Dictionary(
            uniqueKeysWithValues: present.pages.map { index, words in
                (index, PresenceMap.Page(index: index, words: words).blob)
            })
    }

    /// Rows of `partial`.
    var blobs: [UInt64: [UInt8]] { partial.mapValues(\.blob) }

    var lastBlock: UInt64? {
        let whole = present.pages.max { $0.key < $1.key }.flatMap { index, words in
            words.lastIndex { $0 != 0 }.map { place in
                index << 12 | UInt64(place * 64 + 63 - words[place].leadingZeroBitCount)
            }
        }
        return [whole, partial.keys.max()].compactMap { $0 }.max()
    }

    /// Stored blocks that begin before `offset`, in order.
    func stored(before offset: UInt64) -> [UInt64] {
        let end = offset.roundedUp(to: blockSize) / blockSize
        return (present.members(in: 0..<end) + partial.keys.filter { $0 < end }).sorted()
    }

    /// Records bytes as stored.
    mutating func record(_ range: Range<UInt64>) {
        var offset = range.lowerBound
        let firstWhole = offset.roundedUp(to: blockSize) / blockSize
        let endWhole = range.upperBound / blockSize
        if firstWhole < endWhole {
            present.insert(firstWhole..<endWhole)
            for block in partial.keys where (firstWhole..<endWhole).contains(block) {
                partial[block] = nil
            }
        }
        while offset < range.upperBound {
            let block = offset / blockSize
            let end = min((block + 1) * blockSize, range.upperBound)
            if present.contains(block) {
                // A whole run at once would be in `present` by now.
                offset = block < endWhole ? endWhole * blockSize : end
                continue
            }
            let start = block * blockSize
            if partial[block, default: ByteRanges()].insert(
                UInt32(offset - start)..<UInt32(end - start), in: UInt32(blockSize))
            {
                partial[block] = nil
                present.insert(block..<(block + 1))
            }
            offset = end
        }
    }

    /// Forgets this block and all later ones.
    mutating func remove(from block: UInt64) {
        present.remove(block..<UInt64.max)
        for place in partial.keys where place >= block { partial[place] = nil }
    }

    /// Forgets the bytes from `offset` on; those of the block at the boundary that are zeros of a
    /// write before it then read as zeros all the same.
    mutating func clip(to offset: UInt64) {
        let boundary = offset / blockSize
        let cut = UInt32(offset - boundary * blockSize)
        remove(from: cut == 0 ? boundary : boundary + 1)
        guard cut > 0 else { return }
        if present.contains(boundary) {
            present.remove(boundary..<(boundary + 1))
            partial[boundary] = ByteRanges()
            partial[boundary]?.insert(0..<cut)
        } else {
            partial[boundary]?.clip(to: cut)
            if partial[boundary]?.isEmpty == true { partial[boundary] = nil }
        }
    }

    /// The bytes that are recorded and that a shadow of `length` bytes has lost.
    ///
    /// In the last block, bytes past `mainValid` may be zeros that a write brought along and that were
    /// cut off with the file's end; in all others they were there once.
    func lost(from length: UInt64) -> [Range<UInt64>] {
        guard let last = lastBlock else { return [] }
        var lost: [Range<UInt64>] = []
        func add(_ range: Range<UInt64>) {
            var range = range.clamped(to: length..<UInt64.max)
            if last * blockSize < length { range = range.clamped(to: 0..<max(mainValid, length)) }
            guard !range.isEmpty else { return }
            if let end = lost.last?.upperBound, end == range.lowerBound {
                lost[lost.count - 1] = lost[lost.count - 1].lowerBound..<range.upperBound
            } else {
                lost.append(range)
            }
        }
        var block = length / blockSize
        let limit = last + 1
        while block < limit {
            let start = block * blockSize
            if let ranges = partial[block] {
                for range in ranges.ranges {
                    add(start + UInt64(range.lowerBound)..<start + UInt64(range.upperBound))
                }
                block += 1
                continue
            }
            let (isPresent, end) = present.run(at: block, limit: limit)
            let next = isPresent ? end : min(end, nextPartial(after: block) ?? end)
            if isPresent { add(start..<end * blockSize) }
            block = next
        }
        return lost
    }

    private func nextPartial(after block: UInt64) -> UInt64? {
        partial.keys.lazy.filter { $0 > block }.min()
    }

    /// Records as zeros the bytes past `mainValid` that have recorded ones after them in their block.
    /// - Returns: where zeros must be written.
    mutating func fillZeros() -> [Range<UInt64>] {
        var gaps: [Range<UInt64>] = []
        for (block, ranges) in partial.sorted(by: { $0.key < $1.key }) {
            let start = block * blockSize
            var from = max(mainValid, start)
            for range in ranges.ranges where start + UInt64(range.upperBound) > from {
                let lower = start + UInt64(range.lowerBound)
                if lower > from { gaps.append(from..<lower) }
                from = start + UInt64(range.upperBound)
            }
        }
        for gap in gaps { record(gap) }
        return gaps
    }
}

extension UInt64 {
    /// - Parameter unit: a power of two. No more than the largest multiple of it comes out.
    func roundedUp(to unit: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(unit - 1)
        return (overflow ? .max : sum) & ~(unit - 1)
    }
}

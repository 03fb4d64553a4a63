import NFSProtocol

/// What a session is made with and never changes, and the counters that only rise.
extension RecordCheck {
    private static let remount =
        "a new one is made: handles that clients hold are stale, so they must mount again"

    mutating func checkIdentity() {
        checkNumber("tag", 1...Int64(UInt32.max), repair: Self.remount) {
            .random(in: 1...Int64(UInt32.max))
        }
        for key in ["secret_low", "secret_high"] {
            checkNumber(key, .min ... .max, repair: Self.remount) { .random(in: .min ... .max) }
        }
        checkNumber("fsid", 1 ... .max, repair: Self.remount) { .random(in: 1 ... .max) }
        checkImage()
        // No database of an image has this one: the session's objects are then looked up by path.
        checkNumber("epoch", .min ... .max, repair: "the image's objects are found again by path") {
            0
        }
        if let generation = records.meta("generation"), generation.integer == nil {
            tellMalformed("generation", generation, repair: "the value is moved aside")
            removeMeta("generation")
        }
        checkBlockSize()
    }

    /// - Parameter replacement: what a repair puts in the place of a value that is not in `range`.
    private mutating func checkNumber(
        _ key: String, _ range: ClosedRange<Int64>, repair: String, _ replacement: () -> Int64
    ) {
        let value = records.meta(key)
        if let number = value?.integer, range.contains(number) { return }
        tellMalformed(key, value, repair: repair)
        setMeta(key, .integer(replacement()))
    }

    private mutating func tellMalformed(_ key: String, _ value: Cell?, repair: String) {
        if let value {
            report(
                .identityMalformed, "session.sqlite",
                "the session's \(key) cannot be \(SessionTable.meta.line([.null, value]))",
                repair: repair)
        } else {
            report(
                .identityMissing, "session.sqlite", "the session's \(key) is not on record",
                repair: repair)
        }
    }

    private mutating func checkImage() {
        let value = records.meta("image")
        guard value?.text == nil else { return }
        let epoch = records.meta("epoch")?.integer
        let source: String
        let why: String
        if let image = candidates.first(where: { $0.epoch == epoch }) {
            (source, why) = (image.source, "which has the session's epoch")
        } else if let image = candidates.first(where: hasOurs) {
            (source, why) = (image.source, "which has the session's objects at their paths")
        } else if let givenSource {
            (source, why) = (givenSource, "as was said")
        } else {
            tellMalformed(
                "image", value,
                repair: "no image that is known here fits: say which it is with --image")
            return
        }
        tellMalformed("image", value, repair: "it is \(source), \(why)")
        setMeta("image", .text(Array(source.utf8)))
    }

    /// Whether objects that the session changed have their ids and paths in this image. The root has the
    /// same in all.
    private func hasOurs(_ image: ImageFacts) -> Bool {
        nodes.values.contains { node in
            guard let path = node.mainPath, node.id != .root else { return false }
            return image.path(node.id) == path
        }
    }

    // MARK: Block size

    private mutating func checkBlockSize() {
        if let size = records.meta("block_size")?.integer, size > 0,
            LayerMap.isValid(blockSize: UInt64(size))
        {
            blockSize = UInt64(size)
            return
        }
        let usual: UInt64 = 4096
        let sizes = (9...20).map { UInt64(1) << UInt64($0) }
        let found = ([usual] + sizes).first { fits(blockSize: $0) } ?? usual
        tellMalformed(
            "block_size", records.meta("block_size"),
            repair: "it is taken to be \(found) bytes, as the stored files fit that")
        setMeta("block_size", .integer(Int64(found)))
        blockSize = found
    }

    /// Whether the records of all files are possible with blocks of this size, and their shadows long
    /// enough.
    private func fits(blockSize: UInt64) -> Bool {
        files.allSatisfy { id, file in
            let pages = file.pages.compactMap { PresenceMap.Page(index: $0.key, blob: $0.value) }
            let partial = file.partial.map { (block: $0.key, blob: $0.value) }
            guard
                let map = try? LayerMap(
                    blockSize: blockSize, mainValid: file.content?.mainValid ?? 0, pages: pages,
                    partial: partial)
            else { return false }
            guard let last = Self.lastBlock(of: file) else { return map.storedBlocks == 0 }
            return last * blockSize < shadow.files[id] ?? 0
        }
    }

    private static func lastBlock(of file: FileRecord) -> UInt64? {
        var last = file.partial.keys.max()
        for (index, blob) in file.pages {
            guard let word = PresenceMap.Page(index: index, blob: blob)?.words,
                let place = word.lastIndex(where: { $0 != 0 })
            else { continue }
            let bit = UInt64(place * 64 + 63 - word[place].leadingZeroBitCount)
            last = max(last ?? 0, index << 12 | bit)
        }
        return last
    }

    // MARK: Counters

    /// Numbers that were given out and are on no record any more must not come again: a counter that is
    /// wrong is raised by far more than can have been given out.
    private static let counterLeap: Int64 = 1 << 32

    mutating func checkCounters() {
        let ids = Array(nodes.keys) + entries.values.map(\.child) + shadow.files.keys.map(\.node)
        checkCounter(
            "next_id", SessionStore.possibleIDs,
            above: ids.filter(\.isSessionMade).max()?.row ?? SessionStore.possibleIDs.lowerBound - 1
        )
        checkCounter(
            "next_cookie", SessionStore.possibleCookies,
            above: entries.values.filter { !$0.isWhiteout }.map(\.cookie).max()
                ?? SessionStore.possibleCookies.lowerBound - 1)
    }

    private mutating func checkCounter(
        _ key: String, _ range: ClosedRange<Int64>, above used: Int64
    ) {
        let value = records.meta(key)
        let raised = min(max(used, range.lowerBound) + Self.counterLeap, range.upperBound)
        guard let number = value?.integer, range.contains(number) else {
            tellMalformed(key, value, repair: "it becomes \(raised)")
            setMeta(key, .integer(raised))
            return
        }
        guard number <= used else { return }
        report(
            .counterTooLow, "session.sqlite", "\(key) is \(number), and \(used) is in use",
            repair: "it becomes \(raised)")
        setMeta(key, .integer(raised))
    }

    // MARK: Replies

    mutating func checkReplies() {
        for (key, row) in records[.reply].sorted(by: {
            $0.value[0].integer ?? 0 < $1.value[0].integer ?? 0
        })
        where !Self.isReply(row) {
            report(
                .replyMalformed, "session.sqlite",
                "the stored reply \(key[0].integer ?? 0) is not one of a call",
                repair: "the row is moved aside; a client that repeats that call is not recognised")
            removeReply(key)
        }
    }

    /// Whether this can be the reply of the call that the row tells of (RFC 5531 §9).
    private static func isReply(_ row: [Cell]) -> Bool {
        guard let client = row[1].blob, let xid = row[2].integer, let procedure = row[3].integer,
            row[4].integer != nil, let body = row[5].blob, body.count >= 12
        else { return false }
        let words = [0, 4].map { start in
            body[start..<(start + 4)].reduce(Int64(0)) { $0 << 8 | Int64($1) }
        }
        let isReply: Int64 = 1
        return !client.isEmpty && words == [xid, isReply]
            && NFS3.Procedure(rawValue: UInt32(truncatingIfNeeded: procedure)) != nil
            && UInt32(exactly: procedure) != nil
    }
}

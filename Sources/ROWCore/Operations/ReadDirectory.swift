import NFSProtocol

/// READDIR and READDIRPLUS over the merged listing (RFC 1813 §3.3.16, §3.3.17).
///
/// `.` and `..` have cookies 1 and 2, main's entries count up from 3 in the order they were first
/// seen, the session's from 2^62. A cookie is never reused, so a listing resumes at the next greater
/// one whatever happened in between.
extension SessionState {
    public struct DirectoryEntry {
        public let cookie: UInt64
        public let name: [UInt8]
        public let id: NodeID
    }

    /// Calls `body` with the entries after `cookie` until it answers false (the reply is full).
    /// - Returns: whether the last entry has been handed out.
    /// - Throws: `.need` when main must be asked for more before even one entry can be answered.
    public func readDirectory(
        _ id: NodeID, after cookie: UInt64, _ credential: Credential,
        _ body: (DirectoryEntry) throws(Interrupt) -> Bool
    ) throws(Interrupt) -> Bool {
        try forEachEntry(of: id, after: cookie, credential) {
            cookie, name, child throws(Interrupt) in
            try body(DirectoryEntry(cookie: cookie, name: Array(name), id: child))
        }
    }

    /// The same without a copy of the names, which are `body`'s only until it returns.
    package func forEachEntry(
        of id: NodeID, after cookie: UInt64, _ credential: Credential,
        _ body: (_ cookie: UInt64, _ name: UnsafeRawBufferPointer, _ child: NodeID)
            throws(Interrupt) -> Bool
    ) throws(Interrupt) -> Bool {
        let directory = try directory(id)
        guard PermissionRules.allows(.read, directory.attributes, credential) else {
            throw .status(.acces)
        }
        if directory.dirtyCommit > committed,
            pendingDeltas.contains(where: { $0.key.directory == id })
        {
            throw .wait
        }
        var isFull = false
        var handedOut = 0
        func hand(
            _ cookie: UInt64, _ name: UnsafeRawBufferPointer, _ child: NodeID
        ) throws(Interrupt) -> Bool {
            guard try body(cookie, name, child) else {
                isFull = true
                return false
            }
            handedOut += 1
            return true
        }
        func hand(_ cookie: UInt64, _ name: [UInt8], _ child: NodeID) throws(Interrupt) -> Bool {
            try name.withBytes { bytes throws(Interrupt) in try hand(cookie, bytes, child) }
        }
        if cookie < 1, try !hand(1, [46], id) { return false }
        if cookie < 2, try !hand(2, [46, 46], try parent(of: directory).id) { return false }
        if directory.showsImage, cookie < SessionStore.firstCookie {
            let first = max(cookie, 2)
            if try isComplete(directory) {
                try forEachShown(of: directory, after: first, hand)
            } else {
                try image.forEachEntry(of: id, after: first) {
                    cookie, name, child throws(Interrupt) in
                    guard try !isHidden(directory, name) else { return true }
                    return try hand(cookie, name, child)
                }
            }
            if isFull { return false }
            if try !isComplete(directory) {
                // What is known is a page of its own; the dots alone are not worth a reply.
                guard handedOut > 2 else { throw .need(.listing(directory: id)) }
                return false
            }
        }
        if directory.flags.contains(.hasDeltas) {
            // Cookies are 63 bits to SQLite; none that is greater was ever given out.
            let last = min(max(cookie, SessionStore.firstCookie - 1), UInt64(Int64.max))
            try store.forEachEntry(of: id, after: last, hand)
        }
        return !isFull
    }

    /// Calls `body` with what shows of the image's entries of a directory whose listing is complete.
    private func forEachShown(
        of directory: Node, after cookie: UInt64,
        _ body: (UInt64, UnsafeRawBufferPointer, NodeID) throws(Interrupt) -> Bool
    ) throws(Interrupt) {
        guard directory.flags.contains(.hasDeltas) else {
            return try image.forEachListed(in: directory.id, after: cookie, body)
        }
        // Entries before this cookie show.
        var shownEnd: UInt64 = 0
        try image.forEachListed(in: directory.id, after: cookie) {
            cookie, name, child throws(Interrupt) in
            if cookie >= shownEnd {
                let end = try endOfShown(directory, from: cookie)
                guard let end else { return true }
                shownEnd = end
            }
            return try body(cookie, name, child)
        }
    }

    /// The cookie before which all entries from `cookie` on show; nil when that one is hidden.
    private func endOfShown(_ directory: Node, from cookie: UInt64) throws(Interrupt) -> UInt64? {
        let index = ListingChunk.index(of: cookie)
        if directory.hidden?.knows(index) != true {
            var hidden = directory.hidden ?? HiddenEntries()
            hidden.begin(index)
            let start = max(index * ListingChunk.span, 1)
            try image.forEachListed(in: directory.id, after: start - 1) {
                cookie, name, _ throws(Interrupt) in
                guard ListingChunk.index(of: cookie) == index else { return false }
                if try delta(directory, name) != .none { hidden.hide(cookie) }
                return true
            }
            directory.hidden = hidden
        }
        return directory.hidden?.endOfShown(from: cookie)
    }

    private func isHidden(_ directory: Node, _ name: [UInt8]) throws(Interrupt) -> Bool {
        guard directory.flags.contains(.hasDeltas) else { return false }
        return try name.withBytes { bytes throws(Interrupt) in
            try delta(directory, bytes) != .none
        }
    }
}

/// Which of a directory's entries in the image a session hides, by cookie, for those ranges
/// (``ListingChunk``) that it was looked at for. Once hidden is hidden for good.
struct HiddenEntries {
    private var ranges: Set<UInt64> = []
    private var cookies = BlockSet()

    func knows(_ range: UInt64) -> Bool { ranges.contains(range) }

    /// What is hidden of a range follows.
    mutating func begin(_ range: UInt64) { ranges.insert(range) }

    mutating func hide(_ cookie: UInt64) {
        guard knows(ListingChunk.index(of: cookie)) else { return }
        cookies.insert(cookie..<cookie + 1)
    }

    /// The cookie before which all entries from `cookie` on show, within its range; nil when that one
    /// is hidden.
    func endOfShown(from cookie: UInt64) -> UInt64? {
        let end = (ListingChunk.index(of: cookie) + 1) * ListingChunk.span
        let run = cookies.run(at: cookie, limit: end)
        return run.isPresent ? nil : run.end
    }
}

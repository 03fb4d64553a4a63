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
        func hand(_ cookie: UInt64, _ name: [UInt8], _ child: NodeID) throws(Interrupt) -> Bool {
            guard try body(DirectoryEntry(cookie: cookie, name: name, id: child)) else {
                isFull = true
                return false
            }
            handedOut += 1
            return true
        }
        if cookie < 1, try !hand(1, [46], id) { return false }
        if cookie < 2, try !hand(2, [46, 46], try parent(of: directory).id) { return false }
        if directory.showsImage, cookie < SessionStore.firstCookie {
            try image.forEachEntry(of: id, after: max(cookie, 2)) {
                cookie, name, child throws(Interrupt) in
                guard try !isHidden(directory, name) else { return true }
                return try hand(cookie, name, child)
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

    private func isHidden(_ directory: Node, _ name: [UInt8]) throws(Interrupt) -> Bool {
        guard directory.flags.contains(.hasDeltas) else { return false }
        return try name.withBytes { bytes throws(Interrupt) in
            try delta(directory, bytes) != .none
        }
    }
}

import NFSProtocol

/// What main has told of and was not asked for yet: directories that are not listed, links that are not read.
///
/// Loop-confined, like the store that it looks into.
public final class UnseenObjects {
    public enum Kind: Sendable {
        case directories, links
    }

    /// Objects in the order of their directory's listing.
    public struct Found {
        public var objects: [NodeID] = []
        /// Whether all entries that are known were looked at.
        public var isAll = false
    }

    /// Entries that one search goes through: clients wait for it.
    private static let entriesMaximum = 512

    private let image: ImageStore
    private let selectEntries: RowStatement

    public init(_ image: ImageStore) throws(StateError) {
        self.image = image
        selectEntries = try image.reader.prepare(
            """
            SELECT d.cookie, n.id, n.type, n.complete, n.target FROM dentry d
            JOIN node n ON n.id = d.child WHERE d.parent = ? AND d.cookie > ?
            ORDER BY d.cookie LIMIT \(Self.entriesMaximum)
            """)
    }

    /// The objects of a directory that come after one of its entries, and then those before it.
    /// - Parameter count: at most.
    public func next(
        _ kind: Kind, in directory: NodeID, after child: NodeID? = nil, count: Int
    ) -> Found {
        var found = Found()
        let start = child.flatMap { image.place(of: $0)?.cookie } ?? 0
        found.isAll = search(kind, directory, start..<UInt64(Int64.max), count, &found.objects)
        if found.isAll, start > 0 {
            found.isAll = search(kind, directory, 0..<start, count, &found.objects)
        }
        return found
    }

    /// - Parameter cookies: after the first, and up to the last of which.
    /// - Returns: whether there are no more.
    private func search(
        _ kind: Kind, _ directory: NodeID, _ cookies: Range<UInt64>, _ count: Int,
        _ found: inout [NodeID]
    ) -> Bool {
        selectEntries.bind(1, directory.row)
        selectEntries.bind(2, Int64(bitPattern: cookies.lowerBound))
        defer { selectEntries.reset() }
        var entries = 0
        while (try? selectEntries.step()) == true {
            entries += 1
            if UInt64(bitPattern: selectEntries.int(0)) > cookies.upperBound { return true }
            guard isUnseen(kind) else { continue }
            guard found.count < count else { return false }
            found.append(NodeID(row: selectEntries.int(1)))
        }
        return entries < Self.entriesMaximum
    }

    private func isUnseen(_ kind: Kind) -> Bool {
        let type = UInt32(truncatingIfNeeded: selectEntries.int(2))
        switch kind {
        case .directories:
            return type == NFS3.FileType.directory.rawValue && selectEntries.int(3) == 0
        case .links:
            return type == NFS3.FileType.symbolicLink.rawValue && selectEntries.isNull(4)
        }
    }
}

extension ImageStore {
    /// Whether every entry of a directory is known.
    public func isComplete(_ directory: NodeID) -> Bool {
        (try? record(of: directory))?.isComplete == true
    }

    /// Entries of a directory that are known.
    public func entriesKnown(of directory: NodeID) -> UInt64 {
        max((try? lastCookie(of: directory)) ?? 2, 2) - 2
    }

    /// Whether what an operation needed is here, so that it can go on.
    public func has(_ fetch: Fetch) -> Bool {
        switch fetch {
        case .lookup(let directory, let name):
            if isKnownAbsent(NameKey(directory: directory, name: name)) { return true }
            let known = try? name.withBytes { bytes throws(Interrupt) in
                try self.child(of: directory, named: bytes)
            }
            return known != nil || isComplete(directory)
        case .listing(let directory): return isComplete(directory)
        case .target(let id): return (try? target(of: id)) != nil
        }
    }
}

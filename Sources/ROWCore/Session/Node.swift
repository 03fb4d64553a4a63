import NFSProtocol

/// One object of the merged tree as a session sees it: the one virtual attribute record that every
/// procedure reports, and what was changed. Soft state over SQLite unless a commit is due.
final class Node {
    let id: NodeID
    let code: VirtualHandle.Code
    /// What clients are told: fsid of the session, fileid of the node.
    var attributes: NFS3.Attributes
    /// The directory that holds this one; for other objects, one that did.
    var parent: NodeID
    var flags: Flags
    /// The verifier of the EXCLUSIVE create that made the file, until its first SETATTR.
    var verifier: UInt64?
    /// A session-made symbolic link's text.
    var target: [UInt8]?
    /// The changed data, once loaded.
    var content: FileContent?
    /// The last commit that has or will have rows of this node; what is later than the last
    /// finished one keeps the node in memory.
    var dirtyCommit: UInt64 = 0
    /// For CLOCK eviction.
    var isReferenced = true

    struct Flags: OptionSet {
        let rawValue: Int64
        /// session.sqlite has a row.
        static let changed = Flags(rawValue: 1)
        /// The object is gone; handles to it are stale.
        static let removed = Flags(rawValue: 2)
        /// A directory of which nothing in the image shows.
        static let opaque = Flags(rawValue: 4)
        /// A directory with rows in `delta`.
        static let hasDeltas = Flags(rawValue: 8)
        /// A file with changed data.
        static let hasContent = Flags(rawValue: 16)
        /// A directory whose listing in the image is known to be complete (not stored).
        static let isComplete = Flags(rawValue: 1 << 32)
    }

    init(
        id: NodeID, code: VirtualHandle.Code, attributes: NFS3.Attributes, parent: NodeID,
        flags: Flags
    ) {
        self.id = id
        self.code = code
        self.attributes = attributes
        self.parent = parent
        self.flags = flags
    }

    var isDirectory: Bool { attributes.type == .directory }

    /// Whether main has an object behind this directory's names.
    var showsImage: Bool { !id.isSessionMade && !flags.contains(.opaque) }
}

/// The changed data of one file: the map of its writable layer and the sparse file that holds it.
final class FileContent {
    var map: LayerMap
    /// Open while in use; closed and opened again under a limit on descriptors.
    var file: SparseFile?
    /// The map is not as recorded in SQLite.
    var isDirty = false
    /// The file is to be cut when the row that says so is committed.
    var isCutPending = false
    /// Bytes the sparse file took up when last recorded.
    var allocatedBytes: Int64 = 0
    /// How far the file at a shadow server is ready for use.
    var remote = RemoteState()

    init(map: LayerMap) { self.map = map }

    /// Disk does not know all that memory does, or somebody is at work on it.
    var isPinned: Bool { isDirty || remote.users > 0 }
}

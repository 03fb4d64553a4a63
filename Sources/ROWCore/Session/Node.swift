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
    /// Of a directory whose listing in the image is complete: what the session's changes hide of it,
    /// as far as that was listed.
    var hidden: HiddenEntries?
    /// The last commit that has or will have rows of this node; what is later than the last
    /// finished one keeps the node in memory.
    var dirtyCommit: UInt64 = 0
    /// For CLOCK eviction.
    var isReferenced = true
    /// Where ``NodeTable`` has it.
    var ringIndex: UInt32 = 0

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

/// The changed data of one file.
final class FileContent {
    /// The layer that takes writes.
    private(set) var top: FileLayer
    /// Frozen layers, newest first. What none of them holds comes from main.
    private(set) var frozen: [FileLayer]
    /// The top layer's map is not as recorded in SQLite.
    var isDirty = false
    /// The top layer's file is to be cut when the row that says so is committed.
    var isCutPending = false

    init(top: FileLayer, frozen: [FileLayer] = []) {
        self.top = top
        self.frozen = frozen
    }

    /// Puts a new layer on top; the old one does not change any more.
    /// - Parameter size: the file's, bytes.
    func freeze(below number: Int64, size: UInt64) {
        let map = LayerMap(blockSize: top.map.blockSize, mainValid: size)
        // A layer that nothing was recorded of makes room.
        if top.isRecorded { frozen.insert(top, at: 0) }
        top = FileLayer(number: number, map: map)
    }

    var layers: [FileLayer] { [top] + frozen }

    /// Disk does not know all that memory does, or somebody is at work on it.
    var isPinned: Bool { isDirty || top.remote.users > 0 }
}

/// One layer of a file's changed data: the map of what it holds, and the sparse file in which.
final class FileLayer {
    let number: Int64
    var map: LayerMap
    /// Open while in use; closed and opened again under a limit on descriptors.
    var file: SparseFile?
    /// session.sqlite has a row of this layer, or will have with the next commit of the node.
    var isRecorded = false
    /// How far the file at a shadow server is ready for use.
    var remote = RemoteState()

    init(number: Int64, map: LayerMap) {
        self.number = number
        self.map = map
    }
}

/// Names the sparse file of one layer of a node's data.
public struct LayerID: Hashable, Sendable {
    public let node: NodeID
    public let layer: Int64

    /// The name in the shadow directory.
    public var fileName: String { "\(String(node.rawValue, radix: 16)).\(layer)" }

    init(node: NodeID, layer: Int64) {
        self.node = node
        self.layer = layer
    }

    /// - Returns: nil for names that are not of our making.
    init?(fileName: String) {
        let parts = fileName.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2,
            let id = UInt64(parts[0], radix: 16).map(NodeID.init(rawValue:)), id.isPossible,
            let layer = Int64(parts[1]), layer >= 0
        else { return nil }
        self.init(node: id, layer: layer)
        guard self.fileName == fileName else { return nil }
    }
}

extension LayerID: Comparable, CustomStringConvertible {
    public static func < (lhs: LayerID, rhs: LayerID) -> Bool {
        (lhs.node, lhs.layer) < (rhs.node, rhs.layer)
    }

    /// For people.
    public var description: String { layer == 0 ? "\(node)" : "\(node) layer \(layer)" }
}

import GRDBSQLite
public import NFSProtocol

/// One object of an image, as its manifest has it.
public struct ManifestEntry: Sendable, Hashable {
    /// Numbers an object within one manifest; the root directory is 1.
    public let node: UInt64
    /// `fsid` is 0 and `fileid` the node's number; all three times are the time of modification, and `used`
    /// follows from the size. Directories have the size 4096.
    public let attributes: NFS3.Attributes

    static let root: UInt64 = 1
    static let sizeMaximum = UInt64(Int64.max) / 2
    private static let directorySize: UInt64 = 4096

    /// - Parameter size: of a file or a link, bytes; nothing else has one of its own.
    init(
        node: UInt64, type: NFS3.FileType, mode: UInt32, nlink: UInt32, uid: UInt32, gid: UInt32,
        size: UInt64, mtime: NFS3.Time, device: NFS3.Device
    ) {
        self.node = node
        let shown = type == .directory ? Self.directorySize : size
        attributes = NFS3.Attributes(
            type: type, mode: mode, nlink: nlink, uid: uid, gid: gid, size: shown,
            used: (shown + 511) / 512 * 512, rdev: device, fsid: 0, fileid: node, atime: mtime,
            mtime: mtime, ctime: mtime)
    }

    /// What `node.size` is.
    var storedSize: UInt64 {
        attributes.type == .regular || attributes.type == .symbolicLink ? attributes.size : 0
    }
}

extension ManifestEntry {
    /// Columns of `node n`, for ``init(_:from:)``.
    static let columns =
        "n.id, n.type, n.mode, n.nlink, n.uid, n.gid, n.size, n.mtime, n.major, n.minor"
    static let columnCount: Int32 = 10

    /// Reads a row of which nothing is believed.
    /// - Parameter first: the column where ``columns`` begin.
    /// - Returns: nil when it is not what a seal writes.
    init?(_ row: SQLStatement, from first: Int32) {
        let word = 0...Int64(UInt32.max)
        guard let node = row.integer(first, in: Int64(Self.root)...Int64.max),
            let typeNumber = row.integer(first + 1, in: word),
            let type = NFS3.FileType(rawValue: UInt32(typeNumber)),
            let mode = row.integer(first + 2, in: 0...0o7777),
            let nlink = row.integer(first + 3, in: 1...Int64(UInt32.max)),
            let uid = row.integer(first + 4, in: word), let gid = row.integer(first + 5, in: word),
            let size = row.integer(first + 6, in: 0...Int64(Self.sizeMaximum)),
            let time = row.integer(first + 7, in: Int64.min...Int64.max)
        else { return nil }
        let mtime = NFS3.Time(row: time)
        guard mtime.nanoseconds < 1_000_000_000 else { return nil }
        var device = NFS3.Device(major: 0, minor: 0)
        switch type {
        case .regular: break
        case .symbolicLink:
            guard (1...Int64(NFS3.pathSizeMaximum)).contains(size) else { return nil }
        case .blockDevice, .characterDevice:
            guard let major = row.integer(first + 8, in: word),
                let minor = row.integer(first + 9, in: word), size == 0
            else { return nil }
            device = NFS3.Device(major: UInt32(major), minor: UInt32(minor))
        case .directory, .fifo, .socket: guard size == 0 else { return nil }
        }
        self.init(
            node: UInt64(node), type: type, mode: UInt32(mode), nlink: UInt32(nlink),
            uid: UInt32(uid), gid: UInt32(gid), size: UInt64(size), mtime: mtime, device: device)
    }
}

extension SQLStatement {
    /// The column's value when it is an integer of a range.
    final func integer(_ column: Int32, in range: ClosedRange<Int64>) -> Int64? {
        guard type(column) == SQLITE_INTEGER else { return nil }
        let value = int(column)
        return range.contains(value) ? value : nil
    }

    /// The column's bytes when it is a BLOB of some length.
    final func bytes(_ column: Int32, count: ClosedRange<Int>) -> [UInt8]? {
        guard type(column) == SQLITE_BLOB else { return nil }
        let bytes = blob(column)
        return count.contains(bytes.count) ? bytes : nil
    }
}

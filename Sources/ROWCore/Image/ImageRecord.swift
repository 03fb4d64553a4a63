import NFSProtocol

/// One object of the image, as image.sqlite has it.
struct ImageRecord {
    let id: NodeID
    /// Where the object was first seen; its path in the image follows from it.
    let parent: NodeID
    let name: [UInt8]
    /// As main reports them: its own fsid and fileid.
    let attributes: NFS3.Attributes
    /// Whether every entry of this directory is known.
    let isComplete: Bool

    static let columns = """
        n.id, n.parent, n.name, n.type, n.mode, n.nlink, n.uid, n.gid, n.size, n.used, n.major, \
        n.minor, n.fsid, n.fileid, n.atime, n.mtime, n.ctime, n.complete
        """

    init(_ row: RowStatement) throws(Interrupt) {
        guard let attributes = NFS3.Attributes(row, from: 3, fsid: 12, fileid: 13, times: 14) else {
            throw .status(.io)
        }
        id = NodeID(row: row.int(0))
        parent = NodeID(row: row.int(1))
        name = row.blob(2)
        self.attributes = attributes
        isComplete = row.int(17) != 0
    }
}

extension NFS3.Attributes {
    /// Reads `type, mode, nlink, uid, gid, size, used, major, minor` from column `first` on and
    /// `atime, mtime, ctime` from column `times` on; nil when the row is damaged.
    init?(_ row: RowStatement, from first: Int32, fsid: Int32?, fileid: Int32?, times: Int32) {
        func word(_ column: Int32) -> UInt32 { UInt32(truncatingIfNeeded: row.int(column)) }
        func time(_ column: Int32) -> NFS3.Time {
            NFS3.Time(row: row.int(column))
        }
        guard let type = NFS3.FileType(rawValue: word(first)) else { return nil }
        self.init(
            type: type, mode: word(first + 1), nlink: word(first + 2), uid: word(first + 3),
            gid: word(first + 4), size: UInt64(bitPattern: row.int(first + 5)),
            used: UInt64(bitPattern: row.int(first + 6)),
            rdev: NFS3.Device(major: word(first + 7), minor: word(first + 8)),
            fsid: fsid.map { UInt64(bitPattern: row.int($0)) } ?? 0,
            fileid: fileid.map { UInt64(bitPattern: row.int($0)) } ?? 0,
            atime: time(times), mtime: time(times + 1), ctime: time(times + 2))
    }
}

extension NFS3.Time {
    /// The time as SQLite stores it: seconds in the upper 32 bits, nanoseconds in the lower.
    var row: Int64 { Int64(bitPattern: UInt64(seconds) << 32 | UInt64(nanoseconds)) }

    init(row: Int64) {
        let value = UInt64(bitPattern: row)
        self.init(seconds: UInt32(value >> 32), nanoseconds: UInt32(truncatingIfNeeded: value))
    }
}

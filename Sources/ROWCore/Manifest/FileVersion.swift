import NFSProtocol

/// What changes with a file's content, or with a directory's entries.
struct FileVersion: Hashable, Sendable {
    /// Bytes; 0 for a directory.
    let size: UInt64
    /// As ``NFS3/Time/row``.
    let mtime: Int64
    let ctime: Int64

    init(size: UInt64, mtime: Int64, ctime: Int64) {
        self.size = size
        self.mtime = mtime
        self.ctime = ctime
    }

    init(_ attributes: NFS3.Attributes) {
        self.init(
            size: attributes.type == .directory ? 0 : attributes.size,
            mtime: attributes.mtime.row, ctime: attributes.ctime.row)
    }
}

import GRDBSQLite
import NFSProtocol
import SystemPackage

/// A walked tree in a scratch database, so that its size takes no memory: what was found under each name,
/// from which objects get their numbers (``ManifestSchema``).
final class TreeRecord {
    /// What a walk finds under a name.
    struct Finding {
        let name: [UInt8]
        let attributes: NFS3.Attributes
        /// Of a symbolic link.
        let target: [UInt8]?
        /// The unchanged file's number in the manifest before; 0 when it must be read. For a directory the
        /// one that has its path there.
        let known: UInt64
    }

    /// A directory that is to be walked.
    struct Directory {
        let id: UInt64
        let known: UInt64
    }

    /// A name, with its object.
    struct Entry {
        let parent: UInt64
        let name: [UInt8]
        let node: ManifestEntry
        /// Whether the object has no name before this one.
        let isFirst: Bool
        let version: FileVersion
        let target: [UInt8]?
        let known: UInt64
    }

    private let connection: SQLConnection
    private let insertEntry: SQLStatement
    private let insertDirectory: SQLStatement
    private let insertLink: SQLStatement
    private let selectEntries: SQLStatement
    private let selectDirectory: SQLStatement
    private let selectNext: SQLStatement
    private let selectLink: SQLStatement
    private let updateDirectory: SQLStatement
    private var nextNode = ManifestEntry.root + 1
    /// The root's own time is not part of the image.
    private var newest = NFS3.Time(seconds: 0, nanoseconds: 0)
    private(set) var entryCount: UInt64 = 0

    /// - Parameter path: where nothing is yet.
    init(path: String) throws(SQLFailure) {
        SQLiteFiles.register()
        connection = try SQLConnection(
            path: path, flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
        try connection.execute(
            """
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
            PRAGMA cache_size = -32768; BEGIN;
            CREATE TABLE entry (
                parent INTEGER NOT NULL, name BLOB NOT NULL, type INTEGER NOT NULL,
                mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,
                size INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,
                major INTEGER NOT NULL, minor INTEGER NOT NULL, device INTEGER, inode INTEGER,
                known INTEGER NOT NULL, target BLOB,
                PRIMARY KEY (parent, name)) WITHOUT ROWID;
            CREATE TABLE directory (
                id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name BLOB NOT NULL,
                known INTEGER NOT NULL, subdirectories INTEGER, mtime INTEGER, ctime INTEGER);
            CREATE TABLE link (
                device INTEGER NOT NULL, inode INTEGER NOT NULL, node INTEGER NOT NULL,
                names INTEGER NOT NULL, PRIMARY KEY (device, inode)) WITHOUT ROWID;
            """)
        insertEntry = try SQLStatement(
            connection,
            "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        insertDirectory = try SQLStatement(
            connection,
            "INSERT INTO directory (id, parent, name, known) VALUES (?, ?, ?, ?)")
        insertLink = try SQLStatement(
            connection,
            """
            INSERT INTO link VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET names = names + 1
            RETURNING node
            """)
        selectEntries = try SQLStatement(
            connection,
            """
            SELECT name, type, device, inode, known, mtime FROM entry WHERE parent = ? ORDER BY name
            """)
        selectDirectory = try SQLStatement(
            connection,
            """
            SELECT parent, name, subdirectories, mtime, ctime FROM directory WHERE id = ?
            """)
        selectNext = try SQLStatement(
            connection,
            "SELECT id, known FROM directory WHERE id > ? ORDER BY id LIMIT 1")
        selectLink = try SQLStatement(
            connection, "SELECT node, names FROM link WHERE device = ? AND inode = ?")
        updateDirectory = try SQLStatement(
            connection,
            "UPDATE directory SET subdirectories = ?, mtime = ?, ctime = ? WHERE id = ?")
    }

    /// Of all files, those with several names once.
    func fileBytes() throws(SQLFailure) -> UInt64 {
        let sum = try SQLStatement(
            connection,
            """
            SELECT (SELECT total(size) FROM entry WHERE type = ?1 AND device IS NULL)
                + (SELECT total(size) FROM (SELECT max(size) AS size FROM entry
                    WHERE type = ?1 AND device IS NOT NULL GROUP BY device, inode))
            """)
        sum.bind(1, Int64(NFS3.FileType.regular.rawValue))
        guard try sum.advance() else { return 0 }
        return UInt64(clamping: sum.int(0))
    }

    // MARK: Walking

    /// Begins with the root directory.
    func addRoot(known: UInt64) throws(SQLFailure) {
        try add(directory: ManifestEntry.root, in: 0, named: [], known: known)
    }

    /// The directory that is to be walked after another; 0 to begin.
    func directory(after id: UInt64) throws(SQLFailure) -> Directory? {
        selectNext.bind(1, Int64(id))
        defer { selectNext.reset() }
        guard try selectNext.advance() else { return nil }
        return Directory(id: UInt64(selectNext.int(0)), known: UInt64(selectNext.int(1)))
    }

    /// Adds what a directory has, in any order.
    func add(_ finding: Finding, in directory: UInt64) throws(SQLFailure) {
        let attributes = finding.attributes
        let isFile = attributes.type != .directory
        let columns: [Int64] = [
            Int64(attributes.type.rawValue), Int64(attributes.mode), Int64(attributes.uid),
            Int64(attributes.gid), Int64(bitPattern: attributes.size), attributes.mtime.row,
            attributes.ctime.row, Int64(attributes.rdev.major), Int64(attributes.rdev.minor),
        ]
        insertEntry.bind(1, Int64(directory))
        insertEntry.bind(2, copying: finding.name)
        for (index, value) in columns.enumerated() { insertEntry.bind(Int32(index) + 3, value) }
        if isFile && attributes.nlink > 1 {
            insertEntry.bind(12, Int64(bitPattern: attributes.fsid))
            insertEntry.bind(13, Int64(bitPattern: attributes.fileid))
        } else {
            insertEntry.bindNull(12)
            insertEntry.bindNull(13)
        }
        insertEntry.bind(14, Int64(finding.known))
        if let target = finding.target {
            insertEntry.bind(15, copying: target)
        } else {
            insertEntry.bindNull(15)
        }
        try insertEntry.run()
        entryCount += 1
    }

    /// Numbers what a directory has, when all of it has been added.
    /// - Parameter version: the directory's own.
    func finish(_ directory: UInt64, _ version: FileVersion) throws(SQLFailure) {
        var subdirectories: Int64 = 0
        selectEntries.bind(1, Int64(directory))
        defer { selectEntries.reset() }
        while try selectEntries.advance() {
            if directory == ManifestEntry.root {
                newest = max(newest, NFS3.Time(row: selectEntries.int(5)))
            }
            if selectEntries.int(1) == Int64(NFS3.FileType.directory.rawValue) {
                subdirectories += 1
                try add(
                    directory: nextNode, in: directory, named: selectEntries.blob(0),
                    known: UInt64(selectEntries.int(4)))
                nextNode += 1
            } else if selectEntries.isNull(2) {
                nextNode += 1
            } else {
                insertLink.bind(1, selectEntries.int(2))
                insertLink.bind(2, selectEntries.int(3))
                insertLink.bind(3, Int64(nextNode))
                guard try insertLink.advance() else { continue }
                let isFirst = insertLink.int(0) == Int64(nextNode)
                insertLink.reset()
                if isFirst { nextNode += 1 }
            }
        }
        updateDirectory.bind(1, subdirectories)
        updateDirectory.bind(2, version.mtime)
        updateDirectory.bind(3, version.ctime)
        updateDirectory.bind(4, Int64(directory))
        try updateDirectory.run()
    }

    private func add(
        directory id: UInt64, in parent: UInt64, named name: [UInt8], known: UInt64
    ) throws(SQLFailure) {
        insertDirectory.bind(1, Int64(id))
        insertDirectory.bind(2, Int64(parent))
        insertDirectory.bind(3, copying: name)
        insertDirectory.bind(4, Int64(known))
        try insertDirectory.run()
    }

    // MARK: Reading

    /// The path of a directory below the root, without slashes around it.
    func path(of directory: UInt64) throws(SQLFailure) -> [UInt8] {
        var names: [[UInt8]] = []
        var id = Int64(directory)
        defer { selectDirectory.reset() }
        while id != Int64(ManifestEntry.root) {
            selectDirectory.reset()
            selectDirectory.bind(1, id)
            guard try selectDirectory.advance() else { break }
            id = selectDirectory.int(0)
            names.append(selectDirectory.blob(1))
        }
        return Array(names.reversed().joined(separator: [UInt8(ascii: "/")]))
    }

    /// A directory as it was when it was walked.
    func version(of directory: UInt64) throws(SQLFailure) -> FileVersion {
        selectDirectory.bind(1, Int64(directory))
        defer { selectDirectory.reset() }
        _ = try selectDirectory.advance()
        return FileVersion(
            size: 0, mtime: selectDirectory.int(3), ctime: selectDirectory.int(4))
    }

    /// The root directory, of the attributes that its walk began with.
    func root(_ attributes: NFS3.Attributes) throws(SQLFailure) -> ManifestEntry {
        ManifestEntry(
            node: ManifestEntry.root, type: .directory, mode: attributes.mode,
            nlink: try directoryLinks(ManifestEntry.root), uid: attributes.uid,
            gid: attributes.gid, size: 0, mtime: newest,
            device: NFS3.Device(major: 0, minor: 0))
    }

    /// Goes through all names in the order of their directories' numbers and their bytes.
    func entries() throws(SQLFailure) -> Cursor { try Cursor(self) }

    /// Where one goes through the names.
    final class Cursor {
        private let record: TreeRecord
        private let rows: SQLStatement
        private var nextNode = ManifestEntry.root + 1
        private var isAtEnd = false

        fileprivate init(_ record: TreeRecord) throws(SQLFailure) {
            self.record = record
            rows = try SQLStatement(
                record.connection,
                """
                SELECT parent, name, type, mode, uid, gid, size, mtime, ctime, major, minor,
                    device, inode, known, target FROM entry ORDER BY parent, name
                """)
        }

        /// The next name; nil after the last.
        func next() throws(SQLFailure) -> Entry? {
            guard !isAtEnd, try rows.advance() else {
                // One more step would begin again.
                isAtEnd = true
                return nil
            }
            func word(_ column: Int32) -> UInt32 { UInt32(truncatingIfNeeded: rows.int(column)) }
            let type = NFS3.FileType(rawValue: word(2)) ?? .regular
            let (id, nlink) = try identity(type)
            let isFirst = id == nextNode
            if isFirst { nextNode += 1 }
            let size = UInt64(bitPattern: rows.int(6))
            let hasDevice = type == .blockDevice || type == .characterDevice
            return Entry(
                parent: UInt64(rows.int(0)), name: rows.blob(1),
                node: ManifestEntry(
                    node: id, type: type, mode: word(3), nlink: nlink, uid: word(4),
                    gid: word(5), size: type == .regular || type == .symbolicLink ? size : 0,
                    mtime: NFS3.Time(row: rows.int(7)),
                    device: NFS3.Device(
                        major: hasDevice ? word(9) : 0, minor: hasDevice ? word(10) : 0)),
                isFirst: isFirst,
                version: FileVersion(size: size, mtime: rows.int(7), ctime: rows.int(8)),
                target: rows.isNull(14) ? nil : rows.blob(14), known: UInt64(rows.int(13)))
        }

        /// Numbers as ``TreeRecord/finish(_:_:)`` did.
        private func identity(
            _ type: NFS3.FileType
        ) throws(SQLFailure) -> (id: UInt64, nlink: UInt32) {
            if type == .directory { return (nextNode, try record.directoryLinks(nextNode)) }
            guard !rows.isNull(11) else { return (nextNode, 1) }
            return try record.link(device: rows.int(11), inode: rows.int(12))
        }
    }

    /// A directory is linked by its name, by itself and by the directories in it.
    fileprivate func directoryLinks(_ id: UInt64) throws(SQLFailure) -> UInt32 {
        selectDirectory.bind(1, Int64(id))
        defer { selectDirectory.reset() }
        _ = try selectDirectory.advance()
        return UInt32(clamping: 2 + selectDirectory.int(2))
    }

    fileprivate func link(
        device: Int64, inode: Int64
    ) throws(SQLFailure) -> (id: UInt64, nlink: UInt32) {
        selectLink.bind(1, device)
        selectLink.bind(2, inode)
        defer { selectLink.reset() }
        _ = try selectLink.advance()
        return (UInt64(selectLink.int(0)), UInt32(clamping: selectLink.int(1)))
    }
}

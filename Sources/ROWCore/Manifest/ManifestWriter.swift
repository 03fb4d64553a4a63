internal import Crypto
import GRDBSQLite
import NFSProtocol
import SystemPackage

/// Writes a `manifest.sqlite`. The same rows in the same order make the same bytes.
///
/// Nothing is durable until somebody syncs the file.
final class ManifestWriter {
    private let path: FilePath
    private let connection: SQLConnection
    private let insertNode: SQLStatement
    private let insertDentry: SQLStatement
    private let insertChunks: SQLStatement
    private var tree = SHA256()
    /// What is still to go into `tree`.
    private var pending: [UInt8] = []
    private var facts = ManifestReader.Facts(nodes: 0, files: 0, bytes: 0, chunks: 0)

    /// - Parameter path: where nothing is yet.
    init(path: FilePath) throws(SQLFailure) {
        SQLiteFiles.register()
        self.path = path
        connection = try SQLConnection(
            path: path.string, flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
        try connection.execute(
            """
            PRAGMA page_size = 4096; PRAGMA auto_vacuum = NONE; PRAGMA encoding = 'UTF-8';
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
            PRAGMA secure_delete = ON; BEGIN
            """)
        for (_, sql) in ManifestSchema.tables { try connection.execute(sql) }
        insertNode = try SQLStatement(
            connection, "INSERT INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        insertDentry = try SQLStatement(connection, "INSERT INTO dentry VALUES (?, ?, ?)")
        insertChunks = try SQLStatement(connection, "INSERT INTO chunks VALUES (?, ?, ?)")
    }

    func add(root: ManifestEntry) throws(SQLFailure) {
        try add(root, in: 0, named: [], target: nil)
    }

    /// Adds a name, and its object when it is the first of it.
    func add(_ entry: TreeRecord.Entry) throws(SQLFailure) {
        insertDentry.bind(1, Int64(entry.parent))
        insertDentry.bind(2, copying: entry.name)
        insertDentry.bind(3, Int64(entry.node.node))
        try insertDentry.run()
        hash("d", [entry.parent, entry.node.node], entry.name)
        if entry.isFirst {
            try add(entry.node, in: entry.parent, named: entry.name, target: entry.target)
        }
    }

    private func add(
        _ entry: ManifestEntry, in parent: UInt64, named name: [UInt8], target: [UInt8]?
    ) throws(SQLFailure) {
        let attributes = entry.attributes
        let columns: [UInt64] = [
            entry.node, UInt64(attributes.type.rawValue), UInt64(attributes.mode),
            UInt64(attributes.nlink), UInt64(attributes.uid), UInt64(attributes.gid),
            entry.storedSize, UInt64(bitPattern: attributes.mtime.row),
            UInt64(attributes.rdev.major), UInt64(attributes.rdev.minor),
        ]
        let hasDevice =
            attributes.type == .blockDevice || attributes.type == .characterDevice
        for (index, value) in columns.enumerated() {
            if index < 8 || hasDevice {
                insertNode.bind(Int32(index) + 1, Int64(bitPattern: value))
            } else {
                insertNode.bindNull(Int32(index) + 1)
            }
        }
        if attributes.type == .directory, parent != 0 {
            insertNode.bind(11, Int64(parent))
            insertNode.bind(12, copying: name)
        } else {
            insertNode.bindNull(11)
            insertNode.bindNull(12)
        }
        if let target {
            insertNode.bind(13, copying: target)
        } else {
            insertNode.bindNull(13)
        }
        try insertNode.run()
        hash("n", columns, target ?? [])
        facts.nodes += 1
        if attributes.type == .regular {
            facts.files += 1
            facts.bytes += attributes.size
        }
    }

    /// Adds the hashes of a file's blocks.
    func add(hashes: [UInt8], of node: UInt64, page: UInt64) throws(SQLFailure) {
        insertChunks.bind(1, Int64(node))
        insertChunks.bind(2, Int64(page))
        insertChunks.bind(3, copying: hashes)
        try insertChunks.run()
        hash("c", [node, page], hashes)
        facts.chunks += UInt64(hashes.count / ContentHash.byteCount)
    }

    /// Writes the rest.
    func finish() throws -> ManifestReader.Facts {
        pending.withUnsafeBytes { tree.update(bufferPointer: $0) }
        let insert = try SQLStatement(connection, "INSERT INTO meta VALUES (?, ?)")
        for (key, value) in [
            ("bytes", Int64(facts.bytes)), ("chunks", Int64(facts.chunks)),
            ("files", Int64(facts.files)), ("format", ManifestSchema.format),
            ("nodes", Int64(facts.nodes)),
        ] {
            insert.bind(1, text: key)
            insert.bind(2, value)
            try insert.run()
        }
        insert.bind(1, text: "tree")
        insert.bind(2, copying: ContentHash(tree).bytes)
        try insert.run()
        try connection.execute("COMMIT")
        try makeHeaderEqual()
        return facts
    }

    /// SQLite's header has how often the file was changed, and by which version of SQLite: neither says
    /// anything of the image.
    private func makeHeaderEqual() throws {
        let file = try SparseFile(path: path, create: false)
        let one: [UInt8] = [0, 0, 0, 1]
        // The change counter, the counter that the header is valid for, and the version.
        for (offset, value) in [(24, one), (92, one), (96, [UInt8](repeating: 0, count: 4))] {
            try value.withUnsafeBytes { bytes in
                try file.write(bytes, at: UInt64(offset))
            }
        }
    }

    /// Adds a row to the hash of all: a letter, numbers of 8 bytes and the length of the bytes of 8, most
    /// significant first, and the bytes.
    private func hash(_ letter: Unicode.Scalar, _ numbers: [UInt64], _ bytes: [UInt8]) {
        pending.append(UInt8(ascii: letter))
        for number in numbers + [UInt64(bytes.count)] {
            withUnsafeBytes(of: number.bigEndian) { pending += $0 }
        }
        pending += bytes
        guard pending.count >= 64 << 10 else { return }
        pending.withUnsafeBytes { tree.update(bufferPointer: $0) }
        pending.removeAll(keepingCapacity: true)
    }
}

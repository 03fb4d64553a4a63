import GRDBSQLite
import NFSProtocol

/// Reads a manifest, of which nothing is believed: what no seal would have written is an error.
///
/// For one thread at a time. A call does work for what it answers and no more; it holds one page of results.
/// Its errors are `io` when bytes of the file cannot be had now, so that the same call may succeed later,
/// and `unreadable` when they are wrong.
///
/// Whoever goes down from the root ends: each directory is in one place, and has a greater number than the
/// one that it is in.
public final class ManifestReader {
    /// What the manifest says of the whole image.
    public struct Facts: Sendable, Hashable, Codable {
        /// Objects of all types.
        public var nodes: UInt64
        /// Regular files.
        public var files: UInt64
        /// Of all regular files together.
        public var bytes: UInt64
        /// Blocks of 64 KiB that have hashes.
        public var chunks: UInt64
    }

    /// Entries of a directory.
    public struct Page: Sendable {
        /// In the order of the names' bytes.
        public let entries: [(name: [UInt8], entry: ManifestEntry)]
        /// Whether the directory has no more.
        public let isLast: Bool
    }

    /// The most entries that are read at once.
    public static let pageCountMaximum = 4096

    public let facts: Facts
    /// Hash of all rows in their order, which does not depend on how SQLite lays them out.
    public let tree: ContentHash
    private let connection: SQLConnection
    private let selectNode: SQLStatement
    private let selectEntry: SQLStatement
    private let selectPage: SQLStatement
    private let selectTarget: SQLStatement
    private let selectHashes: SQLStatement

    private static let entryColumns = "\(ManifestEntry.columns), n.parent, n.name"
    /// Longer than any row that a seal writes.
    private static let lengthMaximum: Int32 = 16 << 10
    /// Many times what it takes to read our schema and the facts.
    private static let openingStepMaximum: Int32 = 5000

    /// Opens a manifest; its file must not change as long as it is open.
    /// - Parameter vfs: the name of an SQLite virtual file system to read it by; nil for the system's files.
    /// - Throws: `notFound`, `io`, `unreadable`, `newerSchema`.
    public init(path: String, vfs: String? = nil) throws(StateError) {
        do {
            connection = try SQLConnection(
                path: Self.uri(of: path), flags: SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, vfs: vfs)
        } catch {
            throw StateError(
                error.code == SQLITE_CANTOPEN ? .notFound : .io,
                "cannot open the manifest \(path): \(error)")
        }
        do {
            connection.setLengthMaximum(Self.lengthMaximum)
            connection.setStepMaximum(Self.openingStepMaximum)
            try connection.execute(
                """
                PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;
                PRAGMA query_only = ON; BEGIN
                """)
            guard try Self.hasOurSchema(connection) else {
                throw Self.damaged("its tables are others")
            }
            (facts, tree) = try Self.readFacts(connection)
            selectNode = try SQLStatement(
                connection, "SELECT \(Self.entryColumns) FROM node n WHERE n.id = ?")
            selectEntry = try SQLStatement(
                connection,
                """
                SELECT \(Self.entryColumns), d.child FROM dentry d LEFT JOIN node n ON n.id = d.child
                WHERE d.parent = ? AND d.name = ?
                """)
            selectPage = try SQLStatement(
                connection,
                """
                SELECT \(Self.entryColumns), d.child, d.name
                FROM dentry d LEFT JOIN node n ON n.id = d.child
                WHERE d.parent = ? AND d.name > ? ORDER BY d.name LIMIT ?
                """)
            selectTarget = try SQLStatement(
                connection, "SELECT n.target, n.size FROM node n WHERE n.id = ? AND n.type = 5")
            selectHashes = try SQLStatement(
                connection, "SELECT hashes FROM chunks WHERE node = ? AND page = ?")
            connection.setStepMaximum(nil)
        } catch let error as StateError {
            throw error
        } catch let error as SQLFailure where error.code == SQLITE_INTERRUPT {
            throw Self.damaged("it has more tables than a manifest")
        } catch let error as SQLFailure {
            throw Self.failed(error)
        } catch {
            throw StateError(.io, "\(error)")
        }
    }

    /// The root directory.
    public func root() throws(StateError) -> ManifestEntry {
        guard let root = try entry(of: ManifestEntry.root), root.attributes.type == .directory
        else { throw Self.damaged("it has no root directory") }
        return root
    }

    /// An object by its number; nil when there is none.
    public func entry(of node: UInt64) throws(StateError) -> ManifestEntry? {
        try query(selectNode) { row in
            row.bind(1, Int64(bitPattern: node))
        } read: { row throws(StateError) in
            try Self.entry(row, of: node)
        }
    }

    /// What a directory has by a name; nil when there is no such name.
    public func entry(
        in directory: UInt64, named name: [UInt8]
    ) throws(StateError) -> ManifestEntry? {
        guard name.canNameObject else { return nil }
        return try query(selectEntry) { row in
            row.bind(1, Int64(bitPattern: directory))
            row.bind(2, copying: name)
        } read: { row throws(StateError) in
            try Self.entry(row, in: directory, named: name, childColumn: Self.childColumn)
        }
    }

    /// Entries of a directory, in the order of their names' bytes.
    /// - Parameter after: the name that comes before; empty to begin.
    /// - Parameter count: the most entries, 1...``pageCountMaximum``.
    /// - Returns: none for what is no directory.
    public func page(
        of directory: UInt64, after: [UInt8] = [], count: Int
    ) throws(StateError) -> Page {
        precondition((1...Self.pageCountMaximum).contains(count))
        var entries: [(name: [UInt8], entry: ManifestEntry)] = []
        var last = after
        hold()
        selectPage.bind(1, Int64(bitPattern: directory))
        selectPage.bind(2, copying: after)
        selectPage.bind(3, Int64(count))
        defer { selectPage.reset() }
        while try advance(selectPage) {
            guard entries.count < count,
                let name = selectPage.bytes(Self.childColumn + 1, count: 1...255),
                last.lexicographicallyPrecedes(name)
            else { throw Self.damaged("a listing is out of order") }
            let entry = try Self.entry(
                selectPage, in: directory, named: name, childColumn: Self.childColumn)
            entries.append((name, entry))
            last = name
        }
        return Page(entries: entries, isLast: entries.count < count)
    }

    /// What a symbolic link points to; nil for anything else.
    public func target(of node: UInt64) throws(StateError) -> [UInt8]? {
        try query(selectTarget) { row in
            row.bind(1, Int64(bitPattern: node))
        } read: { row throws(StateError) in
            guard let target = row.bytes(0, count: 1...NFS3.pathSizeMaximum),
                row.integer(1, in: Int64(target.count)...Int64(target.count)) != nil,
                !target.contains(0)
            else { throw Self.damaged("a link has no target") }
            return target
        }
    }

    /// The object at a path.
    /// - Parameter path: names with slashes between them; links are not followed. Empty for the root.
    /// - Returns: its number; nil when there is none.
    public func find(path: [UInt8]) throws(StateError) -> UInt64? {
        var node = ManifestEntry.root
        for name in path.split(separator: UInt8(ascii: "/")) {
            guard let entry = try entry(in: node, named: Array(name)) else { return nil }
            node = entry.node
        }
        return node
    }

    /// The hashes of a file's blocks of 64 KiB: of block 256 × `page` and those after it, 32 bytes each.
    /// - Returns: for 256 blocks, or as many as the file has to its end; nil when it has none there, or the
    ///   object is no file.
    public func hashes(of node: UInt64, page: UInt64) throws(StateError) -> [UInt8]? {
        guard let file = try entry(of: node)?.attributes, file.type == .regular,
            page < ManifestSchema.pageCount(size: file.size)
        else { return nil }
        let blocks = ManifestSchema.blocks(of: page, size: file.size).count
        let count = blocks * ContentHash.byteCount
        let hashes: [UInt8]? = try query(selectHashes) { row in
            row.bind(1, Int64(bitPattern: node))
            row.bind(2, Int64(bitPattern: page))
        } read: { row throws(StateError) in
            guard let hashes = row.bytes(0, count: count...count) else {
                throw Self.damaged("a file has other hashes than blocks")
            }
            return hashes
        }
        guard let hashes else { throw Self.damaged("a file has no hashes") }
        return hashes
    }

    // MARK: Statements

    private static let childColumn = ManifestEntry.columnCount + 2

    /// Begins a transaction, which spares a look at the file's header for each query, unless one is open.
    private func hold() {
        if !connection.isInTransaction { try? connection.execute("BEGIN") }
    }

    private func advance(_ statement: SQLStatement) throws(StateError) -> Bool {
        do { return try statement.advance() } catch { throw Self.failed(error) }
    }

    /// Reads the one row that a query has, if it has one.
    private func query<Value>(
        _ statement: SQLStatement, bind: (SQLStatement) -> Void,
        read: (SQLStatement) throws(StateError) -> Value
    ) throws(StateError) -> Value? {
        hold()
        bind(statement)
        defer { statement.reset() }
        return try advance(statement) ? try read(statement) : nil
    }

    private static func entry(
        _ row: SQLStatement, of node: UInt64
    ) throws(StateError) -> ManifestEntry {
        guard let entry = ManifestEntry(row, from: 0), entry.node == node else {
            throw damaged("the row of object \(node) is wrong")
        }
        return entry
    }

    /// Reads an entry and checks that it can be where it was found.
    private static func entry(
        _ row: SQLStatement, in directory: UInt64, named name: [UInt8], childColumn: Int32
    ) throws(StateError) -> ManifestEntry {
        let nameColumn = childColumn - 1
        guard name.canNameObject, let child = row.integer(childColumn, in: 2...Int64.max),
            let parent = Int64(exactly: directory)
        else { throw damaged("an entry of directory \(directory) is wrong") }
        let entry = try entry(row, of: UInt64(child))
        if entry.attributes.type == .directory {
            guard entry.node > directory, row.integer(nameColumn - 1, in: parent...parent) != nil,
                row.bytes(nameColumn, count: 1...255) == name
            else { throw damaged("directory \(child) is in two places") }
        }
        return entry
    }

    // MARK: Opening

    private static func hasOurSchema(
        _ connection: SQLConnection
    ) throws(SQLFailure) -> Bool {
        let rows = try SQLStatement(
            connection, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rootpage")
        for (name, sql) in ManifestSchema.tables {
            guard try rows.advance(),
                [0, 1, 2, 3].map({ rows.blob($0) })
                    == ["table", name, name, sql].map({ Array($0.utf8) })
            else { return false }
        }
        return try !rows.advance()
    }

    private static func readFacts(
        _ connection: SQLConnection
    ) throws -> (Facts, ContentHash) {
        let row = try SQLStatement(connection, "SELECT value FROM meta WHERE key = ?")
        func integer(_ key: String) throws -> UInt64 {
            defer { row.reset() }
            row.bind(1, text: key)
            guard try row.advance(), let value = row.integer(0, in: 0...Int64.max) else {
                throw damaged("it does not say how many \(key) it has")
            }
            return UInt64(value)
        }
        let format = try integer("format")
        guard format == ManifestSchema.format else {
            throw StateError(
                .newerSchema,
                "the manifest has format \(format), which is newer than this program: upgrade it")
        }
        let facts = Facts(
            nodes: try integer("nodes"), files: try integer("files"), bytes: try integer("bytes"),
            chunks: try integer("chunks"))
        row.bind(1, text: "tree")
        defer { row.reset() }
        let count = ContentHash.byteCount
        guard try row.advance(), let tree = row.bytes(0, count: count...count) else {
            throw damaged("it has no hash of its content")
        }
        return (facts, tree.withUnsafeBytes { ContentHash(bytes: $0) })
    }

    /// SQLite's name for a file that nobody changes.
    private static func uri(of path: String) -> String {
        let digits = Array("0123456789ABCDEF")
        let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-".utf8)
        let escaped = path.utf8.map { byte in
            plain.contains(byte)
                ? String(UnicodeScalar(byte))
                : "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
        }.joined()
        return "file:\(path.hasPrefix("/") ? "//" : "")\(escaped)?immutable=1"
    }

    private static func failed(_ error: SQLFailure) -> StateError {
        error.isDamage
            ? damaged("\(error)") : StateError(.io, "cannot read the manifest: \(error)")
    }

    private static func damaged(_ what: String) -> StateError {
        StateError(
            .unreadable,
            "the manifest is damaged (\(what)); the image must be sealed again (rowctl image seal)")
    }
}

import Foundation
import GRDB
import NFSProtocol

/// A name in a directory.
struct EntryName: Hashable {
    let directory: NodeID
    let name: [UInt8]
}

/// One object as one of the databases has it.
struct DiffNode {
    let type: NFS3.FileType
    let mode: UInt32
    let uid: UInt32
    let gid: UInt32
    let size: UInt64
    let mtime: Int64

    static let columns = "type, mode, uid, gid, size, mtime"

    /// - Parameter first: the column where ``columns`` begin.
    init(_ row: Row, from first: Int, _ id: NodeID) throws {
        func word(_ column: Int) throws -> UInt32 {
            UInt32(truncatingIfNeeded: try row.integer(column))
        }
        guard let type = NFS3.FileType(rawValue: try word(first)) else {
            throw StateError(.unreadable, "the row of \(id) is damaged")
        }
        self.type = type
        mode = try word(first + 1) & 0o7777
        uid = try word(first + 2)
        gid = try word(first + 3)
        size = UInt64(bitPattern: try row.integer(first + 4))
        mtime = try row.integer(first + 5)
    }
}

extension Row {
    /// - Throws: GRDB's error when the column holds something else.
    fileprivate func integer(_ column: Int) throws -> Int64 { try decode(atIndex: column) }

    fileprivate func bytes(_ column: Int) throws -> [UInt8] {
        Array(try decode(Data.self, atIndex: column))
    }
}

/// session.sqlite, read only.
struct SessionRows {
    struct Changed {
        let flags: Node.Flags
        let node: DiffNode
        var content: Content?

        var isRemoved: Bool { flags.contains(.removed) }
    }

    /// The changed data of a file, all layers together.
    struct Content {
        let blocks: Int64
        let mainValid: UInt64
        let allocated: UInt64
    }

    /// Every object that the session has a row of.
    let nodes: [NodeID: Changed]
    private let db: GRDB.Database
    private let image: String
    private let epoch: Int64
    private let generation: Int64

    init(_ db: GRDB.Database) throws {
        self.db = db
        image = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'image'") ?? ""
        epoch = try Self.integer(db, "epoch")
        generation = try Self.integer(db, "generation")
        var nodes: [NodeID: Changed] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: """
                SELECT id, flags, blocks, valid, allocated, \(DiffNode.columns) FROM node LEFT JOIN
                    (SELECT node, sum(blocks) AS blocks, min(main_valid) AS valid,
                        sum(allocated) AS allocated FROM content GROUP BY node) ON node = id
                """)
        while let row = try rows.next() {
            let id = NodeID(row: try row.integer(0))
            var content: Content?
            if row[2] as DatabaseValue != .null {
                content = Content(
                    blocks: try row.integer(2),
                    mainValid: UInt64(bitPattern: try row.integer(3)),
                    allocated: UInt64(bitPattern: try row.integer(4)))
            }
            nodes[id] = Changed(
                flags: Node.Flags(rawValue: try row.integer(1)),
                node: try DiffNode(row, from: 5, id),
                content: content)
        }
        self.nodes = nodes
    }

    /// The ids in the session's rows must be those of this image database.
    func checkStands(on other: ImageRows) throws {
        let source = try other.source()
        guard image == source else {
            throw StateError(.imageMismatch, "the session was made on \(image), not on \(source)")
        }
        guard try other.integer("epoch") == epoch, generation <= (try other.integer("generation"))
        else {
            throw StateError(
                .imageMismatch,
                "the database of the image \(image) was lost or is an older copy; serve the session "
                    + "once so that it finds its objects again"
            )
        }
    }

    /// Calls `body` with every change of a name; `child` nil: a whiteout.
    func forEachDelta(_ body: (EntryName, _ child: NodeID?) throws -> Void) throws {
        let rows = try Row.fetchCursor(db, sql: "SELECT parent, name, child FROM delta")
        while let row = try rows.next() {
            let child = NodeID(row: try row.integer(2))
            try body(
                EntryName(directory: NodeID(row: try row.integer(0)), name: try row.bytes(1)),
                child.rawValue == 0 ? nil : child)
        }
    }

    func hasDelta(_ name: EntryName) throws -> Bool {
        try Int.fetchOne(
            db.cachedStatement(sql: "SELECT 1 FROM delta WHERE parent = ? AND name = ?"),
            arguments: [name.directory.row, Data(name.name)]) != nil
    }

    fileprivate static func integer(_ db: GRDB.Database, _ key: String) throws -> Int64 {
        try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key]) ?? 0
    }
}

/// image.sqlite, read only.
struct ImageRows {
    private let db: GRDB.Database

    init(_ db: GRDB.Database) { self.db = db }

    func source() throws -> String {
        try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'source'") ?? ""
    }

    func integer(_ key: String) throws -> Int64 { try SessionRows.integer(db, key) }

    /// What main has under a name, as far as it is known.
    func child(_ name: EntryName) throws -> NodeID? {
        try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT child FROM dentry WHERE parent = ? AND name = ?"),
            arguments: [name.directory.row, Data(name.name)]
        ).map { NodeID(row: $0) }
    }

    /// Calls `body` with every known name in a directory.
    func forEachEntry(
        of directory: NodeID, _ body: (EntryName, _ child: NodeID) throws -> Void
    ) throws {
        let rows = try Row.fetchCursor(
            db, sql: "SELECT name, child FROM dentry WHERE parent = ?",
            arguments: [directory.row])
        while let row = try rows.next() {
            try body(
                EntryName(directory: directory, name: try row.bytes(0)),
                NodeID(row: try row.integer(1)))
        }
    }

    /// An object, and the name by which it was first seen.
    func node(_ id: NodeID) throws -> (node: DiffNode, name: EntryName) {
        guard
            let row = try Row.fetchOne(
                db.cachedStatement(
                    sql: "SELECT parent, name, \(DiffNode.columns) FROM node WHERE id = ?"),
                arguments: [id.row])
        else { throw StateError(.unreadable, "the image database has no row of \(id)") }
        return (
            try DiffNode(row, from: 2, id),
            EntryName(directory: NodeID(row: try row.integer(0)), name: try row.bytes(1))
        )
    }

    /// All known names of some objects: looks through the names of the whole image.
    func names(of objects: Set<NodeID>) throws -> [NodeID: [EntryName]] {
        guard !objects.isEmpty else { return [:] }
        var names: [NodeID: [EntryName]] = [:]
        let rows = try Row.fetchCursor(db, sql: "SELECT child, parent, name FROM dentry")
        while let row = try rows.next() {
            let id = NodeID(row: try row.integer(0))
            guard objects.contains(id) else { continue }
            names[id, default: []].append(
                EntryName(directory: NodeID(row: try row.integer(1)), name: try row.bytes(2)))
        }
        return names
    }
}

import Foundation
import GRDB
import NFSProtocol

/// Writes rows of an image. What listings bring by the hundred goes by statements of its own, which
/// cost a fifth of what they do through GRDB.
///
/// `@unchecked Sendable`: the writer's thread alone uses it, and the loop before there is a writer.
final class ImageInserter: @unchecked Sendable {
    private struct Statements {
        let node: SQLStatement
        let dentry: SQLStatement
        let link: SQLStatement
        let handle: SQLStatement

        init(_ db: GRDB.Database) throws(SQLFailure) {
            node = try SQLStatement(
                db,
                """
                INSERT INTO node (id, parent, name, type, mode, nlink, uid, gid, size, used, major,
                    minor, fsid, fileid, atime, mtime, ctime, replica)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """)
            dentry = try SQLStatement(
                db, "INSERT INTO dentry (parent, name, child, cookie) VALUES (?, ?, ?, ?)")
            link = try SQLStatement(
                db,
                "INSERT OR REPLACE INTO link (replica, fsid, fileid, node) VALUES (?, ?, ?, ?)")
            handle = try SQLStatement(
                db, "INSERT OR REPLACE INTO handle (node, replica, handle) VALUES (?, ?, ?)")
        }
    }

    private var statements: Statements?

    /// - Parameter db: the same one each time.
    func insert(_ row: ImageStore.Row, into db: GRDB.Database) throws {
        let statements = try self.statements ?? Statements(db)
        self.statements = statements
        switch row {
        case .node(let id, let parent, let name, let attributes, let replica):
            try insert(id, parent, name, attributes, replica, by: statements.node)
        case .dentry(let directory, let name, let child, let cookie):
            let insert = statements.dentry
            insert.bind(1, directory.row)
            insert.bind(2, copying: name)
            insert.bind(3, child.row)
            insert.bind(4, Int64(bitPattern: cookie))
            try insert.run()
        case .link(let key, let id):
            let insert = statements.link
            insert.bind(1, Int64(key.replica))
            insert.bind(2, Int64(bitPattern: key.fsid))
            insert.bind(3, Int64(bitPattern: key.fileid))
            insert.bind(4, id.row)
            try insert.run()
        case .handle(let id, let replica, let handle):
            let insert = statements.handle
            insert.bind(1, id.row)
            insert.bind(2, Int64(replica))
            insert.bind(3, copying: handle.array)
            try insert.run()
        default: try insertRare(row, into: db)
        }
    }

    private func insert(
        _ id: NodeID, _ parent: NodeID, _ name: [UInt8], _ attributes: NFS3.Attributes,
        _ replica: Int, by insert: SQLStatement
    ) throws(SQLFailure) {
        insert.bind(1, id.row)
        insert.bind(2, parent.row)
        insert.bind(3, copying: name)
        insert.bind(4, Int64(attributes.type.rawValue))
        insert.bind(5, Int64(attributes.mode))
        insert.bind(6, Int64(attributes.nlink))
        insert.bind(7, Int64(attributes.uid))
        insert.bind(8, Int64(attributes.gid))
        insert.bind(9, Int64(bitPattern: attributes.size))
        insert.bind(10, Int64(bitPattern: attributes.used))
        insert.bind(11, Int64(attributes.rdev.major))
        insert.bind(12, Int64(attributes.rdev.minor))
        insert.bind(13, Int64(bitPattern: attributes.fsid))
        insert.bind(14, Int64(bitPattern: attributes.fileid))
        insert.bind(15, attributes.atime.row)
        insert.bind(16, attributes.mtime.row)
        insert.bind(17, attributes.ctime.row)
        insert.bind(18, Int64(replica))
        try insert.run()
    }

    private func insertRare(_ row: ImageStore.Row, into db: GRDB.Database) throws {
        func run(_ sql: String, _ arguments: StatementArguments) throws {
            try db.cachedStatement(sql: sql).execute(arguments: arguments)
        }
        switch row {
        case .complete(let id):
            try run("UPDATE node SET complete = 1 WHERE id = ?", [id.row])
        case .pin(let id, true): try run("INSERT OR IGNORE INTO pin (node) VALUES (?)", [id.row])
        case .pin(let id, false): try run("DELETE FROM pin WHERE node = ?", [id.row])
        case .meta(let key, .integer(let value)):
            try run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [key, value])
        case .meta(let key, .blob(let bytes)):
            try run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [key, Data(bytes)])
        case .target(let id, let text):
            try run("UPDATE node SET target = ? WHERE id = ?", [Data(text), id.row])
        case .node, .dentry, .link, .handle: break
        }
    }

    /// SQLite does not close a connection that has statements.
    func close() { statements = nil }
}

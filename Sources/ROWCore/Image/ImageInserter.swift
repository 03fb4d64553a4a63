import GRDB
import NFSProtocol

/// Writes rows of an image by statements of its own: listings bring hundreds, and through GRDB one costs five
/// times as much.
///
/// `@unchecked Sendable`: the writer's thread alone uses it, and the loop before there is a writer.
final class ImageInserter: @unchecked Sendable {
    private struct Statements {
        let node: SQLStatement
        let dentry: SQLStatement
        let link: SQLStatement
        let handle: SQLStatement
        let complete: SQLStatement
        let target: SQLStatement
        let pin: SQLStatement
        let unpin: SQLStatement
        let meta: SQLStatement

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
            complete = try SQLStatement(db, "UPDATE node SET complete = 1 WHERE id = ?")
            target = try SQLStatement(db, "UPDATE node SET target = ? WHERE id = ?")
            pin = try SQLStatement(db, "INSERT OR IGNORE INTO pin (node) VALUES (?)")
            unpin = try SQLStatement(db, "DELETE FROM pin WHERE node = ?")
            meta = try SQLStatement(db, "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)")
        }
    }

    private var statements: Statements?

    /// - Parameter db: the same one each time.
    func insert(_ row: ImageStore.Row, into db: GRDB.Database) throws(SQLFailure) {
        let statements: Statements
        if let ready = self.statements {
            statements = ready
        } else {
            statements = try Statements(db)
            self.statements = statements
        }
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
        case .complete(let id):
            statements.complete.bind(1, id.row)
            try statements.complete.run()
        case .target(let id, let text):
            statements.target.bind(1, copying: text)
            statements.target.bind(2, id.row)
            try statements.target.run()
        case .pin(let id, let isPinned):
            let change = isPinned ? statements.pin : statements.unpin
            change.bind(1, id.row)
            try change.run()
        case .meta(let key, let value):
            statements.meta.bind(1, text: key)
            switch value {
            case .integer(let number): statements.meta.bind(2, number)
            case .blob(let bytes): statements.meta.bind(2, copying: bytes)
            }
            try statements.meta.run()
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

    /// SQLite does not close a connection that has statements.
    func close() { statements = nil }
}

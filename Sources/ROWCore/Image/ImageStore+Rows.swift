import Foundation
import GRDB
import NFSProtocol

/// What is written of an image.
extension ImageStore {
    enum Row: Sendable {
        case node(NodeID, parent: NodeID, name: [UInt8], NFS3.Attributes, replica: Int)
        case dentry(NodeID, name: [UInt8], child: NodeID, cookie: UInt64)
        case link(LinkKey, NodeID)
        case handle(NodeID, replica: Int, NFS3.FileHandle)
        case complete(NodeID)
        case target(NodeID, [UInt8])
        case pin(NodeID, Bool)
        case meta(String, MetaValue)
    }

    enum MetaValue: Sendable {
        case integer(Int64)
        case blob([UInt8])
    }

    static func insert(_ row: Row, into db: GRDB.Database) throws {
        func run(_ sql: String, _ arguments: StatementArguments) throws {
            try db.cachedStatement(sql: sql).execute(arguments: arguments)
        }
        switch row {
        case .node(let id, let parent, let name, let a, let replica):
            let place: StatementArguments = [
                id.row, parent.row, Data(name), Int64(a.type.rawValue), Int64(a.mode),
                Int64(a.nlink), Int64(a.uid), Int64(a.gid), Int64(bitPattern: a.size),
                Int64(bitPattern: a.used),
            ]
            let rest: StatementArguments = [
                Int64(a.rdev.major), Int64(a.rdev.minor), Int64(bitPattern: a.fsid),
                Int64(bitPattern: a.fileid), a.atime.row, a.mtime.row, a.ctime.row,
                Int64(replica),
            ]
            try run(
                """
                INSERT INTO node (id, parent, name, type, mode, nlink, uid, gid, size, used, major,
                    minor, fsid, fileid, atime, mtime, ctime, replica)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, place + rest)
        case .dentry(let directory, let name, let child, let cookie):
            try run(
                "INSERT INTO dentry (parent, name, child, cookie) VALUES (?, ?, ?, ?)",
                [directory.row, Data(name), child.row, Int64(bitPattern: cookie)])
        case .link(let key, let id):
            try run(
                "INSERT OR REPLACE INTO link (replica, fsid, fileid, node) VALUES (?, ?, ?, ?)",
                [
                    Int64(key.replica), Int64(bitPattern: key.fsid),
                    Int64(bitPattern: key.fileid), id.row,
                ])
        case .handle(let id, let replica, let handle):
            try run(
                "INSERT OR REPLACE INTO handle (node, replica, handle) VALUES (?, ?, ?)",
                [id.row, Int64(replica), Data(handle.array)])
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
        }
    }
}

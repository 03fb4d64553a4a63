import Foundation
import GRDB
import NFSProtocol

/// One row change of session.sqlite, made on the loop and carried out by the writer.
enum SessionRow: Sendable {
    case node(NodeRow)
    case removeNode(NodeID)
    /// `child` nil: a whiteout.
    case delta(directory: NodeID, name: [UInt8], child: NodeID?, cookie: UInt64)
    case removeDelta(directory: NodeID, name: [UInt8])
    case removeDeltas(directory: NodeID)
    case content(LayerID, LayerMap.Changes, blocks: Int)
    case removeContent(NodeID)
    case meta(String, Int64)
    case reply(StoredReply)
    case removeReplies(client: [UInt8])

    /// The row of ``Node``.
    struct NodeRow: Sendable {
        var id: NodeID
        var flags: Int64
        var parent: NodeID
        var verifier: UInt64?
        var target: [UInt8]?
        var mainPath: [UInt8]?
        var attributes: NFS3.Attributes
    }

    func apply(to db: GRDB.Database, allocated: [LayerID: Int64]) throws {
        func run(_ sql: String, _ arguments: StatementArguments) throws {
            try db.cachedStatement(sql: sql).execute(arguments: arguments)
        }
        switch self {
        case .node(let row):
            let a = row.attributes
            let head: StatementArguments = [
                row.id.row, row.flags, row.parent.row, row.verifier.map { Int64(bitPattern: $0) },
                row.target.map { Data($0) }, row.mainPath.map { Data($0) },
                Int64(a.type.rawValue), Int64(a.mode), Int64(a.nlink), Int64(a.uid),
            ]
            let rest: StatementArguments = [
                Int64(a.gid), Int64(bitPattern: a.size), Int64(bitPattern: a.used),
                Int64(a.rdev.major), Int64(a.rdev.minor), a.atime.row, a.mtime.row, a.ctime.row,
            ]
            try run(
                """
                INSERT OR REPLACE INTO node (id, flags, parent, verifier, target, main_path, type,
                    mode, nlink, uid, gid, size, used, major, minor, atime, mtime, ctime)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, head + rest)
        case .removeNode(let id):
            try run("DELETE FROM node WHERE id = ?", [id.row])
        case .delta(let directory, let name, let child, let cookie):
            try run(
                "INSERT OR REPLACE INTO delta (parent, name, child, cookie) VALUES (?, ?, ?, ?)",
                [directory.row, Data(name), child?.row ?? 0, Int64(bitPattern: cookie)])
        case .removeDelta(let directory, let name):
            try run(
                "DELETE FROM delta WHERE parent = ? AND name = ?", [directory.row, Data(name)])
        case .removeDeltas(let directory):
            try run("DELETE FROM delta WHERE parent = ?", [directory.row])
        case .content(let id, let changes, let blocks):
            try applyContent(id, changes, blocks, allocated[id] ?? 0, run)
        case .removeContent(let id):
            for table in ["content", "presence", "partial"] {
                try run("DELETE FROM \(table) WHERE node = ?", [id.row])
            }
        case .meta(let key, let value):
            try run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [key, value])
        case .reply(let reply):
            try reply.insert(run)
        case .removeReplies(let client):
            try run("DELETE FROM reply WHERE client = ?", [Data(client)])
        }
    }

    private func applyContent(
        _ layerID: LayerID, _ changes: LayerMap.Changes, _ blocks: Int, _ allocated: Int64,
        _ run: (String, StatementArguments) throws -> Void
    ) throws {
        let (id, layer) = (layerID.node, layerID.layer)
        try run(
            """
            INSERT OR REPLACE INTO content (node, layer, main_valid, blocks, allocated)
            VALUES (?, ?, ?, ?, ?)
            """,
            [id.row, layer, Int64(bitPattern: changes.mainValid), Int64(blocks), allocated])
        for page in changes.pages {
            let index = Int64(bitPattern: page.index)
            if page.words.isEmpty {
                try run(
                    "DELETE FROM presence WHERE node = ? AND layer = ? AND page = ?",
                    [id.row, layer, index])
            } else {
                try run(
                    "INSERT OR REPLACE INTO presence (node, layer, page, bits) VALUES (?, ?, ?, ?)",
                    [id.row, layer, index, Data(page.blob)])
            }
        }
        for (block, blob) in changes.partial {
            let index = Int64(bitPattern: block)
            if let blob {
                try run(
                    """
                    INSERT OR REPLACE INTO partial (node, layer, block, ranges) VALUES (?, ?, ?, ?)
                    """, [id.row, layer, index, Data(blob)])
            } else {
                try run(
                    "DELETE FROM partial WHERE node = ? AND layer = ? AND block = ?",
                    [id.row, layer, index])
            }
        }
    }
}

/// The reply of a call that must not be executed twice, stored with its effect (DESIGN: a retry after
/// a crash is replayed).
public struct StoredReply: Sendable {
    /// The client's address without its port.
    public var client: [UInt8]
    public var xid: UInt32
    public var procedure: UInt32
    /// Of all arguments and credentials.
    public var checksum: UInt64
    /// The whole RPC reply, without its record mark.
    public var body: [UInt8]

    public init(
        client: [UInt8], xid: UInt32, procedure: UInt32, checksum: UInt64, body: [UInt8]
    ) {
        self.client = client
        self.xid = xid
        self.procedure = procedure
        self.checksum = checksum
        self.body = body
    }

    /// Replies kept for each client; more than the calls a client may have in flight.
    public static let countPerClient = 512

    fileprivate func insert(_ run: (String, StatementArguments) throws -> Void) throws {
        try run(
            "INSERT INTO reply (client, xid, procedure, checksum, body) VALUES (?, ?, ?, ?, ?)",
            [
                Data(client), Int64(xid), Int64(procedure), Int64(bitPattern: checksum),
                Data(body),
            ])
        try run(
            """
            DELETE FROM reply WHERE client = ?1 AND sequence <= (
                SELECT sequence FROM reply WHERE client = ?1
                ORDER BY sequence DESC LIMIT 1 OFFSET \(Self.countPerClient))
            """, [Data(client)])
    }
}

import GRDB
import NFSProtocol
import SystemPackage

/// Takes a session back to one of its snapshots, which stays. What the session gave out to clients is not
/// taken back: counters of ids and cookies, the handles' secret and stored replies go on from where
/// they are, and every object's ctime is later than any that was told before.
///
/// A snapshot that stands on another image, as it was before an upgrade, takes the session back to that. Then
/// nothing that clients have is any good: the session gets a new identity, and its handles are stale.
struct Rollback: Sendable {
    let session: FilePath
    let snapshot: FilePath
    let isDurable: Bool
    /// Whether the session may be taken to another image: nobody serves it.
    let mayChangeImage: Bool

    /// One transaction makes the snapshot's rows the session's; files that only the snapshot has are there
    /// before it. What it leaves without a row is for ``SessionStore/sweepShadow()``.
    /// - Parameter db: the session's, outside of a transaction.
    /// - Parameter time: at least the new lower bound of all ctimes.
    /// - Returns: the number of the layer that takes writes from now on, and the lower bound.
    func carryOut(
        _ db: GRDB.Database, at time: NFS3.Time
    ) throws -> (topLayer: Int64, floor: NFS3.Time) {
        let path = snapshot.appending(DatabaseState.fileName).string
        try db.execute(sql: "ATTACH ? AS snapshot", arguments: [path])
        defer { try? db.execute(sql: "DETACH snapshot") }
        func image(_ schema: String) throws -> String? {
            try String.fetchOne(db, sql: "SELECT value FROM \(schema).meta WHERE key = 'image'")
        }
        let other = try image("snapshot")
        let changesImage = try image("main") != other
        guard !changesImage || mayChangeImage else {
            let tag = snapshot.lastComponent?.string ?? ""
            throw StateError(
                .imageMismatch,
                "the snapshot '\(tag)' stands on another image, \(other ?? "unknown"): unmount the session, "
                    + "stop what serves it, and roll back then")
        }
        let shadow = session.appending("shadow")
        let rows = try Row.fetchCursor(db, sql: "SELECT node, layer, blocks FROM snapshot.content")
        while let row = try rows.next() {
            try Snapshots.link(
                LayerID(node: NodeID(row: row[0]), layer: row[1]),
                from: snapshot.appending("shadow"), to: shadow, mustExist: row[2] as Int64 > 0)
        }
        if isDurable { try shadow.sync() }
        var result = (topLayer: Int64(0), floor: time)
        try db.inTransaction(.immediate) {
            let top = try Int64.fetchOne(db, sql: "SELECT value FROM main.meta WHERE key = 'layer'")
            result.topLayer = (top ?? 0) + 1
            result.floor = max(time, try latestChange(db).next)
            for table in ["node", "delta", "content", "presence", "partial"] {
                try db.execute(sql: "DELETE FROM main.\(table)")
                try db.execute(
                    sql: "INSERT INTO main.\(table) SELECT * FROM snapshot.\(table)")
            }
            for (key, value) in [
                ("layer", result.topLayer), ("ctime_floor", result.floor.row),
            ] {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO main.meta (key, value) VALUES (?, ?)",
                    arguments: [key, value])
            }
            if changesImage { try changeImage(db) }
            return .commit
        }
        return result
    }

    private func changeImage(_ db: GRDB.Database) throws {
        let keys = "('image', 'epoch', 'generation')"
        try db.execute(sql: "DELETE FROM main.meta WHERE key IN \(keys)")
        try db.execute(
            sql: "INSERT INTO main.meta SELECT * FROM snapshot.meta WHERE key IN \(keys)")
        for (key, value) in SessionStore.newIdentity() {
            try db.execute(
                sql: "INSERT OR REPLACE INTO main.meta (key, value) VALUES (?, ?)",
                arguments: [key, value])
        }
        try db.execute(sql: "DELETE FROM main.reply")
    }

    /// The latest ctime on record. Seconds past 2^31 make the stored number negative.
    private func latestChange(_ db: GRDB.Database) throws -> NFS3.Time {
        let floor = try Int64.fetchOne(
            db, sql: "SELECT value FROM main.meta WHERE key = 'ctime_floor'")
        let rows = try Row.fetchOne(
            db,
            sql: """
                SELECT max(ctime), (SELECT max(ctime) FROM main.node WHERE ctime < 0) FROM main.node
                """)
        let found = [floor, rows?[0] as Int64?, rows?[1] as Int64?].compactMap { $0 }
        return found.map(NFS3.Time.init(row:)).max() ?? NFS3.Time(seconds: 0, nanoseconds: 0)
    }
}

import Foundation
import GRDB
import NFSProtocol
import SystemPackage

/// Where blocks are kept on this machine, by the SHA-256 of their bytes: what one image needs may be in the
/// cache of another, an older version of it above all.
///
/// A hint, never more: what it names may have been given up since, and whoever copies checks the bytes. So
/// it is not synced, and begins anew when it is damaged. Several processes use it at the same time. Calls
/// block; one thread at a time.
public final class ChunkIndex {
    /// A block in the cache of an image.
    public struct Place: Sendable, Hashable {
        /// The last part of the image's directory.
        public var image: String
        public var layout: CacheLayout
        public var block: UInt64

        public init(image: String, layout: CacheLayout, block: UInt64) {
            self.image = image
            self.layout = layout
            self.block = block
        }
    }

    /// Blocks that are remembered; those that came first are forgotten first.
    static let countMaximum: Int64 = 4 << 20
    /// Blocks that are put down together.
    private static let pendingMaximum = 256

    private let queue: DatabaseQueue
    private let images: FilePath
    private var pending: [ContentHash: Place] = [:]

    /// - Parameter state: where images and sessions are kept.
    public init(state: StateLayout) throws(StateError) {
        images = state.path.appending("images")
        try images.makeDirectory()
        let path = images.appending("chunks.sqlite")
        if Self.isDamaged(path) {
            for suffix in ["", "-wal", "-shm"] { Storage.remove(FilePath(path.string + suffix)) }
        }
        queue = try StateDatabase.open(
            path: path.string, isDurable: false, migrator: Self.migrator, advice: "remove it")
        do {
            try queue.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA wal_autocheckpoint = 1000")
            }
            try queue.write { db in
                try db.execute(
                    sql: "DELETE FROM chunk WHERE id <= (SELECT max(id) FROM chunk) - ?",
                    arguments: [Self.countMaximum])
            }
        } catch {
            throw StateError(.unreadable, "cannot use \(path): \(error)")
        }
    }

    /// Whether there is something that is no database, or not any more. One that another process keeps busy is
    /// neither.
    private static func isDamaged(_ path: FilePath) -> Bool {
        do {
            _ = try StateDatabase.openToRead(path.string).read { db in
                try Int.fetchOne(db, sql: "SELECT max(id) FROM chunk")
            }
            return false
        } catch {
            let code = (error as? DatabaseError)?.resultCode
            return code == .SQLITE_CORRUPT || code == .SQLITE_NOTADB
        }
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE image (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
                    CREATE TABLE chunk (
                        id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE,
                        image INTEGER NOT NULL, node INTEGER NOT NULL, block INTEGER NOT NULL,
                        size INTEGER NOT NULL, mtime INTEGER NOT NULL);
                    """)
        }
        return migrator
    }

    /// Reads a block with these bytes from wherever it is kept.
    /// - Parameter hash: SHA-256 of the block.
    /// - Parameter memory: as long as the block.
    /// - Returns: whether it was found: the bytes are those that some cache was given, but are yet to be
    ///   compared with the hash.
    public func read(_ hash: ContentHash, into memory: UnsafeMutableRawBufferPointer) -> Bool {
        guard let place = place(of: hash) else { return false }
        let directory = CacheDirectory(image: images.appending(place.image))
        guard place.layout.bytes(of: place.block).count == memory.count,
            CacheFile.peek(directory.file(of: place.layout.id), place.layout, place.block, memory)
        else {
            forget(hash)
            return false
        }
        return true
    }

    func place(of hash: ContentHash) -> Place? {
        if let place = pending[hash] { return place }
        let row = try? queue.read { db in
            try Row.fetchOne(
                db,
                sql: """
                    SELECT image.name, node, block, size, mtime FROM chunk
                    JOIN image ON image.id = chunk.image WHERE hash = ?
                    """, arguments: [Data(hash.bytes)])
        }
        guard let row = row ?? nil,
            let layout = CacheLayout(
                id: NodeID(row: row[1]), size: UInt64(bitPattern: row[3]),
                mtime: NFS3.Time(row: row[4])),
            let block = UInt64(exactly: row[2] as Int64), block < layout.blockCount
        else { return nil }
        return Place(image: row[0], layout: layout, block: block)
    }

    /// Remembers where a block is kept, soon.
    public func add(_ hash: ContentHash, at place: Place) {
        pending[hash] = place
        if pending.count >= Self.pendingMaximum { flush() }
    }

    /// Writes down what is only in memory.
    public func flush() {
        guard !pending.isEmpty else { return }
        let added = pending
        pending = [:]
        // Of a disk that is full nobody needs to hear twice: then less is found, and fetched instead.
        try? queue.write { db in
            for (hash, place) in added {
                try db.execute(
                    sql: "INSERT OR IGNORE INTO image (name) VALUES (?)",
                    arguments: [place.image])
                try db.cachedStatement(
                    sql: """
                        INSERT OR REPLACE INTO chunk (hash, image, node, block, size, mtime)
                        SELECT ?, id, ?, ?, ?, ? FROM image WHERE name = ?
                        """
                ).execute(arguments: [
                    Data(hash.bytes), place.layout.id.row, Int64(bitPattern: place.block),
                    Int64(bitPattern: place.layout.size), place.layout.mtime.row, place.image,
                ])
            }
        }
    }

    private func forget(_ hash: ContentHash) {
        pending[hash] = nil
        try? queue.write { db in
            try db.execute(sql: "DELETE FROM chunk WHERE hash = ?", arguments: [Data(hash.bytes)])
        }
    }
}

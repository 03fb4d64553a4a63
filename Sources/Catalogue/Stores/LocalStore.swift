import Crypto
import GRDB
import Glibc

/// The catalogue in a SQLite file, which several processes may use at once: for one machine, or for a
/// network whose machines share a file.
final class LocalStore: CatalogueStore {
    private let database: DatabaseQueue
    private let path: String
    /// Bytes of values that one reading looks at.
    private let readBytesMaximum: Int

    let refreshInterval: Duration? = nil
    let lifeDefault: Int64 = 5 * 365 * 86_400

    init(path: String, readBytesMaximum: Int = 16 << 20) throws(CatalogueError) {
        self.path = path
        self.readBytesMaximum = readBytesMaximum
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE value (
                        key BLOB NOT NULL, hash BLOB NOT NULL, bytes BLOB NOT NULL,
                        expires INTEGER NOT NULL, UNIQUE (key, hash))
                    """)
            try db.execute(sql: "CREATE INDEX value_expires ON value (expires)")
        }
        database = try SharedDatabase.open(path: path, migrator: migrator)
    }

    func get(_ key: CatalogueKey, now: Int64, within limit: Duration) async -> Reading {
        let empty = Selection(key, now: now)
        do {
            return try await database.read { [readBytesMaximum] db in
                var reading = Reading(selection: empty)
                var bytesLeft = readBytesMaximum
                let rows = try Row.fetchCursor(
                    db,
                    sql: """
                        SELECT length(bytes) AS size, CASE WHEN length(bytes) <= ? THEN bytes END AS value
                        FROM value WHERE key = ? ORDER BY rowid DESC
                        """, arguments: [SignedRecord.sizeMaximum, key.digest.databaseBlob])
                while let row = try rows.next() {
                    guard let bytes = [UInt8].fromBlob(row["value"]) else {
                        reading.selection.ignoreOversized(1)
                        continue
                    }
                    bytesLeft -= bytes.count
                    guard bytesLeft >= 0 else {
                        reading.incompleteness =
                            "there is more under this key than the \(readBytesMaximum) bytes that are "
                            + "looked at"
                        break
                    }
                    reading.selection.offer(bytes)
                }
                return reading
            }
        } catch {
            return Reading(selection: empty, incompleteness: "\(path): \(error)")
        }
    }

    func put(_ record: SignedRecord, within limit: Duration) async throws(CatalogueError) {
        try await put(record.bytes, under: record.record.key, expires: record.record.expires)
    }

    /// Adds any bytes, as whoever may write to the file can.
    func put(
        _ bytes: [UInt8], under key: CatalogueKey, expires: Int64
    ) async throws(CatalogueError) {
        do {
            try await database.write { db in
                try db.execute(
                    sql: "DELETE FROM value WHERE expires <= ?", arguments: [Int64(time(nil))])
                try db.execute(
                    sql:
                        "INSERT OR IGNORE INTO value (key, hash, bytes, expires) VALUES (?, ?, ?, ?)",
                    arguments: [
                        key.digest.databaseBlob, Array(SHA256.hash(data: bytes)).databaseBlob,
                        bytes.databaseBlob, expires,
                    ])
            }
        } catch {
            throw CatalogueError(
                .notWritten,
                "cannot write the catalogue \(path): \(error); is the disk full, or the "
                    + "file another user's?")
        }
    }

    func close() async { try? database.close() }
}

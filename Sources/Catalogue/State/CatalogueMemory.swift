import GRDB
import SystemPackage

/// What this machine knows of the catalogue itself, in a SQLite file of its state directory: which versions
/// it has seen, what it has published, and what it has observed of leases and nodes.
final class CatalogueMemory: Sendable {
    let database: DatabaseQueue

    /// - Parameter directory: made where there is none.
    init(directory: FilePath) throws(CatalogueError) {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    -- Versions that were seen in a catalogue, or whose tombstone was.
                    CREATE TABLE seen (
                        appliance TEXT NOT NULL, version TEXT NOT NULL, sequence INTEGER NOT NULL,
                        isRetired BOOLEAN NOT NULL, PRIMARY KEY (appliance, version));
                    -- What was published from here.
                    CREATE TABLE publication (
                        appliance TEXT NOT NULL, version TEXT NOT NULL, sequence INTEGER NOT NULL,
                        manifestRoot BLOB, leasePeriod INTEGER NOT NULL, life INTEGER NOT NULL,
                        keyFile TEXT NOT NULL, tree TEXT, isRetired BOOLEAN NOT NULL,
                        isCollected BOOLEAN NOT NULL, quietSince INTEGER,
                        PRIMARY KEY (appliance, version));
                    -- The signed records that stand for it; subject is empty for the version's own, and
                    -- the URL for one of a location.
                    CREATE TABLE publishedRecord (
                        appliance TEXT NOT NULL, version TEXT NOT NULL, subject TEXT NOT NULL,
                        bytes BLOB NOT NULL, PRIMARY KEY (appliance, version, subject));
                    -- How many nodes of a distributed catalogue answered when.
                    CREATE TABLE nodeCount (
                        observer TEXT NOT NULL, time INTEGER NOT NULL, count INTEGER NOT NULL);
                    """)
        }
        database = try SharedDatabase.open(
            path: directory.appending("memory.sqlite").string, migrator: migrator)
    }

    func close() { try? database.close() }

    // MARK: What was seen

    func seen(_ appliance: Appliance) async throws(CatalogueError) -> [SeenVersion] {
        try await read { db in
            try SeenVersion.fetchAll(
                db,
                sql: "SELECT version, sequence, isRetired FROM seen WHERE appliance = ?",
                arguments: [appliance.description])
        }
    }

    /// Remembers versions; one that is retired stays so.
    func remember(
        _ versions: [SeenVersion], of appliance: Appliance
    ) async throws(CatalogueError) {
        try await write { db in
            for version in versions {
                try db.execute(
                    sql: """
                        INSERT INTO seen VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                        sequence = max(sequence, excluded.sequence),
                        isRetired = max(isRetired, excluded.isRetired)
                        """,
                    arguments: [
                        appliance.description, version.version, version.sequence,
                        version.isRetired,
                    ])
            }
        }
    }

    /// Forgets what was seen of an appliance, so that what a catalogue offers next is believed.
    func forgetSeen(_ appliance: Appliance) async throws(CatalogueError) {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM seen WHERE appliance = ?", arguments: [appliance.description])
        }
    }

    // MARK: Nodes

    /// Remembers how many nodes answer.
    /// - Returns: the most that did in the last day, this time included.
    func mostNodes(
        _ count: Int, of observer: String, now: Int64
    ) async throws(CatalogueError) -> Int {
        try await write { db in
            try db.execute(
                sql: "DELETE FROM nodeCount WHERE time <= ? OR time > ?",
                arguments: [now - 86_400, now])
            try db.execute(
                sql: "INSERT INTO nodeCount VALUES (?, ?, ?)", arguments: [observer, now, count])
            return try Int.fetchOne(
                db, sql: "SELECT max(count) FROM nodeCount WHERE observer = ?",
                arguments: [observer]) ?? count
        }
    }

    // MARK: Access

    func read<T: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> T
    ) async throws(CatalogueError) -> T {
        do { return try await database.read(body) } catch { throw failure(error) }
    }

    func write<T: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> T
    ) async throws(CatalogueError) -> T {
        do { return try await database.write(body) } catch { throw failure(error) }
    }

    private func failure(_ error: any Error) -> CatalogueError {
        if let error = error as? CatalogueError { return error }
        return CatalogueError(.state, "cannot use \(database.path): \(error)")
    }
}

/// A version that was seen in a catalogue.
struct SeenVersion: Sendable, Hashable, FetchableRecord {
    let version: String
    let sequence: UInt64
    let isRetired: Bool

    init(version: String, sequence: UInt64, isRetired: Bool) {
        self.version = version
        self.sequence = sequence
        self.isRetired = isRetired
    }

    init(row: Row) {
        self.init(
            version: row["version"], sequence: row["sequence"], isRetired: row["isRetired"])
    }
}

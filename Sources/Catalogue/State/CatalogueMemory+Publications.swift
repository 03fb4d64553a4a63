import Foundation
import GRDB

extension CatalogueMemory {
    func publications() async throws(CatalogueError) -> [Publication] {
        try await read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM publication ORDER BY appliance, sequence")
                .map { try Publication(row: $0) }
        }
    }

    func publications(of appliance: Appliance) async throws(CatalogueError) -> [Publication] {
        try await publications().filter { $0.appliance == appliance }
    }

    /// Keeps what was published, and has the wait begin again for the versions that it supersedes.
    /// - Parameter records: all that stand for it.
    func save(
        _ publication: Publication, _ records: [SignedRecord]
    ) async throws(CatalogueError) {
        try await write { db in
            let name = publication.appliance.description
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO publication VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)
                    """,
                arguments: [
                    name, publication.version, publication.sequence,
                    publication.manifestRoot?.databaseBlob, publication.leasePeriod,
                    publication.life, publication.keyFile, publication.tree, publication.isRetired,
                    publication.isCollected,
                ])
            try db.execute(
                sql: "UPDATE publication SET quietSince = NULL WHERE appliance = ?",
                arguments: [name])
            for record in records { try Self.store(record, db) }
        }
    }

    /// The records that stand for a publication.
    func records(of publication: Publication) async throws(CatalogueError) -> [SignedRecord] {
        try await read { db in
            try Self.records(publication.appliance.description, publication.version, db)
        }
    }

    /// Signs the records of a publication anew where that is due, or all of them.
    ///
    /// In one transaction with the look at whether it is retired: another process may be about to do that.
    /// - Parameter isForced: also those that are valid for long enough still.
    /// - Returns: all of them; none when it is forgotten.
    func renew(
        _ publication: Publication, by key: SigningKey, now: Int64, isForced: Bool = false
    ) async throws(CatalogueError) -> [SignedRecord] {
        try await write { db in
            let name = publication.appliance.description
            guard
                let current = try Row.fetchOne(
                    db, sql: "SELECT * FROM publication WHERE appliance = ? AND version = ?",
                    arguments: [name, publication.version]
                ).map({ try Publication(row: $0) })
            else { return [] }
            return try Self.records(name, publication.version, db).compactMap { signed in
                let before = signed.record
                if before.isOver, case .location(let url) = before.body {
                    // It has outlived every copy of what it ends.
                    if before.expires <= now { try Self.remove(url, publication, db) }
                    return before.expires > now ? signed : nil
                }
                guard isForced || Renewal.mustSignAnew(before, now: now) else { return signed }
                var record = before
                record.issued = max(now, before.issued + 1)
                switch record.body {
                case .version: record.isOver = current.isRetired
                case .location, .lease: record.isOver = current.isCollected
                }
                record.expires = record.issued + current.life
                // What ends something stays for as long as there may be copies of what it ends.
                if record.isOver { record.expires = max(record.expires, before.expires) }
                let renewed = try SignedRecord(record, by: key)
                try Self.store(renewed, db)
                return renewed
            }
        }
    }

    /// Marks a version as one that is not to be used any more.
    func retire(
        _ publication: Publication, isCollected: Bool
    ) async throws(CatalogueError) {
        try await write { db in
            try db.execute(
                sql: """
                    UPDATE publication SET isRetired = 1, isCollected = max(isCollected, ?),
                    quietSince = CASE WHEN ? THEN quietSince END WHERE appliance = ? AND version = ?
                    """,
                arguments: [
                    isCollected, isCollected, publication.appliance.description,
                    publication.version,
                ])
        }
    }

    func forget(_ publication: Publication) async throws(CatalogueError) {
        try await write { db in
            for table in ["publication", "publishedRecord"] {
                try db.execute(
                    sql: "DELETE FROM \(table) WHERE appliance = ? AND version = ?",
                    arguments: [publication.appliance.description, publication.version])
            }
        }
    }

    /// What an observation of its leases means for the wait, kept for the next one.
    /// - Returns: since when none was seen.
    func observed(
        _ publication: Publication, isQuiet: Bool, now: Int64
    ) async throws(CatalogueError) -> Int64? {
        try await write { db in
            let name = publication.appliance.description
            let before = try Int64.fetchOne(
                db,
                sql: "SELECT quietSince FROM publication WHERE appliance = ? AND version = ?",
                arguments: [name, publication.version])
            let since = CollectionRules.quietSince(before, isQuiet: isQuiet, now: now)
            try db.execute(
                sql: "UPDATE publication SET quietSince = ? WHERE appliance = ? AND version = ?",
                arguments: [since, name, publication.version])
            return since
        }
    }

    private static func store(_ signed: SignedRecord, _ db: Database) throws {
        let record = signed.record
        var subject = ""
        if case .location(let url) = record.body { subject = url }
        try db.execute(
            sql: "INSERT OR REPLACE INTO publishedRecord VALUES (?, ?, ?, ?)",
            arguments: [
                record.appliance.description, record.version, subject, signed.bytes.databaseBlob,
            ])
    }

    private static func remove(
        _ subject: String, _ publication: Publication, _ db: Database
    ) throws {
        try db.execute(
            sql: "DELETE FROM publishedRecord WHERE appliance = ? AND version = ? AND subject = ?",
            arguments: [publication.appliance.description, publication.version, subject])
    }

    private static func records(
        _ appliance: String, _ version: String, _ db: Database
    ) throws -> [SignedRecord] {
        // Locations first: who finds a version is to find its servers.
        try Data.fetchAll(
            db,
            sql: """
                SELECT bytes FROM publishedRecord WHERE appliance = ? AND version = ?
                ORDER BY subject DESC
                """, arguments: [appliance, version]
        ).map { try SignedRecord(parsing: [UInt8]($0)) }
    }
}

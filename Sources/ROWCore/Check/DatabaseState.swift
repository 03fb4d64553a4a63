import Foundation
import GRDB
import GRDBSQLite
import Glibc
import SystemPackage

/// What a session's database file is like, before anybody looks at what its rows say.
struct DatabaseState {
    var findings: [SessionFinding] = []
    var records = SessionRecords()
    /// The rows were put together from what could be read: a repair makes the file anew.
    var isSalvaged = false
    /// A newer version of this program wrote it; the rows were not read.
    var isNewer = false

    static let fileName = "session.sqlite"
    /// A database that a repair has finished and not put in place; when it is there, it is whole.
    static let repairedName = "session.sqlite-repaired"

    private static let messagesMaximum = 20

    /// Reads a session's database without changing it.
    init(session: FilePath) throws(StateError) {
        if try Self.size(session.appending(Self.repairedName)) != nil {
            report(
                .repairCutOff, Self.repairedName, "a repair was cut off before its last step",
                repair: "its database takes the place of the one that it was made from")
            // What the repair had found is in its database; nobody looks at the other again.
            try read(session.appending(Self.repairedName))
            return
        }
        let path = session.appending(Self.fileName)
        switch try Self.size(path) {
        case nil:
            isSalvaged = true
            report(
                .databaseMissing, Self.fileName, "it is not there",
                repair: "an empty one is made; files in the shadow are moved aside")
        case 0:
            isSalvaged = true
            report(
                .databaseEmpty, Self.fileName, "the file is empty",
                repair:
                    "a new one is made with what its log has; files without a row are moved aside")
            try salvage(path)
        default:
            try read(path)
        }
    }

    private mutating func report(
        _ kind: SessionFinding.Kind, _ object: String, _ problem: String, repair: String
    ) {
        findings.append(SessionFinding(kind, object, problem, repair: repair))
    }

    // MARK: Reading

    private mutating func read(_ path: FilePath) throws(StateError) {
        let name = path.lastComponent?.string ?? ""
        do {
            let db = try RawDatabase(path: path.string)
            if try isNewer(db) {
                isNewer = true
                report(
                    .newerSchema, name, "a newer version of this program wrote it",
                    repair: "nothing is done: upgrade this program")
                return
            }
            if let header = Self.header(path), !(1...2).contains(header[18]) {
                // SQLite takes that for a file of a later SQLite, which it may not write to.
                reportDamage(name, "the file format's version is \(header[18])")
            }
            let messages = try db.rows("PRAGMA integrity_check(\(Self.messagesMaximum))")
                .compactMap { $0.first?.text }
            if messages != ["ok"] {
                reportDamage(name, messages.first ?? "integrity_check says nothing")
            }
            let missing = try Self.schemaDifferences(db)
            if !missing.isEmpty {
                report(
                    .schemaDamaged, name,
                    "its tables are not ours: \(missing.joined(separator: ", "))",
                    repair: "a new database is made with the rows that can be read")
            }
            if findings.allSatisfy({ $0.kind == .repairCutOff }) {
                for table in SessionTable.allCases {
                    for row in try db.rows("SELECT \(table.selection) FROM \(table.rawValue)") {
                        records.add(table, row)
                    }
                }
                // Such a key cannot be given back to SQLite as it is.
                isSalvaged = records.hasTextKeys
                return
            }
        } catch let error as RawDatabase.Failure {
            guard error.code & 0xff != SQLITE_BUSY, error.code & 0xff != SQLITE_IOERR,
                error.code & 0xff != SQLITE_CANTOPEN
            else { throw StateError(.io, "cannot read \(path): \(error)") }
            try reportUnreadable(path, error)
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.io, "cannot check \(path): \(error)")
        }
        isSalvaged = true
        try salvage(path)
    }

    private mutating func reportDamage(_ name: String, _ what: String) {
        report(
            .databaseDamaged, name,
            "SQLite finds damage: \(what.split(separator: "\n").joined(separator: ", "))",
            repair: "a new database is made with the rows that can be read")
    }

    private mutating func reportUnreadable(
        _ path: FilePath, _ error: RawDatabase.Failure
    ) throws(StateError) {
        let name = path.lastComponent?.string ?? ""
        let repair = "a new database is made with the rows that can be read"
        guard let header = Self.header(path), header.starts(with: Self.magic) else {
            report(
                .notADatabase, name, "it is not an SQLite database (\(error))", repair: repair)
            return
        }
        let pageSize = header[16..<18].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let pages = header[28..<32].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let size = try Self.size(path) ?? 0
        if size < pages * pageSize {
            report(
                .databaseTruncated, name,
                "it has \(size) of its \(pages * pageSize) bytes", repair: repair)
        } else {
            reportDamage(name, error.description)
        }
    }

    private static let magic = Array("SQLite format 3\0".utf8)

    private static func header(_ path: FilePath) -> [UInt8]? {
        let fd = Storage.open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        let file = FileHandle(fileDescriptor: fd, closeOnDealloc: true)
        guard let data = try? file.read(upToCount: 100), data.count == 100 else { return nil }
        return Array(data)
    }

    static func size(_ path: FilePath) throws(StateError) -> UInt64? {
        var result = stat()
        if lstat(path.string, &result) == 0 { return UInt64(result.st_size) }
        guard errno == ENOENT else {
            throw StateError(.io, "cannot look at \(path): \(Errno(rawValue: errno))")
        }
        return nil
    }

    // MARK: Schema

    private func isNewer(_ db: RawDatabase) throws(RawDatabase.Failure) -> Bool {
        let tables = try db.rows("SELECT 1 FROM sqlite_master WHERE name = 'grdb_migrations'")
        guard !tables.isEmpty else { return false }
        let done = try db.rows("SELECT identifier FROM grdb_migrations").map { $0[0].text ?? "" }
        return !Set(done).isSubset(of: SessionSchema.migrator.migrations)
    }

    /// What a database lacks of ours, or has otherwise.
    private static func schemaDifferences(_ db: RawDatabase) throws -> [String] {
        let sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        let found = try db.rows(sql)
        let template = try DatabaseQueue()
        try SessionSchema.migrator.migrate(template)
        let wanted = try template.read { db in
            try Row.fetchAll(db, sql: sql).map { [$0[0] as Cell, $0[1] as Cell] }
        }
        var differences = wanted.filter { !found.contains($0) }.map { $0[0].text ?? "" }
        if !differences.contains("grdb_migrations") {
            let done = try db.rows("SELECT identifier FROM grdb_migrations")
            if done.count < SessionSchema.migrator.migrations.count {
                differences.append("grdb_migrations")
            }
        }
        return differences.sorted()
    }

    private mutating func salvage(_ path: FilePath) throws(StateError) {
        records = try Salvage(path).records()
    }
}

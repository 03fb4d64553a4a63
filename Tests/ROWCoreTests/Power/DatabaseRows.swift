import Foundation
import GRDB

@testable import ROWCore

/// What SQLite alone reads out of the databases of a disk.
enum DatabaseRows {
    /// Rows and columns that only tell how often a database was opened, and of space in use.
    private static let promisingNothing = ["generation", "allocated"]

    /// Rows that reserve numbers, and the name of the image: whether these are missed is for
    /// ``PowerCheck`` to find out, which knows the numbers in use.
    private static let reservations = ["next_id", "next_cookie", "source"]

    /// Whether two disks have the same rows, but perhaps for reservations.
    static func areSame(
        _ one: DiskState, _ other: DiskState, butForReservations: Bool = false
    ) throws -> Bool {
        if databases(one) == databases(other) { return true }
        let ignored = promisingNothing + (butForReservations ? reservations : [])
        return try read(one, without: ignored) == read(other, without: ignored)
    }

    private static func databases(_ disk: DiskState) -> [String: [UInt8]] {
        let files = disk.files.filter { $0.path.contains(".sqlite") }
        return Dictionary(files.map { ($0.path, $0.content) }) { first, _ in first }
    }

    /// - Returns: all rows of all tables as text.
    private static func read(_ disk: DiskState, without keys: [String]) throws -> [String] {
        let root = PowerScratch.newPath()
        defer { try? FileManager.default.removeItem(atPath: root) }
        try disk.write(below: root)
        return ["image/image.sqlite", "session/session.sqlite"].flatMap { name in
            let path = root + "/state/" + name
            guard Disk.exists(path) else { return ["no \(name)"] }
            do { return try rows(path, without: keys) } catch { return ["\(name): \(error)"] }
        }
    }

    private static func rows(_ path: String, without keys: [String]) throws -> [String] {
        try DatabaseQueue(path: path).read { db in
            let tables = try String.fetchAll(
                db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            return try tables.flatMap { table in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table)").compactMap { row in
                    if let key = row["key"] as String?, keys.contains(key) {
                        return nil
                    }
                    // Main tells of its root at every opening.
                    if path.hasSuffix("image.sqlite"), table == "node",
                        row["id"] as Int64? == NodeID.root.row
                    {
                        return nil
                    }
                    let columns = row.filter { !promisingNothing.contains($0.0) }
                    return "\(table) \(columns)"
                }
            }
        }
    }
}

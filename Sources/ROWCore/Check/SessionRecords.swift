import Foundation
import GRDB

/// The tables of session.sqlite with their columns; the first ones are the key.
enum SessionTable: String, CaseIterable {
    case meta, node, delta, content, presence, partial, reply

    var columns: [String] {
        switch self {
        case .meta: ["key", "value"]
        case .node:
            [
                "id", "flags", "parent", "verifier", "target", "main_path", "type", "mode", "nlink",
                "uid", "gid", "size", "used", "major", "minor", "atime", "mtime", "ctime",
            ]
        case .delta: ["parent", "name", "child", "cookie"]
        case .content: ["node", "layer", "main_valid", "blocks", "allocated"]
        case .presence: ["node", "layer", "page", "bits"]
        case .partial: ["node", "layer", "block", "ranges"]
        case .reply: ["sequence", "client", "xid", "procedure", "checksum", "body"]
        }
    }

    var keyCount: Int {
        switch self {
        case .meta, .node, .reply: 1
        case .delta, .content: 2
        case .presence, .partial: 3
        }
    }

    var selection: String { columns.joined(separator: ", ") }
}

/// The rows of session.sqlite, by table and key, as they are stored: sensible or not. What a repair
/// changes is the difference between two of these.
struct SessionRecords: Equatable {
    private(set) var rows: [SessionTable: [[Cell]: [Cell]]] = [:]

    var isEmpty: Bool { rows.values.allSatisfy(\.isEmpty) }

    subscript(table: SessionTable) -> [[Cell]: [Cell]] {
        get { rows[table] ?? [:] }
        set { rows[table] = newValue }
    }

    /// Adds a row unless its key is there already.
    mutating func add(_ table: SessionTable, _ row: [Cell]) {
        let key = Array(row.prefix(table.keyCount))
        if rows[table]?[key] == nil { put(table, row) }
    }

    /// Adds a row or puts it in the place of the one with its key.
    mutating func put(_ table: SessionTable, _ row: [Cell]) {
        rows[table, default: [:]][Array(row.prefix(table.keyCount))] = row
    }

    mutating func remove(_ table: SessionTable, _ key: [Cell]) { rows[table]?[key] = nil }

    func meta(_ key: String) -> Cell? { self[.meta][[.text(Array(key.utf8))]]?[1] }

    mutating func setMeta(_ key: String, _ value: Cell) {
        put(.meta, [.text(Array(key.utf8)), value])
    }

    /// Changes in a table, in no order: `new` nil where a row goes, `old` nil where one comes.
    func changes(
        to new: SessionRecords, in table: SessionTable
    ) -> [(key: [Cell], old: [Cell]?, new: [Cell]?)] {
        let (before, after) = (self[table], new[table])
        let gone = before.filter { after[$0.key] == nil }.map {
            ($0.key, $0.value as [Cell]?, nil as [Cell]?)
        }
        let came = after.filter { before[$0.key] != $0.value }
            .map { ($0.key, before[$0.key], $0.value as [Cell]?) }
        return gone + came
    }

    /// Makes a database that holds `old` hold these rows, inside a transaction of the caller's.
    func write(over old: SessionRecords, to db: GRDB.Database) throws {
        for table in SessionTable.allCases {
            let keys = table.columns.prefix(table.keyCount)
            let places = table.columns.map { _ in "?" }.joined(separator: ", ")
            let remove = try db.cachedStatement(
                sql: "DELETE FROM \(table.rawValue) WHERE "
                    + keys.map { "\($0) IS ?" }.joined(separator: " AND "))
            let put = try db.cachedStatement(
                sql: "INSERT OR REPLACE INTO \(table.rawValue) (\(table.selection)) "
                    + "VALUES (\(places))")
            for change in old.changes(to: self, in: table) {
                if let new = change.new {
                    try put.execute(arguments: StatementArguments(new.map(\.databaseValue)))
                } else {
                    try remove.execute(
                        arguments: StatementArguments(change.key.map(\.databaseValue)))
                }
            }
        }
    }

    /// What `new` does not have as it is here: one JSON object a row, blobs in hexadecimal.
    func linesOfWhatChanges(in new: SessionRecords) -> [String] {
        SessionTable.allCases.flatMap { table in
            changes(to: new, in: table).compactMap { change in
                change.old.map { table.line($0) }
            }.sorted()
        }
    }
}

extension SessionTable {
    /// A row as one JSON object.
    func line(_ row: [Cell]) -> String {
        let values = zip(columns, row).map { "\"\($0)\":\($1.json)" }
        return "{\"table\":\"\(rawValue)\",\(values.joined(separator: ","))}"
    }
}

extension Cell: DatabaseValueConvertible {
    var databaseValue: DatabaseValue {
        switch self {
        case .null: .null
        case .integer(let value): value.databaseValue
        case .real(let value): value.databaseValue
        case .text(let bytes): String(decoding: bytes, as: UTF8.self).databaseValue
        case .blob(let bytes): Data(bytes).databaseValue
        }
    }

    static func fromDatabaseValue(_ value: DatabaseValue) -> Cell? {
        switch value.storage {
        case .null: .null
        case .int64(let value): .integer(value)
        case .double(let value): .real(value)
        case .string(let text): .text(Array(text.utf8))
        case .blob(let data): .blob(Array(data))
        }
    }

    fileprivate var json: String {
        switch self {
        case .null: "null"
        case .integer(let value): "\(value)"
        case .real(let value): value.isFinite ? "\(value)" : "null"
        case .text(let bytes): Self.quoted(bytes)
        case .blob(let bytes): "\"x'\(bytes.map { Self.hex($0) }.joined())'\""
        }
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return digits.count == 1 ? "0" + digits : digits
    }

    private static func quoted(_ bytes: [UInt8]) -> String {
        let encoder = JSONEncoder()
        let data = try? encoder.encode(String(decoding: bytes, as: UTF8.self))
        return data.map { String(decoding: $0, as: UTF8.self) } ?? "null"
    }
}

extension SessionRecords {
    /// Whether a row would be hard to find again by its key: it has text where there must be none.
    var hasTextKeys: Bool {
        SessionTable.allCases.contains { table in
            table != .meta
                && self[table].keys.contains { key in
                    key.contains { if case .text = $0 { true } else { false } }
                }
        }
    }
}

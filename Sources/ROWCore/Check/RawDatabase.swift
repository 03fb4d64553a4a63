import GRDBSQLite

/// One value of an SQLite row, whatever its column was meant to hold.
enum Cell: Hashable, Sendable {
    case null
    case integer(Int64)
    case real(Double)
    case text([UInt8])
    case blob([UInt8])

    var integer: Int64? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    var blob: [UInt8]? {
        guard case .blob(let bytes) = self else { return nil }
        return bytes
    }

    var text: String? {
        guard case .text(let bytes) = self else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    var isNull: Bool { self == .null }
}

/// An SQLite connection for files that may be damaged: every failure is a value, no value has a wrong
/// type, and what can be read is read although the rest cannot.
final class RawDatabase {
    /// What SQLite said.
    struct Failure: Error, CustomStringConvertible {
        let code: Int32
        let description: String
    }

    private let connection: OpaquePointer

    /// - Parameter isTolerant: reads on in files that are too short or whose schema is damaged, as far
    ///   as that is possible; for copies only.
    init(path: String, isTolerant: Bool = false) throws(Failure) {
        SQLiteFiles.register()
        var opened: OpaquePointer?
        let access = isTolerant ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY
        let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let opened else {
            let why = String(cString: sqlite3_errstr(code))
            sqlite3_close(opened)
            throw Failure(code: code, description: why)
        }
        connection = opened
        sqlite3_busy_timeout(opened, 5000)
        sqlite3_exec(opened, "PRAGMA cell_size_check = ON", nil, nil, nil)
        if isTolerant { sqlite3_exec(opened, "PRAGMA writable_schema = ON", nil, nil, nil) }
    }

    deinit { sqlite3_close_v2(connection) }

    /// All rows of a query.
    func rows(_ sql: String, _ arguments: [Int64] = []) throws(Failure) -> [[Cell]] {
        let (rows, failure) = readable(sql, arguments)
        if let failure { throw failure }
        return rows
    }

    /// The rows of a query up to the first that cannot be read, and why.
    func readable(_ sql: String, _ arguments: [Int64] = []) -> (rows: [[Cell]], failure: Failure?) {
        var statement: OpaquePointer?
        let prepared = sqlite3_prepare_v2(connection, sql, -1, &statement, nil)
        guard prepared == SQLITE_OK, let statement else { return ([], failure(prepared)) }
        defer { sqlite3_finalize(statement) }
        for (index, value) in arguments.enumerated() {
            sqlite3_bind_int64(statement, Int32(index + 1), value)
        }
        var rows: [[Cell]] = []
        while true {
            let code = sqlite3_step(statement)
            guard code == SQLITE_ROW else {
                return (rows, code == SQLITE_DONE ? nil : failure(code))
            }
            rows.append((0..<sqlite3_column_count(statement)).map { Self.cell(statement, $0) })
        }
    }

    private func failure(_ code: Int32) -> Failure {
        Failure(code: code, description: String(cString: sqlite3_errmsg(connection)))
    }

    private static func cell(_ statement: OpaquePointer, _ column: Int32) -> Cell {
        switch sqlite3_column_type(statement, column) {
        case SQLITE_INTEGER: .integer(sqlite3_column_int64(statement, column))
        case SQLITE_FLOAT: .real(sqlite3_column_double(statement, column))
        case SQLITE_TEXT: .text(bytes(statement, column))
        case SQLITE_BLOB: .blob(bytes(statement, column))
        default: .null
        }
    }

    private static func bytes(_ statement: OpaquePointer, _ column: Int32) -> [UInt8] {
        guard let base = sqlite3_column_blob(statement, column) else { return [] }
        let count = Int(sqlite3_column_bytes(statement, column))
        return Array(UnsafeRawBufferPointer(start: base, count: count))
    }
}

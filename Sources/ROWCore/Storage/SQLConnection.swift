import GRDB
import GRDBSQLite

/// What SQLite said when it could not do something.
struct SQLFailure: Error, CustomStringConvertible {
    /// SQLite's primary result code.
    let code: Int32
    let description: String

    /// Whether the bytes of the file are wrong. Otherwise they cannot be had at the moment.
    var isDamage: Bool {
        switch code {
        case SQLITE_IOERR, SQLITE_NOMEM, SQLITE_BUSY, SQLITE_LOCKED, SQLITE_INTERRUPT, SQLITE_FULL,
            SQLITE_PROTOCOL, SQLITE_PERM, SQLITE_AUTH:
            false
        default: true
        }
    }
}

/// An SQLite connection through the C API, for one thread at a time: prepared statements cost a tenth
/// of what they do through GRDB, and failures keep SQLite's code.
final class SQLConnection {
    fileprivate let handle: OpaquePointer

    /// - Parameter path: or a `file:` URI, when the flags have SQLITE_OPEN_URI.
    /// - Parameter flags: SQLITE_OPEN_….
    /// - Parameter vfs: the virtual file system's name; nil for SQLite's default.
    init(path: String, flags: Int32, vfs: String? = nil) throws(SQLFailure) {
        var opened: OpaquePointer?
        let code = sqlite3_open_v2(path, &opened, flags | SQLITE_OPEN_NOMUTEX, vfs)
        guard code == SQLITE_OK, let opened else {
            let why = opened.map { String(cString: sqlite3_errmsg($0)) }
            sqlite3_close(opened)
            throw SQLFailure(
                code: code & 0xff, description: why ?? String(cString: sqlite3_errstr(code)))
        }
        handle = opened
    }

    /// Statements keep the connection's memory alive until they are finalized (`close_v2`).
    deinit { sqlite3_close_v2(handle) }

    /// Runs statements that have no results.
    func execute(_ sql: String) throws(SQLFailure) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw SQLFailure(code, handle) }
    }

    /// Whether a transaction is open. Some failures end one.
    var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }

    func setBusyTimeout(milliseconds: Int32) { sqlite3_busy_timeout(handle, milliseconds) }

    /// Sets the most bytes that a value or a row may have: longer ones are failures.
    func setLengthMaximum(_ bytes: Int32) {
        sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, bytes)
    }

    /// Sets how many steps of SQLite's machine a statement may take, and reading the schema for the first:
    /// more are a failure (SQLITE_INTERRUPT). Nil for any number.
    func setStepMaximum(_ steps: Int32?) {
        sqlite3_progress_handler(handle, steps ?? 0, steps == nil ? nil : { _ in 1 }, nil)
    }
}

/// A prepared statement. Columns are read by position, in the order of the SELECT.
class SQLStatement {
    private let statement: OpaquePointer

    init(_ connection: SQLConnection, _ sql: String) throws(SQLFailure) {
        statement = try Self.prepare(connection.handle, sql)
    }

    /// On GRDB's connection, whose thread alone may use it; it has to be gone before the connection is closed.
    init(_ db: Database, _ sql: String) throws(SQLFailure) {
        statement = try Self.prepare(db.sqliteConnection, sql)
    }

    private static func prepare(
        _ connection: OpaquePointer?, _ sql: String
    ) throws(SQLFailure) -> OpaquePointer {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(
            connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw SQLFailure(code, connection) }
        return statement
    }

    deinit { sqlite3_finalize(statement) }

    final func bind(_ position: Int32, _ value: Int64) {
        sqlite3_bind_int64(statement, position, value)
    }

    final func bindNull(_ position: Int32) { sqlite3_bind_null(statement, position) }

    /// The bytes must stay valid until ``reset()``.
    final func bind(_ position: Int32, unowned bytes: UnsafeRawBufferPointer) {
        if let base = bytes.baseAddress, !bytes.isEmpty {
            sqlite3_bind_blob(statement, position, base, Int32(bytes.count), nil)
        } else {
            sqlite3_bind_zeroblob(statement, position, 0)
        }
    }

    final func bind(_ position: Int32, copying bytes: [UInt8]) {
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress, !source.isEmpty else {
                sqlite3_bind_zeroblob(statement, position, 0)
                return
            }
            sqlite3_bind_blob(statement, position, base, Int32(source.count), Self.transient)
        }
    }

    final func bind(_ position: Int32, text: String) {
        sqlite3_bind_text(statement, position, text, -1, Self.transient)
    }

    /// SQLITE_TRANSIENT, a macro that Swift does not see: SQLite compares this pointer and never calls it,
    /// and copies the bytes before it returns.
    private static var transient: sqlite3_destructor_type {
        unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    }

    /// Moves to the next row; false at the end. After a failure the statement is reset.
    final func advance() throws(SQLFailure) -> Bool {
        let code = sqlite3_step(statement)
        switch code {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default:
            let failure = SQLFailure(code, sqlite3_db_handle(statement))
            sqlite3_reset(statement)
            throw failure
        }
    }

    /// Runs a statement without results, and makes it ready to be run again.
    final func run() throws(SQLFailure) {
        _ = try advance()
        reset()
    }

    final func reset() { sqlite3_reset(statement) }

    final func int(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    final func isNull(_ column: Int32) -> Bool { type(column) == SQLITE_NULL }

    /// SQLITE_INTEGER and its like: what the value is, whatever the column was meant to hold.
    final func type(_ column: Int32) -> Int32 { sqlite3_column_type(statement, column) }

    /// The bytes of a BLOB or of a TEXT, as long as nothing else is asked of the statement.
    final func withBlob(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> Void) {
        let count = Int(sqlite3_column_bytes(statement, column))
        body(UnsafeRawBufferPointer(start: sqlite3_column_blob(statement, column), count: count))
    }

    /// The bytes of a BLOB, or of a TEXT.
    final func blob(_ column: Int32) -> [UInt8] {
        let count = Int(sqlite3_column_bytes(statement, column))
        guard count > 0, let base = sqlite3_column_blob(statement, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: base, count: count))
    }
}

extension SQLFailure {
    fileprivate init(_ code: Int32, _ connection: OpaquePointer?) {
        self.init(
            code: code & 0xff,
            description: connection.map { String(cString: sqlite3_errmsg($0)) }
                ?? String(cString: sqlite3_errstr(code)))
    }
}

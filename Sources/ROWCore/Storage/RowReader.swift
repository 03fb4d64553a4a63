import GRDBSQLite
import NFSProtocol

/// A read-only SQLite connection for the owner's thread alone, with prepared statements inside a held
/// read transaction: a row costs about a microsecond and never waits for the writer.
///
/// The held transaction sees the database as of its first read; ``invalidate()`` makes the next read
/// see what has been committed since.
final class RowReader {
    private let connection: OpaquePointer
    private var isHeld = false
    /// Told what SQLite said when a read fails; the operation itself answers IO.
    var onError: (String) -> Void = { _ in }

    init(path: String) throws(StateError) {
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2(path, &opened, flags, nil)
        guard code == SQLITE_OK, let opened else {
            let why = String(cString: sqlite3_errstr(code))
            sqlite3_close(opened)
            throw StateError(.unreadable, "cannot read \(path): \(why)")
        }
        connection = opened
        sqlite3_busy_timeout(opened, 5000)
    }

    /// Statements keep the connection's memory alive until they are finalized (`close_v2`).
    deinit { sqlite3_close_v2(connection) }

    func prepare(_ sql: String) throws(StateError) -> RowStatement {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(
            connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else {
            throw StateError(
                .unreadable,
                "cannot prepare a query: \(String(cString: sqlite3_errmsg(connection)))")
        }
        return RowStatement(statement, reader: self)
    }

    /// Lets the next read see everything committed until then.
    func invalidate() {
        guard isHeld else { return }
        isHeld = false
        sqlite3_exec(connection, "COMMIT", nil, nil, nil)
    }

    fileprivate func hold() {
        guard !isHeld else { return }
        isHeld = sqlite3_exec(connection, "BEGIN", nil, nil, nil) == SQLITE_OK
    }

    fileprivate var lastError: String { String(cString: sqlite3_errmsg(connection)) }
}

/// A prepared query. Columns are read by position, in the order of the SELECT.
final class RowStatement {
    private let statement: OpaquePointer
    private let reader: RowReader

    fileprivate init(_ statement: OpaquePointer, reader: RowReader) {
        self.statement = statement
        self.reader = reader
    }

    deinit { sqlite3_finalize(statement) }

    func bind(_ position: Int32, _ value: Int64) {
        sqlite3_bind_int64(statement, position, value)
    }

    /// The bytes must stay valid until ``reset()``.
    func bind(_ position: Int32, unowned bytes: UnsafeRawBufferPointer) {
        if let base = bytes.baseAddress, !bytes.isEmpty {
            sqlite3_bind_blob(statement, position, base, Int32(bytes.count), nil)
        } else {
            sqlite3_bind_zeroblob(statement, position, 0)
        }
    }

    func bind(_ position: Int32, copying bytes: [UInt8]) {
        bytes.withUnsafeBytes { source in
            guard let base = source.baseAddress, !source.isEmpty else {
                sqlite3_bind_zeroblob(statement, position, 0)
                return
            }
            // SQLITE_TRANSIENT, a macro that Swift does not see: SQLite compares this pointer and never calls
            // it, and copies the bytes before it returns.
            let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
            sqlite3_bind_blob(statement, position, base, Int32(source.count), transient)
        }
    }

    /// Moves to the next row.
    func step() throws(Interrupt) -> Bool {
        reader.hold()
        switch sqlite3_step(statement) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        default:
            reader.onError(reader.lastError)
            sqlite3_reset(statement)
            throw .status(.io)
        }
    }

    func reset() { sqlite3_reset(statement) }

    func int(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

    func blob(_ column: Int32) -> [UInt8] {
        let count = Int(sqlite3_column_bytes(statement, column))
        guard count > 0, let base = sqlite3_column_blob(statement, column) else { return [] }
        return Array(UnsafeRawBufferPointer(start: base, count: count))
    }
}

extension [UInt8] {
    /// The bytes in memory, for a body that may stop an operation.
    func withBytes<T>(
        _ body: (UnsafeRawBufferPointer) throws(Interrupt) -> T
    ) throws(Interrupt) -> T {
        try withUnsafeBufferPointer { bytes throws(Interrupt) in
            try body(UnsafeRawBufferPointer(bytes))
        }
    }
}

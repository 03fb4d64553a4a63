import GRDBSQLite
import NFSProtocol

/// A read-only SQLite connection for the owner's thread alone, with prepared statements inside a held
/// read transaction: a row costs about a microsecond and never waits for the writer.
///
/// The held transaction sees the database as of its first read; ``invalidate()`` makes the next read
/// see what has been committed since.
final class RowReader {
    fileprivate let connection: SQLConnection
    private var isHeld = false
    /// Told what SQLite said when a read fails; the operation itself answers IO.
    var onError: (String) -> Void = { _ in }

    init(path: String) throws(StateError) {
        do {
            connection = try SQLConnection(path: path, flags: SQLITE_OPEN_READONLY)
        } catch {
            throw StateError(.unreadable, "cannot read \(path): \(error)")
        }
        connection.setBusyTimeout(milliseconds: 5000)
    }

    func prepare(_ sql: String) throws(StateError) -> RowStatement {
        do {
            return try RowStatement(sql, reader: self)
        } catch {
            throw StateError(.unreadable, "cannot prepare a query: \(error)")
        }
    }

    /// Lets the next read see everything committed until then.
    func invalidate() {
        guard isHeld else { return }
        isHeld = false
        try? connection.execute("COMMIT")
    }

    fileprivate func hold() {
        guard !isHeld else { return }
        isHeld = (try? connection.execute("BEGIN")) != nil
    }
}

/// A prepared query of a ``RowReader``.
final class RowStatement: SQLStatement {
    private let reader: RowReader

    fileprivate init(_ sql: String, reader: RowReader) throws(SQLFailure) {
        self.reader = reader
        try super.init(reader.connection, sql)
    }

    /// Moves to the next row.
    func step() throws(Interrupt) -> Bool {
        reader.hold()
        do {
            return try advance()
        } catch {
            reader.onError(error.description)
            throw .status(.io)
        }
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

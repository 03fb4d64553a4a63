import CLinux
import GRDB
import Glibc

/// Runs a closure on the thread that owns the loop-confined state. The shell supplies it.
public typealias LoopExecutor = @Sendable (@escaping @Sendable () -> Void) -> Void

/// Loop-confined state on its way through a closure that comes back to the loop.
///
/// `@unchecked Sendable`: whoever makes one promises to open it only on the loop it came from, or
/// elsewhere to use only what is for any thread, and says so.
struct Confined<Value>: @unchecked Sendable {
    let value: Value
}

/// The one writer of a database. Transactions run on its own thread; the outcome comes back on the
/// loop, to which this object is confined.
///
/// It also keeps the write-ahead log short. SQLite starts the log afresh only when all of it is in the
/// database and no reader needs it, and the loop's reader nearly always holds a snapshot: so now and
/// then a commit waits while the log is taken over and the reader lets go.
final class Writer {
    private let queue: DatabaseQueue
    private let reader: RowReader
    private let loop: LoopExecutor
    private var isLogLong = false

    /// A longer log is taken over into the database before the next commit.
    var logBytesMaximum: UInt64 = 8 << 20

    /// - Parameter reader: the loop's reader of the same database.
    init(queue: DatabaseQueue, reader: RowReader, loop: @escaping LoopExecutor) {
        self.queue = queue
        self.reader = reader
        self.loop = loop
    }

    /// One at a time: the next may begin when `then` has been called.
    /// - Parameter before: runs ahead of the transaction, on the writer's thread (syncing data).
    /// - Parameter after: runs there when the transaction is done, before any other.
    func commit(
        before: @escaping @Sendable () throws -> Void = {},
        _ body: @escaping @Sendable (Database) throws -> Void,
        after: @escaping @Sendable (Database) -> Void = { _ in },
        then: @escaping @Sendable ((any Error)?) -> Void
    ) {
        guard isLogLong else {
            transact(before: before, body, after: after, then: then)
            return
        }
        isLogLong = false
        let loop = loop
        let back = Confined(value: self)
        queue.asyncWriteWithoutTransaction { db in
            _ = try? db.checkpoint(.passive)
            loop {
                back.value.reader.invalidate()
                back.value.transact(before: before, body, after: after, then: then)
            }
        }
    }

    private func transact(
        before: @escaping @Sendable () throws -> Void,
        _ body: @escaping @Sendable (Database) throws -> Void,
        after: @escaping @Sendable (Database) -> Void,
        then: @escaping @Sendable ((any Error)?) -> Void
    ) {
        let loop = loop
        let log = queue.path + "-wal"
        let limit = logBytesMaximum
        let back = Confined(value: self)
        queue.asyncWriteWithoutTransaction { db in
            var failure: (any Error)?
            do {
                try before()
                try db.inTransaction(.immediate) {
                    try body(db)
                    return .commit
                }
                after(db)
            } catch { failure = error }
            let outcome = failure
            var stat = clinux_stat()
            let isLong =
                clinux_fstatat(AT_FDCWD, log, 0, &stat) == 0 && stat.size > limit
            loop {
                back.value.isLogLong = isLong
                then(outcome)
            }
        }
    }

    /// One transaction, now. For opening and closing only: it blocks.
    func commitNow(_ body: (Database) throws -> Void) throws {
        try queue.write(body)
    }

    /// Several transactions or none, now; it blocks.
    func runNow<T>(_ body: (Database) throws -> T) throws -> T {
        try queue.writeWithoutTransaction(body)
    }

    func readNow<T>(_ body: (Database) throws -> T) throws -> T {
        try queue.read(body)
    }

    /// Moves the log into the database and lets go of it.
    /// - Parameter last: runs on the writer's thread, behind all transactions.
    func close(_ last: () -> Void = {}) {
        // A read of our own would be waited for.
        reader.invalidate()
        try? queue.writeWithoutTransaction { db in
            last()
            _ = try db.checkpoint(.truncate)
        }
        try? queue.close()
    }
}

import GRDB

/// Runs a closure on the thread that owns the loop-confined state. The shell supplies it.
public typealias LoopExecutor = @Sendable (@escaping @Sendable () -> Void) -> Void

/// Loop-confined state on its way through a closure that comes back to the loop.
///
/// `@unchecked Sendable`: whoever makes one promises to open it only on the loop it came from.
struct Confined<Value>: @unchecked Sendable {
    let value: Value
}

/// The one writer of a database. Transactions run on its own thread, in order; the outcome comes back
/// on the loop.
final class Writer: Sendable {
    private let queue: DatabaseQueue
    private let loop: LoopExecutor

    init(queue: DatabaseQueue, loop: @escaping LoopExecutor) {
        self.queue = queue
        self.loop = loop
    }

    /// - Parameter before: runs ahead of the transaction, on the writer's thread (syncing data).
    func commit(
        before: @escaping @Sendable () throws -> Void = {},
        _ body: @escaping @Sendable (Database) throws -> Void,
        then: @escaping @Sendable ((any Error)?) -> Void
    ) {
        let loop = loop
        queue.asyncWriteWithoutTransaction { db in
            var failure: (any Error)?
            do {
                try before()
                try db.inTransaction(.immediate) {
                    try body(db)
                    return .commit
                }
            } catch { failure = error }
            let outcome = failure
            loop { then(outcome) }
        }
    }

    /// One transaction, now. For opening and closing only: it blocks.
    func commitNow(_ body: (Database) throws -> Void) throws {
        try queue.write(body)
    }

    func readNow<T>(_ body: (Database) throws -> T) throws -> T {
        try queue.read(body)
    }

    /// Moves the log into the database and lets go of it.
    func close() {
        try? queue.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
        try? queue.close()
    }
}

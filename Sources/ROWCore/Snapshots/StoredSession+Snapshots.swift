import GRDB
import NFSProtocol
public import SystemPackage

/// The same for sessions that nobody runs.
extension StoredSession {
    /// Keeps the state of a session under a name.
    /// - Parameter directory: the session's.
    /// - Throws: `StateError`, of code `locked` when the session is in use.
    public static func takeSnapshot(_ tag: String, of directory: FilePath) throws(StateError) {
        try Snapshots.check(tag: tag)
        let copy = SessionCopy(
            session: directory, source: directory, target: Snapshots.path(tag, of: directory),
            purpose: .snapshot, isDurable: true)
        try withRows(of: directory) { queue in try freeze(queue, copy) }
    }

    /// Makes a session of its own out of the state of another, or of a snapshot of that.
    /// - Parameter target: the new session's directory, of which nothing may exist.
    public static func clone(
        _ directory: FilePath, from tag: String? = nil, to target: FilePath
    ) throws(StateError) {
        let source = try tag.map { tag throws(StateError) in
            try Snapshots.existing(tag, of: directory)
        }
        let copy = SessionCopy(
            session: directory, source: source ?? directory, target: target, purpose: .clone,
            isDurable: true)
        try withRows(of: directory) { queue in
            if let source {
                if let error = clone(snapshot: source, copy) { throw error }
            } else {
                try freeze(queue, copy)
            }
        }
    }

    /// Takes a session back to a snapshot, and to the image that this stands on.
    public static func rollBack(_ directory: FilePath, to tag: String) throws(StateError) {
        let rollback = Rollback(
            session: directory, snapshot: try Snapshots.existing(tag, of: directory),
            isDurable: true, mayChangeImage: true)
        try withRows(of: directory) { queue in
            _ = try queue.writeWithoutTransaction { db in try rollback.carryOut(db, at: .now()) }
        }
    }

    /// Removes a snapshot; others, and the session, keep what they share with it.
    public static func removeSnapshot(_ tag: String, of directory: FilePath) throws(StateError) {
        let path = try Snapshots.existing(tag, of: directory)
        // Its name goes at once. Whoever opens the session next removes what is left when this is cut off.
        let doomed = Snapshots.unfinished(of: directory)
        try path.rename(toNew: doomed)
        try Snapshots.directory(of: directory).sync()
        try? doomed.removeTree()
    }

    /// - Returns: what went wrong.
    static func clone(snapshot: FilePath, _ copy: SessionCopy) -> StateError? {
        do {
            let path = snapshot.appending(DatabaseState.fileName).string
            let queue = try DatabaseQueue(path: path)
            defer { try? queue.close() }
            try queue.writeWithoutTransaction { db in try copy.make(db) }
            return nil
        } catch {
            return (error as? StateError) ?? StateError(.io, "\(error)")
        }
    }

    static func freeze(_ queue: DatabaseQueue, _ copy: SessionCopy) throws {
        guard try DatabaseState.size(copy.target) == nil else {
            throw StateError(
                .exists,
                "there is a '\(copy.target.lastComponent?.string ?? "")' already; choose another name"
            )
        }
        try queue.writeWithoutTransaction { db in
            try db.inTransaction(.immediate) {
                let top = try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'layer'")
                try db.execute(
                    sql: "INSERT OR REPLACE INTO meta (key, value) VALUES ('layer', ?)",
                    arguments: [(top ?? 0) + 1])
                return .commit
            }
            try copy.make(db)
        }
    }

    private static func withRows(
        of directory: FilePath, _ body: (DatabaseQueue) throws -> Void
    ) throws(StateError) {
        let name = directory.lastComponent?.string ?? ""
        let lock = try FileLock(directory.appending("lock"), purpose: "the session \(name)")
        defer { lock.release() }
        _ = try SessionStore.checkWhole(directory, name: name)
        if let shadow = try StoredSession.read(directory).shadow {
            throw StoredShadow.refusal(name, shadow.url)
        }
        Snapshots.sweep(directory)
        let path = directory.appending(DatabaseState.fileName).string
        let queue = try StateDatabase.open(
            path: path, isDurable: true, migrator: SessionSchema.migrator,
            advice: SessionStore.advice(name))
        do {
            try body(queue)
            try queue.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            try queue.close()
        } catch {
            try? queue.close()
            throw (error as? StateError) ?? StateError(.io, "\(path): \(error)")
        }
    }
}

import GRDB
public import SystemPackage

/// What session.sqlite says of a session that nobody runs.
public struct StoredSession: Sendable {
    public let image: String
    /// Files with changed data.
    public let files: Int64
    public let blocks: Int64
    /// Bytes of storage in the shadow.
    public let allocated: Int64

    /// Reads it without changing anything.
    /// - Parameter directory: the session's.
    public static func read(_ directory: FilePath) throws(StateError) -> StoredSession {
        let path = directory.appending("session.sqlite").string
        do {
            var configuration = Configuration()
            configuration.readonly = true
            configuration.busyMode = .timeout(5)
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            return try queue.read { db in
                let row = try Row.fetchOne(
                    db, sql: "SELECT count(*), sum(blocks), sum(allocated) FROM content")
                return StoredSession(
                    image: try String.fetchOne(
                        db, sql: "SELECT value FROM meta WHERE key = 'image'") ?? "",
                    files: row?[0] ?? 0, blocks: row?[1] ?? 0, allocated: row?[2] ?? 0)
            }
        } catch {
            throw StateError(.unreadable, "cannot read \(path): \(error)")
        }
    }
}

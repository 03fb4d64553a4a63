import GRDB
public import SystemPackage

/// What image.sqlite says of an image, whether or not somebody serves it.
public struct StoredImage: Sendable {
    /// Regular files that are known, each once whatever names it has, and the bytes that they hold.
    public let files: Int
    public let bytes: Int
    /// Directories whose names are not all known: what is in them is not counted.
    public let unlistedDirectories: Int

    /// Reads it without changing anything.
    /// - Parameter directory: the image's.
    public static func read(_ directory: FilePath) throws(StateError) -> StoredImage {
        let path = directory.appending("image.sqlite").string
        do {
            let queue = try StateDatabase.openToRead(path)
            return try queue.read { db in
                // 1 is a regular file, 2 a directory (RFC 1813 §2.5).
                let files = try Row.fetchOne(
                    db, sql: "SELECT count(*), sum(size) FROM node WHERE type = 1")
                let unlisted = try Int.fetchOne(
                    db, sql: "SELECT count(*) FROM node WHERE type = 2 AND complete = 0")
                return StoredImage(
                    files: files?[0] ?? 0, bytes: files?[1] ?? 0,
                    unlistedDirectories: unlisted ?? 0)
            }
        } catch {
            throw StateError(.unreadable, "cannot read \(path): \(error)")
        }
    }
}

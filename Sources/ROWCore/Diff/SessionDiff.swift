import Foundation
import GRDB
public import SystemPackage

/// What a session changed against its image, read from the two databases on disk: nothing is asked of
/// main, nothing is written, and it makes no difference whether a process serves the session.
///
/// Objects are followed by their ids, so a directory that was renamed is one change, whatever it holds,
/// and what was changed inside is told by its new path. An object with several names that was changed
/// is reported once. A file that a client removed while it was open shows as renamed to `.nfs…` until
/// the client lets go of it, since that is what the client asked for.
///
/// What is not committed yet is not seen, unstable writes above all.
public enum SessionDiff {
    /// Reads the changes of a session by name.
    /// - Returns: sorted by path, directories before what they hold.
    /// - Throws: `notFound` when there is no such session.
    public static func read(
        _ name: String, in state: StateLayout
    ) throws(StateError) -> [Change] {
        try StateLayout.check(sessionName: name)
        try state.checkRights()
        let session = state.session(name)
        try check(session.appending("session.sqlite"))
        return try read(
            session: session, image: state.image(try StoredSession.read(session).image))
    }

    /// Reads the changes of a session.
    /// - Parameter session: its directory, with session.sqlite.
    /// - Parameter image: the directory of the image that it was made on, with image.sqlite.
    /// - Returns: sorted by path, directories before what they hold. Memory grows with the number of
    ///   changes, not with the image.
    /// - Throws: `imageMismatch` when the session stands on another image database.
    public static func read(
        session: FilePath, image: FilePath
    ) throws(StateError) -> [Change] {
        let sessionQueue = try open(session.appending("session.sqlite"), SessionSchema.migrator)
        let imageQueue = try open(image.appending("image.sqlite"), ImageSchema.migrator)
        do {
            return try sessionQueue.read { sessionDB in
                let session = try SessionRows(sessionDB)
                // Read second, it has every object that the session knew when it was read.
                return try imageQueue.read { imageDB in
                    let image = ImageRows(imageDB)
                    try session.checkStands(on: image)
                    var comparison = Comparison(session: session, image: image)
                    return try comparison.changes()
                }
            }
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.unreadable, "cannot compare \(session) with \(image): \(error)")
        }
    }

    private static func check(_ path: FilePath) throws(StateError) {
        guard FileManager.default.fileExists(atPath: path.string) else {
            throw StateError(.notFound, "there is no \(path); serve the session once to make it")
        }
    }

    private static func open(
        _ path: FilePath, _ migrator: DatabaseMigrator
    ) throws(StateError) -> DatabaseQueue {
        try check(path)
        do {
            let queue = try StateDatabase.openToRead(path.string)
            let isTooNew = try queue.read { db in try migrator.hasBeenSuperseded(db) }
            guard !isTooNew else {
                throw StateError(
                    .newerSchema,
                    "\(path) was written by a newer version of this program; upgrade it")
            }
            return queue
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.unreadable, "cannot read \(path): \(error)")
        }
    }
}

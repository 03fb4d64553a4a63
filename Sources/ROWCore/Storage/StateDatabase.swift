import CLinux
import Dispatch
import GRDB
import GRDBSQLite
import Glibc
import SystemPackage

/// How every database of ours is opened: WAL, the wanted level of durability read back, and
/// migrations that refuse a file from the future.
enum StateDatabase {
    /// Opens one that is there, to look at it and change nothing, also while another process uses it.
    static func openToRead(_ path: String) throws -> DatabaseQueue {
        try checkFiles(path)
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    /// SQLite follows links, and gives the files beside a database the rights that it has.
    private static func checkFiles(_ path: String) throws(StateError) {
        for file in ["", "-wal", "-shm", "-journal"].map({ path + $0 }) {
            var status = clinux_stat()
            guard clinux_fstatat(AT_FDCWD, file, AT_SYMLINK_NOFOLLOW, &status) == 0 else {
                continue
            }
            guard status.type == S_IFREG else { throw .notOurs(file) }
        }
    }

    /// SQLite would make it readable for others. One that is there is not opened: closing it would give up the
    /// locks that this process may have on it.
    private static func make(_ path: String) throws(StateError) {
        try checkFiles(path)
        guard access(path, F_OK) != 0 else { return }
        let fd = Storage.create(FilePath(path), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
        if fd >= 0 { close(fd) }
    }

    /// - Parameter isDurable: whether a commit must survive a power failure (`synchronous=FULL`);
    ///   otherwise it survives only the end of the process.
    /// - Parameter advice: what to do when the database cannot be read.
    static func open(
        path: String, isDurable: Bool, migrator: DatabaseMigrator,
        advice: String = "move it aside to start afresh"
    ) throws(StateError) -> DatabaseQueue {
        SQLiteFiles.register()
        try make(path)
        do {
            var configuration = Configuration()
            configuration.busyMode = .timeout(5)
            // GRDB's would have commits before the loop that answers clients, where there are too few processors.
            configuration.qos = .default
            // GRDB would set NORMAL, which loses the last commits on power failure.
            configuration.prepareDatabase { db in
                try db.execute(sql: "PRAGMA journal_mode = WAL")
                try db.execute(sql: "PRAGMA synchronous = \(isDurable ? "FULL" : "OFF")")
                try db.execute(sql: "PRAGMA foreign_keys = OFF")
                // Only Writer takes the log over, and only when nothing keeps it from starting afresh:
                // SQLite would try at every commit to a log of 4 MiB, with one more sync each time.
                try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
                // The log is cut to this when it starts afresh (see Writer).
                try db.execute(sql: "PRAGMA journal_size_limit = \(4 << 20)")
            }
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            let isTooNew = try queue.read { db in try migrator.hasBeenSuperseded(db) }
            guard !isTooNew else {
                throw StateError(
                    .newerSchema,
                    "\(path) was written by a newer version of this program; upgrade it, or use another "
                        + "--state directory"
                )
            }
            try migrator.migrate(queue)
            let (journal, level) = try queue.writeWithoutTransaction { db in
                (
                    try String.fetchOne(db, sql: "PRAGMA journal_mode") ?? "",
                    try Int.fetchOne(db, sql: "PRAGMA synchronous") ?? -1
                )
            }
            guard journal == "wal", level == (isDurable ? 2 : 0) else {
                throw StateError(
                    .io,
                    "\(path): SQLite did not take the settings that durability needs "
                        + "(journal \(journal), synchronous \(level))"
                )
            }
            return queue
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.unreadable, "cannot open \(path): \(error); \(advice)")
        }
    }
}

/// Whether SQLite ran out of space. For the index of its log it says so in a way of its own.
func isDiskFull(_ error: any Error) -> Bool {
    guard let error = error as? DatabaseError else { return false }
    return error.resultCode == .SQLITE_FULL
        || error.extendedResultCode == .SQLITE_IOERR_SHMSIZE
}

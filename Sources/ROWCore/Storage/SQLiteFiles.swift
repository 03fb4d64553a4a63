import GRDBSQLite
import Glibc
import Synchronization

/// SQLite's files as part of ``Storage``: a virtual file system (`sqlite3_vfs`) that is the one that
/// was SQLite's default, except that changes and syncs of databases and journals are made by way of
/// ``Storage``. It becomes the default; GRDB has no way to ask for another one.
///
/// A file is the default system's own, so that everything else of it (locks, shared memory, reading)
/// goes there directly. Only its table of methods is a copy with other entries for the changes.
enum SQLiteFiles {
    /// Done once, before a database is opened.
    static func register() { _ = isRegistered }

    private static let isRegistered: Bool = {
        guard let system = sqlite3_vfs_find(nil) else { return false }
        base = system
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        vfs.initialize(to: system.pointee)
        vfs.pointee.zName = UnsafePointer(strdup("rowfs"))
        vfs.pointee.szOsFile += Int32(MemoryLayout<Extra>.stride)
        vfs.pointee.xOpen = { SQLiteFiles.open($1, $2, $3, $4) }
        vfs.pointee.xDelete = { SQLiteFiles.remove($1, $2) }
        return sqlite3_vfs_register(vfs, 1) == SQLITE_OK
    }()

    /// Written once, by `isRegistered`, before SQLite can call anything that reads it.
    nonisolated(unsafe) private static var base: UnsafeMutablePointer<sqlite3_vfs>!

    /// What is kept of an open file, behind the default system's own part.
    private struct Extra {
        let methods: UnsafePointer<sqlite3_io_methods>
        /// SQLite keeps it until the file is closed.
        let path: UnsafePointer<CChar>?
        /// The directory is synced with the first sync of a new journal.
        var syncsDirectory: Bool
    }

    private static func extra(
        _ file: UnsafeMutablePointer<sqlite3_file>
    ) -> UnsafeMutablePointer<Extra> {
        (UnsafeMutableRawPointer(file) + Int(base.pointee.szOsFile))
            .assumingMemoryBound(to: Extra.self)
    }

    /// What SQLite opens that outlives the process; temporary files do not.
    private static let durableKinds =
        SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL
        | SQLITE_OPEN_WAL

    private static func open(
        _ path: sqlite3_filename?, _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        let call = { base.pointee.xOpen(base, path, file, flags, outFlags) }
        guard flags & durableKinds != 0, let file else { return call() }
        let creates = flags & SQLITE_OPEN_CREATE != 0
        let code = creates ? change(.create, path, call) : call()
        guard code == SQLITE_OK, let methods = file.pointee.pMethods else { return code }
        extra(file).initialize(
            to: Extra(
                methods: methods, path: path,
                syncsDirectory: creates && flags & SQLITE_OPEN_MAIN_DB == 0))
        file.pointee.pMethods = replacement(for: methods)
        return code
    }

    /// Our tables by the addresses of those that they are copies of, as numbers. They are never freed:
    /// the default system has a few, which live as long as the process.
    private static let tables = Mutex<[UInt: UInt]>([:])

    private static func replacement(
        for methods: UnsafePointer<sqlite3_io_methods>
    ) -> UnsafePointer<sqlite3_io_methods>? {
        let address = UInt(bitPattern: methods)
        let original = methods.pointee
        let copy = tables.withLock { tables in
            if let known = tables[address] { return known }
            let table = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
            table.initialize(to: original)
            table.pointee.xWrite = { SQLiteFiles.write($0, $1, $2, $3) }
            table.pointee.xTruncate = { SQLiteFiles.resize($0, $1) }
            table.pointee.xSync = { SQLiteFiles.sync($0, $1) }
            tables[address] = UInt(bitPattern: table)
            return UInt(bitPattern: table)
        }
        return UnsafePointer(bitPattern: copy)
    }

    private static func remove(_ path: UnsafePointer<CChar>?, _ syncsDirectory: Int32) -> Int32 {
        change(.remove, path) { base.pointee.xDelete(base, path, syncsDirectory) }
    }

    private static func write(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ bytes: UnsafeRawPointer?, _ count: Int32,
        _ offset: sqlite3_int64
    ) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        let part = UnsafeRawBufferPointer(start: bytes, count: Int(count))
        let extra = extra(file)
        return change(.write([part], offset: offset), extra.pointee.path) {
            extra.pointee.methods.pointee.xWrite(file, bytes, count, offset)
        }
    }

    private static func resize(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ size: sqlite3_int64
    ) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        let extra = extra(file)
        return change(.resize(size), extra.pointee.path) {
            extra.pointee.methods.pointee.xTruncate(file, size)
        }
    }

    private static func sync(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32
    ) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        Syncs.count(.databases)
        let extra = extra(file)
        let code = change(
            .sync(withDirectory: extra.pointee.syncsDirectory), extra.pointee.path
        ) { extra.pointee.methods.pointee.xSync(file, flags) }
        if code == SQLITE_OK { extra.pointee.syncsDirectory = false }
        return code
    }

    /// Makes a change by way of ``Storage``.
    private static func change(
        _ change: @autoclosure () -> StorageChange, _ path: UnsafePointer<CChar>?,
        _ call: () -> Int32
    ) -> Int32 {
        let result = Storage.carryOut(change(), on: path.map { String(cString: $0) } ?? "") {
            Int(call())
        }
        // SQLite's codes are positive; what a test has fail instead is an errno.
        return result < 0 ? SQLITE_IOERR : Int32(result)
    }
}

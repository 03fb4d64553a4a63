import GRDBSQLite
import Synchronization

/// Bytes of a file that may have to be fetched first.
public protocol PieceSource: AnyObject, Sendable {
    /// Bytes of the whole file.
    var size: UInt64 { get }

    /// Copies bytes from an offset on; waits for them.
    /// - Parameter memory: to be filled; all of it lies within the file.
    /// - Returns: whether they could be had.
    func read(into memory: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Bool
}

/// Databases that SQLite reads while they are still being fetched: a virtual file system (`sqlite3_vfs`)
/// whose files are ``PieceSource``s. They are read-only and never change, so there are no journals and
/// no locks. A read that finds nothing is SQLite's `SQLITE_IOERR`.
public enum PiecewiseFiles {
    /// What to open a database with.
    public static let vfs = "rowfs-pieces"

    private static let sources = Mutex<[String: any PieceSource]>([:])
    private static let next = Atomic<UInt64>(1)

    /// Makes a source known.
    /// - Returns: the path by which SQLite opens it, until ``remove(_:)``.
    public static func add(_ source: any PieceSource) -> String {
        _ = isRegistered
        let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        let path = "/pieces/\(number)"
        sources.withLock { $0[path] = source }
        return path
    }

    /// Forgets a source; files of it that are open stay.
    public static func remove(_ path: String) { sources.withLock { $0[path] = nil } }

    // MARK: As SQLite has it

    /// What SQLite allocates for an open file.
    private struct File {
        var base: sqlite3_file
        /// Retained until the file is closed.
        var source: Unmanaged<Source>
    }

    private final class Source {
        let source: any PieceSource
        init(_ source: any PieceSource) { self.source = source }
    }

    private static let isRegistered: Bool = {
        guard let system = sqlite3_vfs_find(nil) else { return false }
        let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
        // Clock, sleep and random numbers are the system's.
        vfs.initialize(to: system.pointee)
        vfs.pointee.pNext = nil
        vfs.pointee.zName = UnsafePointer(vfsName)
        vfs.pointee.szOsFile = Int32(MemoryLayout<File>.stride)
        vfs.pointee.mxPathname = 64
        vfs.pointee.xOpen = { PiecewiseFiles.open($1, $2, $3, $4) }
        vfs.pointee.xDelete = { _, _, _ in SQLITE_READONLY }
        // There is no journal beside a database.
        vfs.pointee.xAccess = { _, _, _, found in
            found?.pointee = 0
            return SQLITE_OK
        }
        vfs.pointee.xFullPathname = { PiecewiseFiles.copy($1, $2, $3) }
        return sqlite3_vfs_register(vfs, 0) == SQLITE_OK
    }()

    /// Never changed, never freed.
    nonisolated(unsafe) private static let vfsName = vfs.withCString { text in
        let copy = UnsafeMutablePointer<CChar>.allocate(capacity: vfs.utf8.count + 1)
        copy.update(from: text, count: vfs.utf8.count + 1)
        return copy
    }

    /// Never changed, never freed.
    nonisolated(unsafe) private static let methods: UnsafePointer<sqlite3_io_methods> = {
        let table = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
        table.initialize(to: sqlite3_io_methods())
        table.pointee.iVersion = 1
        table.pointee.xClose = { PiecewiseFiles.close($0) }
        table.pointee.xRead = { PiecewiseFiles.read($0, $1, $2, $3) }
        table.pointee.xWrite = { _, _, _, _ in SQLITE_READONLY }
        table.pointee.xTruncate = { _, _ in SQLITE_READONLY }
        table.pointee.xSync = { _, _ in SQLITE_OK }
        table.pointee.xFileSize = { PiecewiseFiles.size($0, $1) }
        table.pointee.xLock = { _, _ in SQLITE_OK }
        table.pointee.xUnlock = { _, _ in SQLITE_OK }
        table.pointee.xCheckReservedLock = { _, found in
            found?.pointee = 0
            return SQLITE_OK
        }
        table.pointee.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
        table.pointee.xSectorSize = { _ in 4096 }
        table.pointee.xDeviceCharacteristics = { _ in SQLITE_IOCAP_IMMUTABLE }
        return UnsafePointer(table)
    }()

    private static func open(
        _ path: sqlite3_filename?, _ file: UnsafeMutablePointer<sqlite3_file>?, _ flags: Int32,
        _ outFlags: UnsafeMutablePointer<Int32>?
    ) -> Int32 {
        guard let file else { return SQLITE_MISUSE }
        // Without methods SQLite does not close it.
        file.pointee.pMethods = nil
        guard flags & SQLITE_OPEN_MAIN_DB != 0, let path,
            let source = sources.withLock({ $0[String(cString: path)] })
        else { return SQLITE_CANTOPEN }
        UnsafeMutableRawPointer(file).initializeMemory(
            as: File.self,
            to: File(
                base: sqlite3_file(pMethods: methods),
                source: Unmanaged.passRetained(Source(source))))
        outFlags?.pointee = SQLITE_OPEN_READONLY | SQLITE_OPEN_MAIN_DB
        return SQLITE_OK
    }

    private static func source(
        of file: UnsafeMutablePointer<sqlite3_file>?
    ) -> Unmanaged<Source>? {
        file.map { UnsafeMutableRawPointer($0).assumingMemoryBound(to: File.self).pointee.source }
    }

    private static func close(_ file: UnsafeMutablePointer<sqlite3_file>?) -> Int32 {
        source(of: file)?.release()
        return SQLITE_OK
    }

    private static func read(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ memory: UnsafeMutableRawPointer?,
        _ count: Int32, _ offset: sqlite3_int64
    ) -> Int32 {
        guard let source = source(of: file)?.takeUnretainedValue().source, let memory,
            count >= 0, offset >= 0
        else { return SQLITE_MISUSE }
        let wanted = UnsafeMutableRawBufferPointer(start: memory, count: Int(count))
        let start = UInt64(offset)
        let there = start < source.size ? Int(min(source.size - start, UInt64(count))) : 0
        if there > 0 {
            let part = UnsafeMutableRawBufferPointer(rebasing: wanted[..<there])
            guard source.read(into: part, at: start) else { return readFailure }
        }
        guard there < wanted.count else { return SQLITE_OK }
        UnsafeMutableRawBufferPointer(rebasing: wanted[there...])
            .initializeMemory(as: UInt8.self, repeating: 0)
        return shortRead
    }

    private static func size(
        _ file: UnsafeMutablePointer<sqlite3_file>?, _ size: UnsafeMutablePointer<sqlite3_int64>?
    ) -> Int32 {
        guard let source = source(of: file)?.takeUnretainedValue().source else {
            return SQLITE_MISUSE
        }
        size?.pointee = sqlite3_int64(clamping: source.size)
        return SQLITE_OK
    }

    private static func copy(
        _ path: UnsafePointer<CChar>?, _ count: Int32, _ result: UnsafeMutablePointer<CChar>?
    ) -> Int32 {
        guard let path, let result else { return SQLITE_MISUSE }
        var index = 0
        while index < Int(count) {
            result[index] = path[index]
            if path[index] == 0 { return SQLITE_OK }
            index += 1
        }
        return SQLITE_CANTOPEN
    }
}

extension PiecewiseFiles {
    // SQLITE_IOERR_READ and SQLITE_IOERR_SHORT_READ: macros computed from others, which Swift does not see.
    private static let readFailure = SQLITE_IOERR | (1 << 8)
    private static let shortRead = SQLITE_IOERR | (2 << 8)
}

import CLinux
import Glibc
import Synchronization
import SystemPackage

/// The one place from which storage is changed: our own files by these functions, databases by way of
/// ``SQLiteFiles``. Here syncs are counted and delayed (``Syncs``), and tests look on.
///
/// Results are those of the system calls; a failure is a negative errno.
enum Storage {
    // MARK: Files

    /// pwritev(2), which may write a part.
    @inline(__always)
    static func write(
        _ fd: Int32, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
    ) -> Int {
        guard let base = vectors.baseAddress else { return 0 }
        return carryOut(.write(parts(vectors), offset: offset), on: path(of: fd)) {
            clinux_pwritev(fd, base, Int32(vectors.count), offset)
        }
    }

    static func resize(_ fd: Int32, to size: Int64) -> Int32 {
        Int32(carryOut(.resize(size), on: path(of: fd)) { Int(clinux_ftruncate(fd, size)) })
    }

    static func punch(_ fd: Int32, at offset: Int64, count: Int64) -> Int32 {
        Int32(
            carryOut(.punch(offset: offset, count: count), on: path(of: fd)) {
                Int(clinux_punch_hole(fd, offset, count))
            })
    }

    /// Reserves storage for a file's first bytes.
    static func reserve(_ fd: Int32, count: Int64) -> Int32 {
        Int32(
            carryOut(.reserve(count), on: path(of: fd)) {
                Int(clinux_preallocate(fd, 0, count))
            })
    }

    /// Makes a file's data durable (fdatasync).
    static func sync(_ fd: Int32) -> Int32 {
        Syncs.count(.data)
        return Int32(
            carryOut(.sync(withDirectory: false), on: path(of: fd)) {
                Int(clinux_fdatasync(fd))
            })
    }

    // MARK: Names

    /// Makes a file, readable by its owner only, unless there is one.
    /// - Parameter flags: of open(2), O_CREAT among them.
    /// - Returns: the open file.
    static func create(_ path: FilePath, _ flags: Int32) -> Int32 {
        Int32(carryOut(.create, on: path.string) { Int(open(path, flags)) })
    }

    /// Opens a file of ours. Through a link, a pipe or a device that somebody put in its place nothing is read
    /// or written: ELOOP.
    static func open(_ path: FilePath, _ flags: Int32) -> Int32 {
        // A pipe would have this wait for its other end; for files it means nothing.
        let fd = Glibc.open(path.string, flags | O_NOFOLLOW | O_NONBLOCK, 0o600)
        guard fd >= 0 else { return -errno }
        var status = clinux_stat()
        guard clinux_fstat(fd, &status) == 0, status.type == S_IFREG else {
            close(fd)
            return -ELOOP
        }
        return fd
    }

    /// Makes a directory and those above it that are missing.
    static func makeDirectories(_ path: FilePath) -> Int32 {
        Int32(
            carryOut(.makeDirectories, on: path.string) {
                Int(clinux_mkdir_parents(path.string, 0o700))
            })
    }

    /// Makes a directory that must not be there yet.
    static func makeDirectory(_ path: FilePath) -> Int32 {
        Int32(carryOut(.makeDirectories, on: path.string) { result(mkdir(path.string, 0o700)) })
    }

    @discardableResult
    static func remove(_ path: FilePath) -> Int32 {
        Int32(carryOut(.remove, on: path.string) { result(unlink(path.string)) })
    }

    /// Removes a directory that is empty.
    static func removeDirectory(_ path: FilePath) -> Int32 {
        Int32(carryOut(.remove, on: path.string) { result(rmdir(path.string)) })
    }

    /// Lets a file have another name as well.
    static func link(_ path: FilePath, to target: FilePath) -> Int32 {
        Int32(
            carryOut(.link(to: target.string), on: path.string) {
                result(Glibc.link(path.string, target.string))
            })
    }

    /// Gives a file or directory a name that nothing has yet; EEXIST when something has.
    static func rename(_ path: FilePath, toNew target: FilePath) -> Int32 {
        Int32(
            carryOut(.rename(to: target.string), on: path.string) {
                Int(
                    clinux_renameat2(
                        AT_FDCWD, path.string, AT_FDCWD, target.string, CLINUX_RENAME_NOREPLACE))
            })
    }

    static func rename(_ path: FilePath, to target: FilePath) -> Int32 {
        Int32(
            carryOut(.rename(to: target.string), on: path.string) {
                result(Glibc.rename(path.string, target.string))
            })
    }

    /// Makes entries of an open directory durable (fsync).
    static func syncDirectory(_ fd: Int32) -> Int32 {
        Syncs.count(.directories)
        return Int32(carryOut(.syncDirectory, on: path(of: fd)) { Int(clinux_fsync(fd)) })
    }

    private static func result(_ code: Int32) -> Int { Int(code < 0 ? -errno : code) }

    // MARK: Looking on

    private static let isObserved = Atomic<Bool>(false)
    private static let observers = Mutex<[(root: String, observer: any StorageObserver)]>([])

    /// Lets a test look on at all changes below a directory.
    /// - Parameter root: without symbolic links.
    static func observe(below root: String, by observer: any StorageObserver) {
        observers.withLock { $0.append((root + "/", observer)) }
        isObserved.store(true, ordering: .relaxed)
    }

    static func stopObserving(_ observer: any StorageObserver) {
        observers.withLock { all in
            all.removeAll { $0.observer === observer }
            isObserved.store(!all.isEmpty, ordering: .relaxed)
        }
    }

    /// Makes a change, or lets the test that looks on do so.
    @inline(__always)
    static func carryOut(
        _ change: @autoclosure () -> StorageChange, on path: @autoclosure () -> String,
        _ call: () -> Int
    ) -> Int {
        guard isObserved.load(ordering: .relaxed) else { return call() }
        return carryOutObserved(change(), on: path(), call)
    }

    private static func carryOutObserved(
        _ change: StorageChange, on path: String, _ call: () -> Int
    ) -> Int {
        let observer = observers.withLock { all in
            all.first { path.hasPrefix($0.root) }?.observer
        }
        return observer?.carryOut(change, on: path, call) ?? call()
    }

    private static func parts(
        _ vectors: UnsafeBufferPointer<iovec>
    ) -> [UnsafeRawBufferPointer] {
        vectors.map { UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len) }
    }

    /// The path that a file was opened by, or has by now.
    private static func path(of fd: Int32) -> String {
        let name = "/proc/self/fd/\(fd)"
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer in
            guard let base = buffer.baseAddress else { return "" }
            let count = clinux_readlinkat(AT_FDCWD, name, base, buffer.count)
            let bytes = UnsafeRawBufferPointer(buffer).prefix(max(count, 0))
            return String(decoding: bytes, as: UTF8.self)
        }
    }
}

/// One change of storage.
enum StorageChange {
    /// With those above it that are missing.
    case makeDirectories
    /// Nothing happens when the file is there.
    case create
    /// The parts adjoin. The result tells how many bytes of them were written; memory is valid during
    /// the call.
    case write([UnsafeRawBufferPointer], offset: Int64)
    case resize(Int64)
    case reserve(Int64)
    case punch(offset: Int64, count: Int64)
    /// SQLite syncs the directory along with the first sync of a journal.
    case sync(withDirectory: Bool)
    case syncDirectory
    /// Of a file's name, or of an empty directory.
    case remove
    case rename(to: String)
    case link(to: String)
}

/// A test that looks on at changes of storage. It is called on whatever thread makes one.
protocol StorageObserver: AnyObject, Sendable {
    /// - Parameter call: makes the change.
    /// - Returns: what `call` did, or a negative errno instead.
    func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int
}

import CLinux
import Foundation
import Synchronization
import SystemPackage
import Testing

/// The shims' own promises: negative errno, plain structures, no escape from a directory.
@Suite struct CLinuxTests {
    private func open(_ path: FilePath) throws -> FileDescriptor {
        try FileDescriptor.open(path, .readOnly, options: [.directory, .closeOnExec])
    }

    @Test func parentsAreMadeAndFilesInTheWayAreAnError() throws {
        let scratch = try Scratch()
        let deep = scratch.path.appending("a/b/c").string
        #expect(clinux_mkdir_parents(deep, 0o700) == 0)
        #expect(clinux_mkdir_parents(deep + "/", 0o700) == 0)
        #expect(clinux_mkdir_parents("", 0o700) == -ENOENT)
        let file = scratch.path.appending("f").string
        #expect(FileManager.default.createFile(atPath: file, contents: nil))
        #expect(clinux_mkdir_parents(file, 0o700) == -ENOTDIR)
        #expect(clinux_mkdir_parents(file + "/x", 0o700) == -ENOTDIR)
    }

    @Test func anOpenBeneathADirectoryDoesNotLeaveIt() throws {
        let scratch = try Scratch()
        let manager = FileManager.default
        let inside = scratch.path.appending("inside").string
        try manager.createDirectory(atPath: inside, withIntermediateDirectories: false)
        try manager.createSymbolicLink(atPath: inside + "/out", withDestinationPath: "/etc")
        #expect(manager.createFile(atPath: inside + "/f", contents: Data([1])))
        let directory = try open(FilePath(inside))
        try directory.closeAfter {
            let resolve =
                CLINUX_RESOLVE_BENEATH | CLINUX_RESOLVE_NO_SYMLINKS | CLINUX_RESOLVE_NO_MAGICLINKS
            func tryOpen(_ name: String) -> Int32 {
                let fd = clinux_openat2(
                    directory.rawValue, name, UInt64(O_RDONLY | O_CLOEXEC), 0, resolve)
                if fd >= 0 { close(fd) }
                return fd
            }
            #expect(tryOpen("f") >= 0)
            #expect(tryOpen("out") == -ELOOP)
            #expect(tryOpen("out/passwd") == -ELOOP)
            #expect(tryOpen("../inside/f") == -EXDEV)
            #expect(tryOpen("/etc/passwd") == -EXDEV)
            #expect(tryOpen("none") == -ENOENT)
        }
    }

    /// systemd's `RestrictSUIDSGID=` refuses openat2(2), whose arguments no filter sees.
    @Test func anOpenBeneathADirectoryIsTheSameWhereOpenat2IsRefused() throws {
        let scratch = try Scratch()
        let manager = FileManager.default
        let inside = scratch.path.appending("inside").string
        try manager.createDirectory(atPath: inside + "/d", withIntermediateDirectories: true)
        try manager.createSymbolicLink(atPath: inside + "/out", withDestinationPath: "/etc")
        try manager.createSymbolicLink(atPath: inside + "/in", withDestinationPath: "d")
        #expect(manager.createFile(atPath: inside + "/f", contents: Data([1])))
        #expect(manager.createFile(atPath: inside + "/d/g", contents: Data([1])))
        let names = [
            "f", "d", "d/g", ".", "./d/./g", "d//g", "", "out", "out/passwd", "in", "in/g", "f/x",
            "..",
            "../inside/f", "/etc/passwd", "none", "none/x", "d/none",
            String(repeating: "n", count: 256),
            "d/" + String(repeating: "n", count: 256), String(repeating: "d/", count: 3000),
        ]
        let links = Opening(directory: inside, resolve: Opening.beneath, names: names)
        let mounts = Opening(
            directory: "/", resolve: Opening.beneath | CLINUX_RESOLVE_NO_XDEV,
            names: ["proc", "proc/version", "etc"])
        // Nobody mends an open that may follow links.
        let others = Opening(directory: inside, resolve: CLINUX_RESOLVE_BENEATH, names: ["f"])
        for flags in [
            O_RDONLY, O_RDONLY | O_DIRECTORY, Int32(CLINUX_O_PATH),
            Int32(CLINUX_O_PATH) | O_NOFOLLOW,
        ] {
            let refused = Opening.whereOpenat2IsRefused {
                (links.outcomes(flags), mounts.outcomes(flags), others.outcomes(flags))
            }
            #expect(refused.0 == links.outcomes(flags))
            #expect(refused.1 == mounts.outcomes(flags))
            #expect(refused.1.prefix(2) == [-EXDEV, -EXDEV])
            #expect(refused.2 == [-ENOSYS])
        }
    }

    @Test func aDirectoryListsItsEntriesWithTypes() throws {
        let scratch = try Scratch()
        let manager = FileManager.default
        let root = scratch.path.string
        let long = String(repeating: "n", count: 255)
        #expect(manager.createFile(atPath: root + "/" + long, contents: nil))
        try manager.createDirectory(atPath: root + "/d", withIntermediateDirectories: false)
        try manager.createSymbolicLink(atPath: root + "/l", withDestinationPath: "target")
        let fd = Glibc.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        let directory = try #require(clinux_dir_open(fd))
        var found: [String: UInt32] = [:]
        var name = [CChar](repeating: 0, count: 256)
        var ino: UInt64 = 0
        var type: UInt32 = 0
        while true {
            let result = clinux_dir_next(directory, &name, &ino, &type)
            guard result != 0 else { break }
            try #require(result == 1)
            let text = name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            found[text] = type
            var stat = clinux_stat()
            #expect(clinux_fstatat(fd, text, AT_SYMLINK_NOFOLLOW, &stat) == 0)
            #expect(stat.type == type || type == 0)
            if text != ".." { #expect(stat.ino == ino) }
        }
        #expect(Set(found.keys) == [".", "..", long, "d", "l"])
        var target = [CChar](repeating: 0, count: 4)
        #expect(clinux_readlinkat(fd, "l", &target, 4) == 4)
        #expect(target == "targ".utf8.map { CChar($0) })
        clinux_dir_close(directory)
    }

    @Test func attributesAndSpaceAreReadAsTheyAre() throws {
        let scratch = try Scratch()
        let path = scratch.path.appending("f")
        let file = try FileDescriptor.open(
            path, .readWrite, options: [.create], permissions: [.ownerReadWrite])
        try file.closeAfter {
            #expect(clinux_pwrite(file.rawValue, [1, 2, 3] as [UInt8], 3, 10) == 3)
            #expect(fchmod(file.rawValue, 0o4751) == 0)
            var times = [
                timespec(tv_sec: 1_000_000_000, tv_nsec: 1),
                timespec(tv_sec: 2_000_000_000, tv_nsec: 999_999_999),
            ]
            #expect(futimens(file.rawValue, &times) == 0)
            var stat = clinux_stat()
            #expect(clinux_fstat(file.rawValue, &stat) == 0)
            #expect(stat.type == UInt32(S_IFREG) && stat.mode == 0o4751)
            #expect(stat.size == 13 && stat.nlink == 1)
            #expect(stat.atime_sec == 1_000_000_000 && stat.atime_nsec == 1)
            #expect(stat.mtime_sec == 2_000_000_000 && stat.mtime_nsec == 999_999_999)
            var device = clinux_stat()
            #expect(clinux_fstatat(AT_FDCWD, "/dev/null", 0, &device) == 0)
            #expect(device.type == UInt32(S_IFCHR))
            #expect(device.rdev_major == 1 && device.rdev_minor == 3)
            var space = clinux_statvfs()
            #expect(clinux_fstatvfs(file.rawValue, &space) == 0)
            #expect(space.block_size > 0 && space.blocks >= space.blocks_free)
            #expect(clinux_statvfs(path.string, &space) == 0)
            #expect(clinux_fstat(-1, &stat) == -EBADF)
        }
    }

    @Test func dataCallsMoveAndReserveBytes() throws {
        let scratch = try Scratch()
        func make(_ name: String) throws -> FileDescriptor {
            try FileDescriptor.open(
                scratch.path.appending(name), .readWrite, options: [.create],
                permissions: [.ownerReadWrite])
        }
        let source = try make("a")
        let target = try make("b")
        defer {
            try? source.close()
            try? target.close()
        }
        #expect(clinux_pwrite(source.rawValue, [1, 2, 3, 4] as [UInt8], 4, 0) == 4)
        #expect(clinux_copy_file_range(source.rawValue, 1, target.rawValue, 5, 2) == 2)
        var bytes = [UInt8](repeating: 9, count: 8)
        #expect(clinux_pread(target.rawValue, &bytes, 8, 0) == 7)
        #expect(bytes == [0, 0, 0, 0, 0, 2, 3, 9])
        #expect(clinux_preallocate(target.rawValue, 0, 10_000) == 0)
        var stat = clinux_stat()
        #expect(clinux_fstat(target.rawValue, &stat) == 0)
        #expect(stat.size == 10_000 && stat.blocks * 512 >= 10_000)
        let flags = CLINUX_SYNC_WAIT_BEFORE | CLINUX_SYNC_WRITE | CLINUX_SYNC_WAIT_AFTER
        #expect(clinux_sync_file_range(target.rawValue, 0, 0, flags) == 0)
        #expect(clinux_fsync(target.rawValue) == 0)
    }

    @Test func renamesLocksAndRandomBytesDoWhatTheySay() throws {
        let scratch = try Scratch()
        let a = scratch.path.appending("a").string
        let b = scratch.path.appending("b").string
        for path in [a, b] {
            #expect(FileManager.default.createFile(atPath: path, contents: Data(path.utf8)))
        }
        #expect(clinux_renameat2(AT_FDCWD, a, AT_FDCWD, b, CLINUX_RENAME_NOREPLACE) == -EEXIST)
        #expect(clinux_renameat2(AT_FDCWD, a, AT_FDCWD, b, CLINUX_RENAME_EXCHANGE) == 0)
        #expect(FileManager.default.contents(atPath: a) == Data(b.utf8))

        let one = try FileDescriptor.open(a, .readOnly)
        let other = try FileDescriptor.open(a, .readOnly)
        #expect(clinux_flock_exclusive_nonblocking(one.rawValue) == 0)
        #expect(clinux_flock_exclusive_nonblocking(other.rawValue) == -EWOULDBLOCK)
        try one.close()
        #expect(clinux_flock_exclusive_nonblocking(other.rawValue) == 0)
        try other.close()

        var bytes = [UInt8](repeating: 0, count: 1000)
        #expect(clinux_random(&bytes, bytes.count) == 0)
        #expect(bytes.suffix(500).contains { $0 != 0 })
    }
}

/// Names that are opened below a directory.
private struct Opening: Sendable {
    let directory: String
    let resolve: UInt64
    let names: [String]

    static let beneath = CLINUX_RESOLVE_BENEATH | CLINUX_RESOLVE_NO_SYMLINKS

    /// For each name 0, or why it is not opened.
    func outcomes(_ flags: Int32) -> [Int32] {
        let root = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(root) }
        return names.map { name in
            let code = clinux_openat2(root, name, UInt64(flags | O_CLOEXEC), 0, resolve)
            if code >= 0 { close(code) }
            return min(code, 0)
        }
    }

    /// Does it in a thread that has a filter (seccomp(2)), which ends with it.
    static func whereOpenat2IsRefused<T: Sendable>(_ body: @escaping @Sendable () -> T) -> T {
        let result = Mutex<T?>(nil)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            refuseOpenat2()
            let found = body()
            result.withLock { $0 = found }
            done.signal()
        }
        thread.start()
        done.wait()
        return result.withLock { $0! }
    }

    private static func refuseOpenat2() {
        typealias Prctl = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
        let prctl = unsafeBitCast(dlsym(nil, "prctl"), to: Prctl.self)
        // PR_SET_NO_NEW_PRIVS and PR_SET_SECCOMP
        let noNewPrivileges: Int32 = 38
        let setFilter: Int32 = 22
        func instruction(_ code: UInt64, _ constant: UInt64, otherwiseSkip skipped: UInt64 = 0)
            -> UInt64
        {
            code | skipped << 24 | constant << 32
        }
        let program = [
            instruction(0x20, 0),  // the number of the call
            instruction(0x15, 437, otherwiseSkip: 1),  // is that of openat2
            instruction(0x06, 0x0005_0000 | UInt64(ENOSYS)),  // SECCOMP_RET_ERRNO
            instruction(0x06, 0x7fff_0000),  // SECCOMP_RET_ALLOW
        ]
        program.withUnsafeBufferPointer { program in
            let header = [UInt(program.count), UInt(bitPattern: program.baseAddress)]
            header.withUnsafeBufferPointer { header in
                let pointer = UInt(bitPattern: header.baseAddress)
                precondition(prctl(noNewPrivileges, 1, 0, 0, 0) == 0)
                precondition(prctl(setFilter, 2, pointer, 0, 0) == 0)
            }
        }
    }
}

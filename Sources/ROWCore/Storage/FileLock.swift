import CLinux
import Glibc
import SystemPackage

/// An exclusive lock on a file, held until it is released, the object goes or the process ends.
final class FileLock {
    private let file: FileDescriptor
    private var isHeld = true

    /// - Parameter purpose: what the lock protects, for the error message.
    /// - Parameter code: of the error when another process has it.
    init(
        _ path: FilePath, purpose: String, code: StateError.Code = .locked
    ) throws(StateError) {
        let fd = Storage.create(path, O_RDWR | O_CREAT | O_CLOEXEC)
        file = FileDescriptor(rawValue: fd)
        guard fd >= 0 else {
            isHeld = false
            throw StateError(.io, "cannot open \(path): \(Errno(rawValue: -fd))")
        }
        guard clinux_flock_exclusive_nonblocking(file.rawValue) == 0 else {
            // The file is closed by `deinit`, which runs: every property has its value.
            throw StateError(
                code,
                "\(purpose) is in use by another process (lock \(path)); stop it, or use another session"
            )
        }
    }

    deinit { release() }

    func release() {
        guard isHeld else { return }
        isHeld = false
        try? file.close()
    }
}

extension FilePath {
    /// Makes the directory and those above it, all of them durable.
    func makeDirectory() throws(StateError) {
        let isNew = !exists
        let code = Storage.makeDirectories(self)
        guard code == 0 else {
            throw StateError(.io, "cannot make the directory \(self): \(Errno(rawValue: -code))")
        }
        guard isNew else { return }
        var above = self
        while above.removeLastComponent() {
            // Directories that we may not read are not ones that we made entries in.
            guard (try? above.sync()) != nil else { return }
        }
    }

    private var exists: Bool {
        var stat = clinux_stat()
        return clinux_fstatat(AT_FDCWD, string, 0, &stat) == 0
    }

    /// Makes entries of this directory durable.
    func sync() throws(StateError) {
        do {
            let directory = try FileDescriptor.open(
                self, .readOnly, options: [.directory, .closeOnExec])
            defer { try? directory.close() }
            let code = Storage.syncDirectory(directory.rawValue)
            if code != 0 { throw Errno(rawValue: -code) }
        } catch {
            throw StateError(.io, "cannot sync the directory \(self): \(error)")
        }
    }
}

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
            throw Errno(rawValue: -fd) == .tooManySymbolicLinkLevels
                ? .notOurs(path)
                : StateError(.io, "cannot open \(path): \(Errno(rawValue: -fd))")
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
        // Closing alone is not enough: a child that is just being started has the descriptor too, until
        // its program begins.
        _ = clinux_funlock(file.rawValue)
        try? file.close()
    }
}

extension FilePath {
    /// Makes the directory and those above it, all of them durable: also those that are there already,
    /// whose maker may have been killed before it came to that.
    func makeDirectory() throws(StateError) {
        let code = Storage.makeDirectories(self)
        guard code == 0 else {
            throw StateError(.io, "cannot make the directory \(self): \(Errno(rawValue: -code))")
        }
        var above = self
        while above.removeLastComponent() {
            // Above a relative path is the working directory.
            do { try (above.isEmpty ? "." : above).syncEntries() } catch {
                // Directories that we may not read are not ones that we made entries in.
                if error == .permissionDenied { return }
                // Not every file system has directories that can be synced.
                guard error == .invalidArgument else { throw above.notSynced(error) }
            }
        }
    }

    /// Makes entries of this directory durable.
    func sync() throws(StateError) {
        do { try syncEntries() } catch { throw notSynced(error) }
    }

    private func syncEntries() throws(Errno) {
        let fd = open(string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else { throw Errno(rawValue: errno) }
        defer { close(fd) }
        let code = Storage.syncDirectory(fd)
        if code != 0 { throw Errno(rawValue: -code) }
    }

    private func notSynced(_ error: Errno) -> StateError {
        StateError(.io, "cannot sync the directory \(self): \(error)")
    }
}

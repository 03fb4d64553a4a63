import CLinux
import Glibc
import SystemPackage

/// Who else could change what is kept.
extension StateLayout {
    /// Refuses a state directory that is another user's, or in whose place or into which another user may put
    /// things: this process would take them for its own. Root may work in the directory of any user, since it
    /// looks after those of services.
    ///
    /// One that is not there yet is judged by those above it.
    /// - Throws: `StateError` with who may change what, and what to do.
    public func checkRights() throws(StateError) {
        var existing = path
        var resolved = try Self.resolved(existing)
        while resolved == nil {
            guard existing.removeLastComponent() else { return }
            resolved = try Self.resolved(existing)
        }
        guard var directory = resolved, let found = Self.attributes(directory) else { return }
        let isThere = existing == path
        if isThere { try checkOwn(found) }
        let owner = isThere ? found.uid : geteuid()
        if isThere { directory.removeLastComponent() }
        while let status = Self.attributes(directory) {
            try checkAbove(directory, status, owner: owner)
            guard directory.removeLastComponent() else { return }
        }
    }

    private func checkOwn(_ status: clinux_stat) throws(StateError) {
        guard status.type == S_IFDIR else {
            throw StateError(
                .io, "\(path) is no directory: move it aside, or give another one with --state")
        }
        guard status.uid == geteuid() || geteuid() == 0 else {
            let owner = Self.userName(status.uid)
            throw StateError(
                .io,
                "\(path) belongs to \(owner), and this user is \(Self.userName(geteuid())): run as "
                    + "\(owner), or give another directory with --state")
        }
        guard status.mode & 0o022 == 0 else {
            throw StateError(
                .io,
                "others may write to \(path) (mode 0\(String(status.mode, radix: 8))), and replace what "
                    + "sessions and images are: chmod go-w \(path)")
        }
    }

    private func checkAbove(
        _ directory: FilePath, _ status: clinux_stat, owner: UInt32
    ) throws(StateError) {
        guard directory == "/" || [0, geteuid(), owner].contains(status.uid) else {
            let other = Self.userName(status.uid)
            throw StateError(
                .io,
                "\(directory), above \(path), belongs to \(other), who may put another directory in its "
                    + "place: give another one with --state")
        }
        guard status.mode & 0o002 != 0 else { return }
        guard status.mode & UInt32(S_ISVTX) != 0 else {
            throw StateError(
                .io,
                "anybody may write to \(directory) (mode 0\(String(status.mode, radix: 8))), and put "
                    + "another directory in the place of \(path): chmod o-w \(directory), or give "
                    + "another one with --state")
        }
    }

    /// Without links in it; nil when there is nothing.
    private static func resolved(_ path: FilePath) throws(StateError) -> FilePath? {
        guard let resolved = realpath(path.isEmpty ? "." : path.string, nil) else {
            guard errno == EACCES else { return nil }
            throw StateError(
                .io,
                "this user, \(userName(geteuid())), may not look for \(path): run as the one whose "
                    + "it is, or give another one with --state")
        }
        defer { free(resolved) }
        return FilePath(platformString: resolved)
    }

    private static func attributes(_ path: FilePath) -> clinux_stat? {
        var status = clinux_stat()
        return clinux_fstatat(AT_FDCWD, path.string, 0, &status) == 0 ? status : nil
    }

    private static func userName(_ id: UInt32) -> String {
        guard let entry = getpwuid(id) else { return "user \(id)" }
        return String(cString: entry.pointee.pw_name)
    }
}

import CLinux
import Glibc
public import ROWCore
public import SystemPackage

/// Files that somebody has named, or whose name anybody can tell, perhaps in a directory such as /tmp.
public enum OutputFile {
    /// Opens one to write to it, empty unless it is appended to.
    ///
    /// A link, a pipe or another user's file that somebody put in its place is refused, and so is a file that has
    /// a second name somewhere.
    /// - Parameter permissions: of a file that is made. One that nobody else may read is so afterwards.
    /// - Throws: `StateError`.
    public static func open(
        _ path: FilePath, options: FileDescriptor.OpenOptions = [],
        permissions: FilePermissions = .ownerReadWrite
    ) throws(StateError) -> FileDescriptor {
        func refusal(_ reason: String) -> StateError {
            StateError(.io, "cannot write \(path): \(reason)")
        }
        let file: FileDescriptor
        do {
            // Without waiting for the other end of a pipe.
            file = try FileDescriptor.open(
                path, .writeOnly,
                options: options.union([.create, .noFollow, .nonBlocking, .closeOnExec]),
                permissions: permissions)
        } catch Errno.tooManySymbolicLinkLevels {
            throw refusal("it is a symbolic link; name what it leads to, or remove it")
        } catch {
            throw refusal("\(error)")
        }
        var status = clinux_stat()
        let reason: String? =
            if clinux_fstat(file.rawValue, &status) < 0 {
                "it cannot be looked at"
            } else if status.type == S_IFCHR {
                nil
            } else if status.type != S_IFREG {
                "it is no file"
            } else if status.uid != geteuid() {
                "it is another user's; remove it, or name another"
            } else if status.nlink > 1 {
                "it has more names than this one; remove it, or name another"
            } else if !options.contains(.append) && clinux_ftruncate(file.rawValue, 0) < 0 {
                "it cannot be emptied"
            } else if permissions == .ownerReadWrite && fchmod(file.rawValue, 0o600) < 0 {
                "its rights cannot be changed"
            } else {
                nil
            }
        if let reason {
            try? file.close()
            throw refusal(reason)
        }
        return file
    }
}

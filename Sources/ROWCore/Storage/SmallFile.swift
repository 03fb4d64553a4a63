import CLinux
public import Foundation
import Glibc
public import SystemPackage

/// Small files of the state directory that are read and replaced as a whole, and are their owner's alone.
public enum SmallFile {
    private static let bytesMaximum = 64 << 20

    /// - Returns: nil when there is none, or something else that somebody put in its place.
    public static func read(_ path: FilePath) -> Data? {
        let fd = Storage.open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return nil }
        let file = FileHandle(fileDescriptor: fd, closeOnDealloc: true)
        return try? file.read(upToCount: bytesMaximum) ?? Data()
    }

    /// Puts a new file in the place of whatever has the name. There is one writer at a time.
    /// - Parameter isDurable: whether it is there after a loss of power, once this returns.
    public static func write(
        _ data: Data, to path: FilePath, isDurable: Bool = false
    ) throws(Errno) {
        let new = path.string + ".new"
        unlink(new)
        let fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw Errno(rawValue: errno) }
        do {
            let file = FileDescriptor(rawValue: fd)
            try file.closeAfter {
                _ = try file.writeAll(data)
                if isDurable, fsync(fd) != 0 { throw Errno(rawValue: errno) }
            }
            guard rename(new, path.string) == 0 else { throw Errno(rawValue: errno) }
            guard isDurable else { return }
            let folder = try FileDescriptor.open(path.removingLastComponent(), .readOnly)
            try folder.closeAfter {
                if fsync(folder.rawValue) != 0 { throw Errno(rawValue: errno) }
            }
        } catch {
            unlink(new)
            throw error as? Errno ?? .ioError
        }
    }
}

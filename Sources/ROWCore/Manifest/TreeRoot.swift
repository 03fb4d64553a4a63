import CLinux
import Glibc
import NFSProtocol
import SystemPackage

/// The root of a tree that is read for a manifest. Nothing below it is reached by a symbolic link, by `..`
/// or over a mount point. Any thread may use it.
final class TreeRoot: Sendable {
    let path: FilePath
    private let descriptor: Int32

    /// - Throws: `notFound` for what is no directory that can be read.
    init(_ path: FilePath) throws(StateError) {
        let fd = Glibc.open(path.string, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard fd >= 0 else {
            throw StateError(
                .notFound,
                "cannot use \(path) as an image: \(Errno(rawValue: errno)); give a directory that can be read"
            )
        }
        self.path = path
        descriptor = fd
    }

    deinit { close(descriptor) }

    /// Opens an object.
    /// - Parameter path: below the root, without slashes around it; empty for the root.
    /// - Parameter flags: of open(2).
    func open(_ path: [UInt8], _ flags: UInt64) throws(StateError) -> Int32 {
        try open(path.isEmpty ? [UInt8(ascii: ".")] : path, in: descriptor, flags, path)
    }

    /// Opens what an open directory has by a name, whatever it is, to look at it alone.
    /// - Parameter path: of the object below the root, for errors.
    func look(at name: [UInt8], in directory: Int32, _ path: [UInt8]) throws(StateError) -> Int32 {
        try open(name, in: directory, CLINUX_O_PATH, path)
    }

    /// The attributes of an open object.
    func attributes(_ fd: Int32, _ path: [UInt8]) throws(StateError) -> NFS3.Attributes {
        var stat = clinux_stat()
        let code = clinux_fstat(fd, &stat)
        guard code == 0 else { throw failure(code, path) }
        guard let attributes = NFS3.Attributes(stat) else {
            throw StateError(
                .io, "\(name(path)) is of a type that NFS does not have; move it out of the tree")
        }
        return attributes
    }

    /// What an open symbolic link points to.
    func target(_ fd: Int32, _ path: [UInt8]) throws(StateError) -> [UInt8] {
        var text = [UInt8](repeating: 0, count: NFS3.pathSizeMaximum)
        let count = text.withUnsafeMutableBytes { buffer in
            clinux_readlinkat(
                fd, "", buffer.assumingMemoryBound(to: CChar.self).baseAddress!, buffer.count)
        }
        guard count >= 0 else { throw failure(Int32(count), path) }
        return Array(text[..<count])
    }

    /// - Parameter code: a negative errno.
    func failure(_ code: Int32, _ path: [UInt8]) -> StateError {
        switch -code {
        case EXDEV:
            return StateError(
                .io,
                "\(name(path)) is a mount point, and what is mounted there is no part of the image; "
                    + "unmount it, or give the tree by another mount of its file system "
                    + "(mount --bind)")
        case EACCES, EPERM:
            return StateError(
                .io,
                "cannot read \(name(path)): \(Errno(rawValue: -code)); run this as a user who may read "
                    + "all of the tree, such as root")
        case ENOENT, ENOTDIR, ELOOP, ESTALE: return changed(path)
        case ENAMETOOLONG:
            return StateError(
                .io, "the path of \(name(path)) is too long for this system; move it up in the tree"
            )
        default:
            return StateError(.io, "cannot read \(name(path)): \(Errno(rawValue: -code))")
        }
    }

    /// The error for an object that is not what it was at the start.
    func changed(_ path: [UInt8]) -> StateError {
        StateError(
            .io,
            "\(name(path)) changed while it was read; stop what writes to the tree and do it again")
    }

    private func name(_ path: [UInt8]) -> String {
        path.isEmpty ? self.path.string : "\(self.path)/\(String(decoding: path, as: UTF8.self))"
    }

    private func open(
        _ name: [UInt8], in directory: Int32, _ flags: UInt64, _ path: [UInt8]
    ) throws(StateError) -> Int32 {
        let code = (name + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                clinux_openat2(
                    directory, text.baseAddress!, flags | UInt64(O_NOFOLLOW | O_CLOEXEC), 0,
                    UInt64(
                        CLINUX_RESOLVE_BENEATH | CLINUX_RESOLVE_NO_SYMLINKS
                            | CLINUX_RESOLVE_NO_XDEV))
            }
        }
        guard code >= 0 else { throw failure(code, path) }
        return code
    }
}

import CLinux
import Glibc
import SystemPackage

/// Space held back on the session's file system, given up when a commit finds the disk full: what
/// frees space (REMOVE, truncation) can then still be committed. Until it can be held back again,
/// nothing that needs space is let through.
struct Ballast {
    private let path: FilePath
    private(set) var isSpent = false

    /// Room for a good many transactions of the write-ahead log.
    private static let byteCount: Int64 = 4 << 20

    init(in directory: FilePath) {
        path = directory.appending("ballast")
        restore()
    }

    /// Gives the space up.
    mutating func spend() {
        unlink(path.string)
        isSpent = true
    }

    /// Tries to hold the space back again.
    mutating func restore() {
        do {
            let file = try FileDescriptor.open(
                path, .writeOnly, options: [.create, .closeOnExec],
                permissions: [.ownerReadWrite])
            defer { try? file.close() }
            isSpent = clinux_preallocate(file.rawValue, 0, Self.byteCount) != 0
        } catch {
            isSpent = true
        }
        // Part of it would be in the way of what it is for.
        if isSpent { unlink(path.string) }
    }
}

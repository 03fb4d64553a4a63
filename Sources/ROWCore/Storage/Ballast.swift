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
    private static let byteCount: Int64 = 1 << 20
    private static let name = "ballast"
    /// To open the databases of an image and a session takes less.
    private static let bytesToOpen: UInt64 = 512 << 10

    init(in directory: FilePath) {
        path = directory.appending(Self.name)
        restore()
    }

    /// Gives the space up if there is too little else to open the session and its image: a restart
    /// writes before anything is read.
    static func makeRoom(in directory: FilePath) {
        var space = clinux_statvfs()
        guard clinux_statvfs(directory.string, &space) == 0,
            space.blocks_available * space.block_size < bytesToOpen
        else { return }
        Storage.remove(directory.appending(name))
    }

    /// Gives the space up.
    mutating func spend() {
        Storage.remove(path)
        isSpent = true
    }

    /// Tries to hold the space back again. A file system that cannot hold space back has no ballast,
    /// which is not the same as being full.
    mutating func restore() {
        isSpent = false
        let file = Storage.create(path, O_WRONLY | O_CREAT | O_CLOEXEC)
        defer { if file >= 0 { close(file) } }
        let code = file < 0 ? file : Storage.reserve(file, count: Self.byteCount)
        isSpent = code == -ENOSPC || code == -EDQUOT
        // A part of it would be in the way of what it is for.
        if isSpent { Storage.remove(path) }
    }
}

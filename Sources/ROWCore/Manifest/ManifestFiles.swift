import CLinux
import Glibc
public import SystemPackage

/// The two files of a manifest, which have been checked against each other.
public final class ManifestFiles {
    static let directoryName = Array(ManifestPlace.directory.utf8)
    static let manifestName = ManifestPlace.database
    static let sumsName = ManifestPlace.sums

    public let sums: ManifestSums
    public let reader: ManifestReader

    /// Opens a manifest, and reads all of it to compare it with its sums.
    /// - Parameter path: of a tree that has one, or of the `manifest.sqlite` itself, with `manifest.sums`
    ///   beside it.
    /// - Throws: `notFound`, `io`, `unreadable`, `newerSchema`.
    public init(_ path: FilePath) throws(StateError) {
        let manifest = Self.isDirectory(path) ? Self.manifest(of: path) : path
        let sumsPath = manifest.removingLastComponent().appending(Self.sumsName)
        sums = try ManifestSums(bytes: try Self.read(sumsPath))
        try Self.check(manifest, sums)
        reader = try ManifestReader(path: manifest.string)
    }

    /// Where a tree has its manifest.
    static func manifest(of tree: FilePath) -> FilePath {
        tree.appending(String(decoding: directoryName, as: UTF8.self)).appending(manifestName)
    }

    private static func isDirectory(_ path: FilePath) -> Bool {
        let fd = open(path.string, Int32(CLINUX_O_PATH) | O_DIRECTORY | O_CLOEXEC)
        if fd >= 0 { close(fd) }
        return fd >= 0
    }

    private static func openFile(_ path: FilePath) throws(StateError) -> SparseFile {
        do {
            return try SparseFile(path: path, flags: O_RDONLY | O_CLOEXEC)
        } catch .noSuchFileOrDirectory {
            throw StateError(
                .notFound, "there is no \(path): the tree is not sealed (rowctl image seal DIR)")
        } catch {
            throw StateError(.io, "cannot open \(path): \(error)")
        }
    }

    private static func read(_ path: FilePath) throws(StateError) -> [UInt8] {
        let file = try openFile(path)
        do {
            // One byte more than there may be, so that a longer file shows.
            let count = Int(min(try file.size, UInt64(ManifestSums.bytesMaximum) + 1))
            var bytes = [UInt8](repeating: 0, count: count)
            try bytes.withUnsafeMutableBytes { buffer in
                try file.read(into: buffer, at: 0)
            }
            return bytes
        } catch {
            throw StateError(.io, "cannot read \(path): \(error)")
        }
    }

    private static func check(_ path: FilePath, _ sums: ManifestSums) throws(StateError) {
        let size: UInt64
        do { size = try openFile(path).size } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.io, "cannot examine \(path): \(error)")
        }
        var piece = 0
        var isEqual = size == UInt64(sums.size)
        if isEqual {
            try hashPieces(of: path, size: sums.size) { hash in
                if hash != sums.hash(of: piece) { isEqual = false }
                piece += 1
            }
        }
        guard isEqual else {
            throw StateError(
                .unreadable,
                "\(path) is not what \(sumsName) says: one of them is damaged, or a seal was cut off "
                    + "as it ended; the image must be sealed again (rowctl image seal)")
        }
    }

    /// Calls `body` with the hash of each piece of a manifest.
    static func hashPieces(
        of path: FilePath, size: Int, _ body: (ContentHash) -> Void
    ) throws(StateError) {
        let file = try openFile(path)
        var buffer = [UInt8](repeating: 0, count: ManifestSums.pieceBytes)
        for start in stride(from: 0, to: size, by: ManifestSums.pieceBytes) {
            let count = min(ManifestSums.pieceBytes, size - start)
            do {
                try buffer.withUnsafeMutableBytes { bytes in
                    try file.read(into: .init(rebasing: bytes[..<count]), at: UInt64(start))
                }
            } catch {
                throw StateError(.io, "cannot read \(path): \(error)")
            }
            body(buffer[..<count].withUnsafeBytes { ContentHash(of: $0) })
        }
    }
}

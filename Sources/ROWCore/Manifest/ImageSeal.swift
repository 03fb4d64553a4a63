import CLinux
import Glibc
public import SystemPackage

/// Seals a tree: writes its manifest into it.
///
/// Until all is done the manifest before stays in its place. What a seal that was cut off leaves is
/// removed by the next.
public enum ImageSeal {
    /// Where the hashes of unchanged files come from.
    public enum Earlier: Sendable {
        /// The manifest that the tree has; none when there is none, or when it is damaged.
        case own
        /// The manifest of another tree, or a `manifest.sqlite` with its sums beside it.
        case at(FilePath)
        /// All files are read.
        case none
    }

    /// How far a seal is.
    public struct Progress: Sendable {
        /// Names found so far, and files and bytes of which the hashes are known.
        public var names: UInt64 = 0
        public var files: UInt64 = 0
        public var bytes: UInt64 = 0
        /// Of all files; nil until all names are found.
        public var bytesTotal: UInt64?
    }

    /// What a seal came to.
    public struct Report: Sendable, Codable {
        public var nodes: UInt64
        public var files: UInt64
        /// Of all files.
        public var bytes: UInt64
        /// What was read of them.
        public var bytesRead: UInt64
        public var chunks: UInt64
        public var manifestBytes: UInt64
        public var seconds: Double
        /// In hexadecimal digits; the SHA-256 of `manifest.sums`.
        public var rootHash: String
        /// Why the manifest that the tree had was of no use.
        public var note: String?
    }

    /// Seals a tree.
    /// - Parameter directory: its root.
    /// - Parameter progress: called now and then, on the calling thread.
    /// - Throws: `locked` when the tree is being sealed; `io` also for what cannot be read or changes
    ///   meanwhile, with its path.
    public static func run(
        _ directory: FilePath, from earlier: Earlier = .own,
        progress: (Progress) -> Void = { _ in }
    ) throws(StateError) -> Report {
        let start = ContinuousClock.now
        let root = try TreeRoot(directory)
        let place = try SealPlace(directory)
        defer { withExtendedLifetime(place) {} }
        let (before, note) = try manifest(earlier, directory)
        let made = try ManifestMaking(root: root, earlier: before?.reader, place: place.files)
            .run(progress: progress)
        let rootHash = try place.publish(made.size)
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        return Report(
            nodes: made.facts.nodes, files: made.facts.files, bytes: made.facts.bytes,
            bytesRead: made.bytesRead, chunks: made.facts.chunks,
            manifestBytes: UInt64(made.size), seconds: seconds,
            rootHash: rootHash.description, note: note)
    }

    private static func manifest(
        _ earlier: Earlier, _ directory: FilePath
    ) throws(StateError) -> (ManifestFiles?, note: String?) {
        switch earlier {
        case .none: return (nil, nil)
        case .at(let path): return (try ManifestFiles(path), nil)
        case .own:
            do {
                return (try ManifestFiles(directory), nil)
            } catch  where error.code == .notFound {
                return (nil, nil)
            } catch {
                return (nil, "all files were read: \(error)")
            }
        }
    }
}

/// Where a manifest is made.
struct MakingFiles {
    let manifest: FilePath
    /// Of no use afterwards.
    let record: FilePath

    init(in directory: FilePath) {
        manifest = directory.appending("manifest.sqlite.new")
        record = directory.appending("seal.tmp")
    }
}

/// The directory for a tree's manifest, locked.
final class SealPlace {
    let files: MakingFiles
    private let directory: FilePath
    private let tree: FilePath
    private let lock: Int32

    private var sums: FilePath { directory.appending("manifest.sums.new") }

    init(_ tree: FilePath) throws(StateError) {
        self.tree = tree
        let manifest = ManifestFiles.manifest(of: tree)
        directory = manifest.removingLastComponent()
        files = MakingFiles(in: directory)
        let made = Storage.makeDirectory(directory)
        guard made == 0 || made == -EEXIST else {
            throw StateError(
                .io,
                "cannot make \(directory): \(Errno(rawValue: -made)); seal the tree where it can be "
                    + "written to")
        }
        let fd = open(directory.string, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard fd >= 0 else {
            throw StateError(
                .io,
                "cannot use \(directory) for the manifest: \(Errno(rawValue: errno)); it must be a directory"
            )
        }
        guard clinux_flock_exclusive_nonblocking(fd) == 0 else {
            close(fd)
            throw StateError(.locked, "\(tree) is being sealed by another process; wait for it")
        }
        // The last property: until here there is nothing of ours that `deinit` could remove.
        lock = fd
        // Whoever may read the export may read the manifest.
        fchmod(lock, 0o755)
        removeTemporaries()
    }

    deinit {
        removeTemporaries()
        // Where there is no manifest nothing stays.
        _ = Storage.removeDirectory(directory)
        // Before anybody else's: a child that is being started may have the descriptor, too.
        _ = clinux_funlock(lock)
        close(lock)
    }

    /// Puts the new manifest in the place of the one before.
    /// - Returns: the image's root hash.
    func publish(_ size: Int) throws(StateError) -> ContentHash {
        var hashes: [UInt8] = []
        try ManifestFiles.hashPieces(of: files.manifest, size: size) { hashes += $0.bytes }
        let bytes = ManifestSums.fileBytes(size: size, hashes: hashes)
        let names = [(files.manifest, ManifestFiles.manifestName), (sums, ManifestFiles.sumsName)]
        do {
            let file = try SparseFile(path: sums, create: true)
            try bytes.withUnsafeBytes { buffer in try file.write(buffer, at: 0) }
            for (path, _) in names {
                let file = try SparseFile(path: path, create: false)
                guard fchmod(file.descriptor.rawValue, 0o644) == 0 else {
                    throw Errno(rawValue: errno)
                }
                try file.sync()
            }
            for (path, name) in names {
                let code = Storage.rename(path, to: directory.appending(name))
                guard code == 0 else { throw Errno(rawValue: -code) }
            }
        } catch {
            throw StateError(.io, "cannot write the manifest in \(directory): \(error)")
        }
        try directory.sync()
        try tree.sync()
        return bytes.withUnsafeBytes { ContentHash(of: $0) }
    }

    private func removeTemporaries() {
        for path in [files.manifest, files.record, sums] { Storage.remove(path) }
    }
}

import Glibc
public import SystemPackage

/// Compares a tree with its manifest: reads all of the tree, makes a manifest of what is there, and looks
/// for what the two say differently. Nothing is written to the tree.
public enum ImageVerification {
    /// - Parameter temporary: a directory with room for another manifest, for the time that it takes.
    /// - Parameter progress: called now and then, on the calling thread.
    /// - Parameter report: called with each difference.
    /// - Returns: what the manifest says of the image.
    /// - Throws: `notFound` for a tree that is not sealed, `unreadable` when its manifest is damaged, `io`
    ///   for what cannot be read of the tree or changes meanwhile, with its path.
    @discardableResult
    public static func run(
        _ directory: FilePath, temporary: FilePath,
        progress: (ImageSeal.Progress) -> Void = { _ in },
        report: @escaping (TreeDifference) -> Void
    ) throws(StateError) -> ManifestFiles {
        let manifest = try ManifestFiles(directory)
        let place = try TemporaryPlace(below: temporary)
        defer { withExtendedLifetime(place) {} }
        let root = try TreeRoot(directory)
        _ = try ManifestMaking(root: root, earlier: nil, place: place.files)
            .run(progress: progress)
        let found = try ManifestReader(path: place.files.manifest.string)
        if found.tree != manifest.reader.tree {
            var comparison = ManifestComparison(
                sealed: manifest.reader, found: found, report: report)
            try comparison.run()
        }
        return manifest
    }

    /// A new directory, which goes with this object.
    private final class TemporaryPlace {
        let files: MakingFiles
        private let path: FilePath

        init(below directory: FilePath) throws(StateError) {
            var template = Array(directory.appending("rowfs-verify.XXXXXX").string.utf8CString)
            guard mkdtemp(&template) != nil else {
                throw StateError(
                    .io,
                    "cannot make a directory in \(directory): \(Errno(rawValue: errno)); choose another by TMPDIR"
                )
            }
            path = FilePath(platformString: template)
            files = MakingFiles(in: path)
        }

        deinit {
            Storage.remove(files.manifest)
            Storage.remove(files.record)
            _ = Storage.removeDirectory(path)
        }
    }
}

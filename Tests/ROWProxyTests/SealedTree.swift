import Foundation
import ROWCore
import ROWTestKit
import SystemPackage

/// A tree with its manifest, as a simulated server exports it.
struct SealedTree {
    /// With `.rowfs`.
    let tree: SimulatedTree.Item
    let report: ImageSeal.Report
    let manifest: [UInt8]
    let sums: [UInt8]

    var root: ContentHash {
        get throws { try ManifestSums(bytes: sums).rootHash }
    }

    /// Puts a tree on disk, seals it, and takes the manifest from there. The times of the files are others than a
    /// simulated server tells.
    init(_ tree: SimulatedTree.Item) throws {
        let folder = try TemporaryDirectory("rowfs-sealed")
        let directory = try folder.directory("tree")
        try Self.write(tree, to: directory)
        report = try ImageSeal.run(FilePath(directory))
        func bytes(_ name: String) -> [UInt8] {
            Array(FileManager.default.contents(atPath: "\(directory)/.rowfs/\(name)") ?? Data())
        }
        manifest = bytes(ManifestPlace.database)
        sums = bytes(ManifestPlace.sums)
        self.tree = Self.adding(manifest, sums, to: tree)
        withExtendedLifetime(folder) {}
    }

    static func adding(
        _ manifest: [UInt8], _ sums: [UInt8], to tree: SimulatedTree.Item
    ) -> SimulatedTree.Item {
        guard case .directory(let items) = tree else { return tree }
        let files = SimulatedTree.Item.directory([
            (ManifestPlace.database, .file(manifest)), (ManifestPlace.sums, .file(sums)),
        ])
        return .directory(items + [(ManifestPlace.directory, files)])
    }

    private static func write(_ item: SimulatedTree.Item, to path: String) throws {
        let files = FileManager.default
        switch item {
        case .file(let bytes):
            try Data(bytes).write(to: URL(filePath: path))
            try files.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        case .symlink(let target):
            try files.createSymbolicLink(atPath: path, withDestinationPath: target)
        case .sameAs: break
        case .directory(let items):
            try files.createDirectory(atPath: path, withIntermediateDirectories: true)
            for (name, inner) in items {
                if case .sameAs(let other) = inner {
                    try files.linkItem(atPath: "\(path)/\(other)", toPath: "\(path)/\(name)")
                } else {
                    try write(inner, to: "\(path)/\(name)")
                }
            }
        }
    }
}

import Foundation
import NFSProtocol
import ROWCore
import SystemPackage

/// The database of a manifest, as a hostile server would send it.
final class ManifestTarget: FuzzTarget {
    private let scratch: Scratch
    private let seed: [UInt8]

    init() throws {
        scratch = try Scratch("manifest")
        try scratch.write(Array("hello".utf8), to: "tree/one")
        try scratch.write([UInt8](repeating: 7, count: 70_000), to: "tree/deep/er/two")
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path("tree/link"), withDestinationPath: "deep/er")
        _ = try ImageSeal.run(FilePath(scratch.path("tree")))
        seed = try Self.manifest(below: scratch.path("tree"))
    }

    private static func manifest(below tree: String) throws -> [UInt8] {
        let names = FileManager.default.enumerator(atPath: tree)?.compactMap { $0 as? String }
        guard let name = names?.first(where: { $0.hasSuffix("manifest.sqlite") }) else {
            throw CocoaError(.fileNoSuchFile)
        }
        return Array(try Data(contentsOf: URL(filePath: "\(tree)/\(name)")))
    }

    func seeds() -> [[UInt8]] { [seed] }

    func take(_ bytes: [UInt8]) {
        do {
            try scratch.write(bytes, to: "manifest.sqlite")
        } catch {
            must(false, "\(error)")
        }
        guard let reader = try? ManifestReader(path: scratch.path("manifest.sqlite")) else {
            return
        }
        var visit = Visit(reader: reader)
        visit.directory((try? reader.root())?.node ?? 0)
    }

    /// All that can be reached, which ends even if names go round in a ring.
    private struct Visit {
        let reader: ManifestReader
        /// A directory is in one place and has a greater number than that which it is in.
        private var left = 10_000

        init(reader: ManifestReader) { self.reader = reader }

        mutating func directory(_ node: UInt64) {
            var last: [UInt8] = []
            while let page = try? reader.page(of: node, after: last, count: 64) {
                for (name, entry) in page.entries {
                    left -= 1
                    must(left > 0, "names without end")
                    must(
                        last.lexicographicallyPrecedes(name), "names are out of order")
                    must(
                        name.count <= 255 && !name.contains(0x2f) && !name.contains(0), "a bad name"
                    )
                    last = name
                    let found = try? reader.entry(in: node, named: name)
                    must(found == nil || found == entry, "a name is two things")
                    look(at: entry)
                    if entry.attributes.type == .directory {
                        must(entry.node > node, "a directory is in one of those below it")
                        directory(entry.node)
                    }
                }
                if page.isLast { return }
            }
        }

        private func look(at entry: ManifestEntry) {
            if let target = try? reader.target(of: entry.node) {
                must(target.count == entry.attributes.size, "a target of another size")
            }
            for page: UInt64 in [0, 1, entry.attributes.size / (16 << 20)] {
                guard let hashes = try? reader.hashes(of: entry.node, page: page) else { continue }
                must(hashes.count % 32 == 0 && hashes.count <= 256 * 32, "hashes of another size")
            }
        }
    }
}

import Foundation
import GRDB
import NFSProtocol

/// What is known of an image's manifest: the files that lie in the image's own tree, below `.rowfs`.
///
/// They are nodes like others, so that their blocks can be fetched and kept, but no names of the image: nobody
/// is shown them.
extension ImageStore {
    /// The manifest that an image was found to have.
    public struct AdoptedManifest: Sendable, Hashable {
        /// SHA-256 of its sums.
        public let root: ContentHash
        /// `.rowfs/manifest.sqlite`.
        public let database: NodeID
        /// Whether some blocks may have been kept before there was a manifest to compare them with.
        public let isLate: Bool
    }

    static func adoptedManifest(_ db: GRDB.Database) throws -> AdoptedManifest? {
        guard
            let root = try Data.fetchOne(
                db, sql: "SELECT value FROM meta WHERE key = 'manifest_root'"),
            root.count == ContentHash.byteCount,
            let database = try Int64.fetchOne(
                db, sql: "SELECT value FROM meta WHERE key = 'manifest_database'")
        else { return nil }
        let late = try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'manifest_late'")
        return AdoptedManifest(
            root: root.withUnsafeBytes { ContentHash(bytes: $0) },
            database: NodeID(row: database), isLate: late != 0)
    }

    /// Takes in where a manifest was found. The rows are committed with ``commit(then:)``.
    /// - Parameter directory: `.rowfs`.
    /// - Parameter database: `manifest.sqlite` in it.
    /// - Parameter replica: which told of them.
    /// - Parameter isLate: see ``AdoptedManifest/isLate``.
    public func adopt(
        manifest root: ContentHash, directory: MainEntry, database: MainEntry, replica: Int,
        isLate: Bool
    ) throws(Interrupt) {
        let name = Array(ManifestPlace.directory.utf8)
        // A client may have been shown it before anybody knew what it is.
        let known = try name.withBytes { bytes throws(Interrupt) in
            try self.child(of: .root, named: bytes)
        }
        let parent = known ?? newHiddenNode(directory, in: .root, name, replica)
        let file = Array(ManifestPlace.database.utf8)
        let id = newHiddenNode(database, in: parent, file, replica)
        let isLate = isLate || manifest?.isLate == true
        batch.rows.append(.meta("manifest_root", .blob(root.bytes)))
        batch.rows.append(.meta("manifest_database", .integer(id.row)))
        batch.rows.append(.meta("manifest_late", .integer(isLate ? 1 : 0)))
        manifest = AdoptedManifest(root: root, database: id, isLate: isLate)
    }

    /// Remembers that blocks were kept that nothing was compared with.
    public func doubtBlocks() {
        guard let known = manifest, !known.isLate else { return }
        batch.rows.append(.meta("manifest_late", .integer(1)))
        manifest = AdoptedManifest(root: known.root, database: known.database, isLate: true)
    }

    private func newHiddenNode(
        _ entry: MainEntry, in parent: NodeID, _ name: [UInt8], _ replica: Int
    ) -> NodeID {
        let id = NodeID(rawValue: nextID)
        nextID += 1
        batch.rows.append(
            .node(id, parent: parent, name: name, entry.attributes, replica: replica))
        if let handle = entry.handle { batch.rows.append(.handle(id, replica: replica, handle)) }
        return id
    }

    /// Whether servers told of objects that have several names: which of a manifest's names are the same
    /// must be found out then.
    public func hasLinksOfServers() -> Bool {
        guard
            let select = try? reader.prepare(
                """
                SELECT EXISTS (SELECT 1 FROM node INDEXED BY node_linked
                    WHERE nlink > 1 AND type <> 2 AND replica <> ?)
                """)
        else { return true }
        select.bind(1, Int64(Self.manifestReplica))
        defer { select.reset() }
        return (try? select.step()) != true || select.int(0) != 0
    }
}

extension ManifestReader {
    /// Blocks whose hashes lie together, see ``hashes(of:page:)``.
    public static var pageBlocks: UInt64 { ManifestSchema.pageBlocks }
}

/// Where in an image's tree its manifest lies.
public enum ManifestPlace {
    public static let directory = ".rowfs"
    public static let database = "manifest.sqlite"
    public static let sums = "manifest.sums"
}

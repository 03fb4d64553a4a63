import GRDB
import Glibc
import NFSProtocol
public import SystemPackage

/// What session.sqlite says of a session that nobody runs.
public struct StoredSession: Sendable {
    public let image: String
    /// Files with changed data.
    public let files: Int64
    public let blocks: Int64
    /// Bytes of storage in the shadow.
    public let allocated: Int64
    /// When it was taken, if it is a snapshot.
    let snapshotTime: NFS3.Time?
    /// Where the data is when it is on an NFS server.
    public let shadow: StoredShadow?

    /// Reads it without changing anything.
    /// - Parameter directory: the session's.
    public static func read(_ directory: FilePath) throws(StateError) -> StoredSession {
        let path = directory.appending("session.sqlite").string
        do {
            let queue = try StateDatabase.openToRead(path)
            return try queue.read { db in
                let row = try Row.fetchOne(
                    db,
                    sql: "SELECT count(DISTINCT node), sum(blocks), sum(allocated) FROM content")
                let time = try Int64.fetchOne(
                    db, sql: "SELECT value FROM meta WHERE key = 'snapshot_time'")
                return StoredSession(
                    image: try String.fetchOne(
                        db, sql: "SELECT value FROM meta WHERE key = 'image'") ?? "",
                    files: row?[0] ?? 0, blocks: row?[1] ?? 0, allocated: row?[2] ?? 0,
                    snapshotTime: time.map(NFS3.Time.init(row:)), shadow: try StoredShadow(db))
            }
        } catch {
            throw StateError(.unreadable, "cannot read \(path): \(error)")
        }
    }
}

extension ImageStore {
    /// Gets to know a session that exists, before any is opened. Where it was made on a database of this
    /// image that is lost, or on a newer state of it than this copy, the ids that it knows are kept for
    /// the objects that had them, or what another session looks up would take ids that this one gave
    /// out.
    /// - Returns: nil when it has nothing to do with this image, or cannot be read, which is for its opening
    ///   to complain about.
    public func learn(session directory: FilePath) -> LearnedSession? {
        let path = directory.appending("session.sqlite").string
        let (source, epoch, generation) = (source, epoch, generation)
        guard let queue = try? StateDatabase.openToRead(path) else {
            return nil
        }
        typealias Learned = (tag: Int64, isHere: Bool, lost: [[UInt8]: NodeID]?)
        func learn(_ db: GRDB.Database) throws -> Learned? {
            let image = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'image'")
            let tag = try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'tag'")
            guard let tag else { return nil }
            guard image == source else { return (tag, false, nil) }
            let stands = try SessionStore.stands(on: epoch, generation: generation, db)
            return (tag, true, stands ? nil : try SessionStore.nodesOfImage(db))
        }
        guard let learned = (try? queue.read(learn)) ?? nil else { return nil }
        var lost = learned.lost ?? [:]
        if !learned.isHere || learned.lost != nil {
            // What only a snapshot still knows must come back under its id, too: also one of before an
            // upgrade to another image.
            for tag in Snapshots.tags(of: directory) {
                let path = Snapshots.path(tag, of: directory).appending(DatabaseState.fileName)
                let kept = try? StateDatabase.openToRead(path.string)
                let nodes = (try? kept?.read(learn))??.lost
                lost.merge(nodes ?? [:]) { known, _ in known }
            }
        }
        if !lost.isEmpty { reserve(lost) }
        guard learned.isHere || !lost.isEmpty else { return nil }
        return LearnedSession(
            tag: learned.isHere ? UInt32(truncatingIfNeeded: learned.tag) : nil,
            lostPaths: Array(lost.keys))
    }

    /// What an image knows of a session that exists.
    public struct LearnedSession: Sendable {
        /// Of its handles; nil when only snapshots of it stand on this image.
        public let tag: UInt32?
        /// Where it changed objects whose ids this database does not know. Look all of them up
        /// (``find(_:)``) before anything else: an object with several names must be seen by this one
        /// first.
        public let lostPaths: [[UInt8]]
    }

    /// The object at a path in the image, without a leading slash.
    /// - Returns: nil when main has none.
    /// - Throws: `need` of what must be asked of main first.
    public func find(_ path: [UInt8]) throws(Interrupt) -> NodeID? {
        var id = NodeID.root
        for name in path.split(separator: UInt8(ascii: "/")).map(Array.init) {
            let key = NameKey(directory: id, name: name)
            let child = try name.withBytes { bytes throws(Interrupt) in
                try self.child(of: id, named: bytes)
            }
            guard let child else {
                if isKnownAbsent(key) || isComplete(id) { return nil }
                throw .need(.lookup(directory: id, name: name))
            }
            id = child
        }
        return id
    }
}

extension StoredSession {
    /// Removes a session that nobody uses: at once by name, then piece by piece. What an earlier removal
    /// left when it was cut off goes with it.
    /// - Parameter elsewhere: removes first what is not on this machine.
    /// - Throws: `StateError`, of code `locked` when the session is in use; what `elsewhere` throws.
    public static func remove(
        _ directory: FilePath, elsewhere: () async throws -> Void
    ) async throws {
        let name = directory.lastComponent?.string ?? ""
        let lock = try FileLock(directory.appending("lock"), purpose: "the session \(name)")
        defer { lock.release() }
        try await elsewhere()
        try removeFiles(directory)
    }

    /// Removes a session that nobody uses, but for data that a server has.
    /// - Throws: `StateError`, of code `locked` when the session is in use.
    public static func remove(_ directory: FilePath) throws(StateError) {
        let name = directory.lastComponent?.string ?? ""
        let lock = try FileLock(directory.appending("lock"), purpose: "the session \(name)")
        defer { lock.release() }
        try removeFiles(directory)
    }

    private static func removeFiles(_ directory: FilePath) throws(StateError) {
        let parent = directory.removingLastComponent()
        let doomed = parent.appending("\(removalPrefix)\(UInt64.random(in: .min ... .max))")
        let code = Storage.rename(directory, to: doomed)
        guard code == 0 else {
            throw StateError(.io, "cannot remove \(directory): \(Errno(rawValue: -code))")
        }
        // Before a file of it goes, or a loss of power could leave a session that lacks some.
        try parent.sync()
        do {
            for leftover in try ShadowFacts.names(in: parent)
            where leftover.string.hasPrefix(removalPrefix) {
                try parent.pushing(leftover).removeTree()
            }
        } catch {
            throw StateError(.io, "the session is gone, but not all its files: \(error)")
        }
    }

    /// Begins with a dot, which no session's name does.
    private static let removalPrefix = ".removing-"
}

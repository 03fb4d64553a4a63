import Foundation
import GRDB
public import NFSProtocol
public import SystemPackage

/// What is known of main's tree: names, attributes, symbolic links and handles, kept for ever once
/// seen (an image does not change) and shared by all sessions of the image.
///
/// Loop-confined. What main answers is fed in, committed, and only then visible to operations: no id
/// is exposed before its row is durable.
public final class ImageStore {
    /// Distinguishes this database from any other made for the same image.
    public let epoch: UInt64
    /// Counts the openings of this database: one that is no greater than it was before is an older
    /// copy of the database.
    public let generation: UInt64
    /// The image's URL or directory.
    public let source: String
    /// The numbers of the servers that were named when it was opened, in that order.
    public let replicas: [Int]
    /// Whether it was ever opened with more than one.
    public private(set) var hasSeveralReplicas: Bool
    /// The number under which a manifest tells of nodes; no server has it.
    public static let manifestReplica = -1
    /// The manifest that it has, as far as is known.
    public internal(set) var manifest: AdoptedManifest?
    /// The tags of sessions that stand on this database since it was opened; they may come again.
    var adopted: Set<UInt32> = []
    /// What happened that an operator should know.
    public var onEvent: (String) -> Void = { _ in }

    let writer: Writer
    private let inserter = ImageInserter()
    let reader: RowReader
    private let selectNode: RowStatement
    let selectChild: RowStatement
    private let selectCookie: RowStatement
    private let selectEntries: RowStatement
    private let selectFromCookie: RowStatement
    private let selectTarget: RowStatement
    private let selectHandle: RowStatement
    let selectLink: RowStatement
    let selectLastCookie: RowStatement
    private let lock: FileLock

    private var listings = ListingCache()
    var nextID: UInt64
    var batch = Batch()
    private var isCommitting = false
    /// Rows fed but not yet committed, for feeding alone.
    var pendingChildren: [NameKey: NodeID] = [:]
    var pendingLinks: [LinkKey: NodeID] = [:]
    var lastCookies: [NodeID: UInt64] = [:]
    /// Ids that objects had in a database that is lost, by path: they get them again.
    var reserved: [[UInt8]: NodeID] = [:]
    /// Directories of whose listing some pages have come, and those of which a page was lost since:
    /// these are not complete when the last has come.
    var importing: Set<NodeID> = []
    var holed: Set<NodeID> = []
    /// Names that main was asked for and does not have; an image never gains any.
    var absent: Set<NameKey> = []
    static let absentLimit = 65_536

    struct NameKey: Hashable {
        let directory: NodeID
        let name: [UInt8]
    }

    struct LinkKey: Hashable {
        let replica: Int
        let fsid: UInt64
        let fileid: UInt64
    }

    struct Batch {
        var rows: [Row] = []
        var children: [NameKey] = []
        var links: [LinkKey] = []
        var waiters: [(NFS3.Status?) -> Void] = []
    }

    /// Opens or makes `<directory>/image.sqlite`.
    /// - Parameter root: main's root, as just asked for; nil when main cannot be reached, which is
    ///   fine as long as the database knows it.
    /// - Parameter servers: the URLs of servers that have the image, each of which gets a number.
    /// - Parameter rootServer: which of them told of the root.
    /// - Parameter served: how it is served from now on; nil when it is not.
    public init(
        directory: FilePath, source: String, root: MainEntry?, servers: [String] = [],
        rootServer: Int = 0, served: LastServed? = nil, isDurable: Bool,
        loop: @escaping LoopExecutor
    ) throws(StateError) {
        try directory.makeDirectory()
        lock = try FileLock(
            directory.appending("lock"), purpose: "the image \(source)", code: .imageInUse)
        let path = directory.appending("image.sqlite")
        let queue = try StateDatabase.open(
            path: path.string, isDurable: isDurable, migrator: ImageSchema.migrator)
        try directory.sync()
        self.source = source
        do {
            let opened = try queue.write { db in try Self.open(db, source: source) }
            epoch = opened.epoch
            generation = opened.generation
            nextID = opened.nextID
            let numbers = try queue.write { db in
                try served?.write(db)
                return try servers.map { try Self.number(of: $0, db) }
            }
            replicas = numbers
            (hasSeveralReplicas, manifest) = try queue.read { db in
                let count = try Int.fetchOne(db, sql: "SELECT count(*) FROM replica") ?? 0
                return (count > 1, try Self.adoptedManifest(db))
            }
            if !opened.knowsRoot {
                guard let root else {
                    throw StateError(
                        .notFound,
                        "\(source) cannot be reached and nothing of it is known here yet")
                }
                let replica = numbers.isEmpty ? 0 : numbers[rootServer]
                try queue.write { [inserter] db in
                    try inserter.insert(
                        .node(.root, parent: .root, name: [], root.attributes, replica: replica),
                        into: db)
                    if let handle = root.handle {
                        try inserter.insert(.handle(.root, replica: replica, handle), into: db)
                    }
                }
            }
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.unreadable, "cannot use \(path): \(error)")
        }
        reader = try RowReader(path: path.string)
        writer = Writer(queue: queue, reader: reader, loop: loop)
        selectNode = try reader.prepare("SELECT \(ImageRecord.columns) FROM node n WHERE n.id = ?")
        selectChild = try reader.prepare("SELECT child FROM dentry WHERE parent = ? AND name = ?")
        selectCookie = try reader.prepare("SELECT cookie FROM dentry WHERE parent = ? AND name = ?")
        selectEntries = try reader.prepare(
            """
            SELECT cookie, name, child FROM dentry WHERE parent = ? AND cookie > ? ORDER BY cookie
            """)
        selectFromCookie = try reader.prepare(
            """
            SELECT cookie, name, child FROM dentry WHERE parent = ? AND cookie >= ?
            ORDER BY cookie LIMIT ?
            """)
        selectTarget = try reader.prepare("SELECT target FROM node WHERE id = ?")
        selectHandle = try reader.prepare(
            "SELECT handle FROM handle WHERE node = ? AND replica = ?")
        selectLink = try reader.prepare(
            "SELECT node FROM link WHERE replica = ? AND fsid = ? AND fileid = ?")
        selectLastCookie = try reader.prepare("SELECT max(cookie) FROM dentry WHERE parent = ?")
        reader.onError = { [weak self] in self?.onEvent("image database: \($0)") }
    }

    private struct Opened {
        let epoch: UInt64
        let generation: UInt64
        let nextID: UInt64
        let knowsRoot: Bool
    }

    private static func open(_ db: GRDB.Database, source: String) throws -> Opened {
        func integer(_ key: String) throws -> Int64? {
            try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
        }
        func put(_ key: String, _ value: (any DatabaseValueConvertible)?) throws {
            try db.execute(
                sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                arguments: [key, value])
        }
        if try integer("epoch") == nil {
            try put("epoch", Int64.random(in: 1...Int64.max))
            try put("source", source)
            try put("next_id", randomID())
        }
        let generation = (try integer("generation") ?? 0) + 1
        try put("generation", generation)
        let last = try Int64.fetchOne(db, sql: "SELECT max(id) FROM node") ?? 0
        return Opened(
            epoch: UInt64(bitPattern: try integer("epoch") ?? 0),
            generation: UInt64(bitPattern: generation),
            nextID: UInt64(bitPattern: max(last + 1, try integer("next_id") ?? 2)),
            knowsRoot: last > 0)
    }

    /// The number of a server, which it keeps for ever.
    private static func number(of url: String, _ db: GRDB.Database) throws -> Int {
        if let known = try Int.fetchOne(
            db, sql: "SELECT id FROM replica WHERE url = ?", arguments: [url])
        {
            return known
        }
        let next = try Int.fetchOne(db, sql: "SELECT coalesce(max(id) + 1, 0) FROM replica") ?? 0
        try db.execute(
            sql: "INSERT INTO replica (id, url) VALUES (?, ?)", arguments: [next, url])
        return next
    }

    /// Gives a server that is new a number. It blocks, for one transaction.
    /// - Parameter url: its canonical name.
    public func addServer(_ url: String) throws(StateError) -> Int {
        do {
            let (number, count) = try writer.runNow { db in
                (
                    try Self.number(of: url, db),
                    try Int.fetchOne(db, sql: "SELECT count(*) FROM replica") ?? 0
                )
            }
            reader.invalidate()
            hasSeveralReplicas = count > 1
            return number
        } catch {
            throw StateError(.io, "the image database cannot take up \(url): \(error)")
        }
    }

    /// Where a database begins to count: far from wherever any other did, so that a handle that
    /// was given out by a database that is lost names nothing rather than something else.
    private static func randomID() -> Int64 { Int64.random(in: 1 << 32..<1 << 61) }

    // MARK: Recovery of ids

    /// Gives the objects at these paths the ids that they had when they are next seen, and all others
    /// ids that were never given out: this database lacks what sessions stand on.
    /// - Parameter lost: ids by path in the image, without a leading slash.
    func reserve(_ lost: [[UInt8]: NodeID]) {
        reserved.merge(lost) { _, new in new }
        nextID = UInt64(bitPattern: max(Int64(bitPattern: nextID), Self.randomID()))
    }

    // MARK: Reading

    func record(of id: NodeID) throws(Interrupt) -> ImageRecord? {
        selectNode.bind(1, id.row)
        defer { selectNode.reset() }
        return try selectNode.step() ? try ImageRecord(selectNode) : nil
    }

    func child(
        of directory: NodeID, named name: UnsafeRawBufferPointer
    ) throws(Interrupt) -> NodeID? {
        selectChild.bind(1, directory.row)
        selectChild.bind(2, unowned: name)
        defer { selectChild.reset() }
        return try selectChild.step() ? NodeID(row: selectChild.int(0)) : nil
    }

    /// The place of a name in the listing of its directory.
    func cookie(of name: [UInt8], in directory: NodeID) throws(Interrupt) -> UInt64? {
        selectCookie.bind(1, directory.row)
        selectCookie.bind(2, copying: name)
        defer { selectCookie.reset() }
        return try selectCookie.step() ? UInt64(bitPattern: selectCookie.int(0)) : nil
    }

    /// The directory that an object was first seen in, and its place in the listing of it.
    public func place(of id: NodeID) -> (directory: NodeID, cookie: UInt64)? {
        guard let (directory, name) = location(of: id),
            let cookie = (try? cookie(of: name, in: directory)) ?? nil
        else { return nil }
        return (directory, cookie)
    }

    /// Whether main has said that it lacks this name.
    func isKnownAbsent(_ key: NameKey) -> Bool { absent.contains(key) }

    /// Calls `body` with the entries after `cookie`, in order, until it answers false.
    func forEachEntry(
        of directory: NodeID, after cookie: UInt64,
        _ body: (_ cookie: UInt64, _ name: [UInt8], _ child: NodeID) throws(Interrupt) -> Bool
    ) throws(Interrupt) {
        selectEntries.bind(1, directory.row)
        selectEntries.bind(2, Int64(bitPattern: cookie))
        defer { selectEntries.reset() }
        while try selectEntries.step() {
            guard
                try body(
                    UInt64(bitPattern: selectEntries.int(0)), selectEntries.blob(1),
                    NodeID(row: selectEntries.int(2)))
            else { return }
        }
    }

    /// The same for a directory whose listing is complete: from memory what was read lately.
    func forEachListed(
        in directory: NodeID, after cookie: UInt64,
        _ body: (_ cookie: UInt64, _ name: UnsafeRawBufferPointer, _ child: NodeID)
            throws(Interrupt) -> Bool
    ) throws(Interrupt) {
        var place = cookie + 1
        while true {
            let chunk = try listingChunk(
                ListingCache.Key(directory: directory, index: ListingChunk.index(of: place)))
            guard try chunk.forEach(after: place - 1, body), let next = chunk.next else { return }
            place = next
        }
    }

    private func listingChunk(_ key: ListingCache.Key) throws(Interrupt) -> ListingChunk {
        if let known = listings[key] { return known }
        let chunk = ListingChunk()
        selectFromCookie.bind(1, key.directory.row)
        selectFromCookie.bind(2, Int64(bitPattern: key.index * ListingChunk.span))
        // One more tells where it goes on.
        selectFromCookie.bind(3, Int64(ListingChunk.span + 1))
        defer { selectFromCookie.reset() }
        while try selectFromCookie.step() {
            let cookie = UInt64(bitPattern: selectFromCookie.int(0))
            guard ListingChunk.index(of: cookie) == key.index else {
                chunk.next = cookie
                break
            }
            selectFromCookie.withBlob(1) {
                chunk.append(
                    cookie: cookie, name: $0, child: NodeID(row: selectFromCookie.int(2)))
            }
        }
        listings.insert(chunk, key)
        return chunk
    }

    func target(of id: NodeID) throws(Interrupt) -> [UInt8]? {
        selectTarget.bind(1, id.row)
        defer { selectTarget.reset() }
        guard try selectTarget.step(), !selectTarget.isNull(0) else { return nil }
        return selectTarget.blob(0)
    }

    /// Main's handle of a node at one replica, if it is known.
    public func handle(of id: NodeID, replica: Int) -> NFS3.FileHandle? {
        selectHandle.bind(1, id.row)
        selectHandle.bind(2, Int64(replica))
        defer { selectHandle.reset() }
        guard (try? selectHandle.step()) == true else { return nil }
        return NFS3.FileHandle(selectHandle.blob(0))
    }

    /// Attributes of a node as main reported them when it was first seen.
    public func attributes(of id: NodeID) -> NFS3.Attributes? {
        (try? record(of: id))?.attributes
    }

    /// Where a node is in the image: its parent and its name there. Nil for the root.
    public func location(of id: NodeID) -> (parent: NodeID, name: [UInt8])? {
        guard id != .root, let record = try? record(of: id) else { return nil }
        return (record.parent, record.name)
    }

    /// The path of a node in the image, without a leading slash.
    public func path(of id: NodeID) -> [UInt8]? {
        var names: [[UInt8]] = []
        var current = id
        while current != .root {
            guard let (parent, name) = location(of: current), names.count < 4096 else { return nil }
            names.append(name)
            current = parent
        }
        return Array(names.reversed().joined(separator: [UInt8(ascii: "/")]))
    }

    // MARK: Committing

    /// Commits all that has been fed; `then` runs on the loop, with a status when it failed.
    public func commit(then: @escaping (NFS3.Status?) -> Void) {
        guard !batch.rows.isEmpty || isCommitting else {
            then(nil)
            return
        }
        batch.waiters.append(then)
        if !isCommitting { startCommit() }
    }

    private func startCommit() {
        let sealed = batch
        batch = Batch()
        isCommitting = true
        let rows = sealed.rows
        let back = Confined(value: (self, sealed))
        writer.commit({ [inserter] db in
            for row in rows { try inserter.insert(row, into: db) }
        }) { error in
            let (store, sealed) = back.value
            store.finishCommit(sealed, error)
        }
    }

    private func finishCommit(_ sealed: Batch, _ error: (any Error)?) {
        isCommitting = false
        reader.invalidate()
        for key in sealed.children { pendingChildren[key] = nil }
        for link in sealed.links { pendingLinks[link] = nil }
        // The gathering batch may have given out cookies that the database does not show yet.
        if batch.rows.isEmpty { lastCookies.removeAll(keepingCapacity: true) }
        if let error {
            onEvent("image database: commit failed: \(error)")
            holed.formUnion(importing)
        }
        if !batch.waiters.isEmpty {
            // The gathering batch may refer to rows of this one, so it cannot outlive its failure.
            if error == nil { startCommit() } else { failGathering() }
        }
        for waiter in sealed.waiters { waiter(error == nil ? nil : .io) }
    }

    private func failGathering() {
        let dropped = batch
        batch = Batch()
        for key in dropped.children { pendingChildren[key] = nil }
        for link in dropped.links { pendingLinks[link] = nil }
        lastCookies.removeAll(keepingCapacity: true)
        for waiter in dropped.waiters { waiter(.io) }
    }

    /// Closes the database and gives the lock up; nothing may be in flight.
    public func close() {
        writer.close { inserter.close() }
        lock.release()
    }
}

extension NFS3.Attributes {
    /// Whether these can be the attributes of the same unchanged object of an image: a directory's
    /// identity is its type, any other object's is type, size and mtime.
    /// - Parameter ignoringTimes: where bytes are compared, times say nothing.
    public func isSameObject(
        as other: NFS3.Attributes, ignoringTimes: Bool = false
    ) -> Bool {
        guard type == other.type else { return false }
        return type == .directory
            || (size == other.size && (ignoringTimes || mtime == other.mtime))
    }
}

import CLinux
public import NFSProtocol
public import SystemPackage

/// One session on one image: the redirect rules, over the image's store and the session's own.
///
/// Loop-confined. Procedures are methods that either answer, or throw an ``Interrupt``: nothing has
/// been changed then, and the shell runs them again once what was missing is there. What a method
/// changed is in memory at once and durable when ``commit(then:)`` says so; the reply of anything
/// but an UNSTABLE write waits for that.
public final class SessionState {
    public let name: String
    public let image: ImageStore
    /// Whether every change is refused with ROFS: a plain export of an image.
    public let isReadOnly: Bool
    public let isDurable: Bool
    /// Makes and checks this session's handles.
    public let handles: HandleKey
    public let fsid: UInt64
    /// Told what an operator should know; what opening the session found, as soon as it is set.
    public var onEvent: (String) -> Void = { _ in } {
        didSet {
            for notice in notices { onEvent(notice) }
            notices = []
        }
    }
    private var notices: [String]
    /// Write verifier (RFC 1813 §3.3.7): random per start, changed when unstable writes were lost.
    public internal(set) var writeVerifier = UInt64.random(in: .min ... .max)
    /// Storage operations done in the shadow, by kind.
    public internal(set) var shadowCalls = ShadowCalls()

    /// Counts of what was asked of the shadow's sparse files.
    public struct ShadowCalls: Sendable {
        public var reads = 0
        public var writes = 0
        public var syncs = 0
        public var truncates = 0
        public var creates = 0
        public var removes = 0
    }

    let store: SessionStore
    let place: ShadowPlace
    var nodes = NodeTable()
    var openFiles = OpenFiles()
    var batch = CommitBatch()
    /// The batch that the writer has now.
    var inFlight: CommitBatch?
    /// What waits for the writer to have nothing.
    var betweenCommits: [BetweenCommits] = []
    /// The number of the last batch that was committed.
    var committed: UInt64 = 0
    /// Changed names whose rows are not committed.
    var pendingDeltas: [ImageStore.NameKey: PendingDelta] = [:]
    /// Files with writes that no batch has taken up yet.
    var dirtyFiles: Set<NodeID> = []
    var ballast: Ballast
    /// The number of the layer that takes writes.
    var topLayer: Int64
    /// No object has an earlier ctime: a rollback takes back what changed, not that it did.
    var ctimeFloor: NFS3.Time
    var nextID: UInt64
    var nextCookie: UInt64
    private var reservedID: UInt64
    private var reservedCookie: UInt64
    /// The latest ctime given out, so that each is later than the one before.
    private var lastTime = NFS3.Time(seconds: 0, nanoseconds: 0)
    let clock: () -> NFS3.Time

    struct PendingDelta {
        var delta: SessionStore.Delta
        var commit: UInt64
    }

    /// Opens or makes a session.
    /// - Parameter directory: where it is kept.
    /// - Parameter blockSize: bytes, a power of two; only a new session takes it.
    /// - Parameter isDurable: strict durability; otherwise changes survive the end of the process but
    ///   not a power failure.
    /// - Parameter shadow: the server that keeps the sparse files; nil for the session's own directory. A
    ///   session that has data stays where that is. Call ``tidyShadowServer(then:)`` before anything else.
    public init(
        name: String, directory: FilePath, image: ImageStore, blockSize: UInt64 = 4096,
        isDurable: Bool = true, isReadOnly: Bool = false, shadow: (any ShadowServer)? = nil,
        loop: @escaping LoopExecutor, clock: @escaping () -> NFS3.Time = NFS3.Time.now
    ) throws(StateError) {
        self.name = name
        self.image = image
        self.isReadOnly = isReadOnly
        self.isDurable = isDurable
        self.clock = clock
        Self.makeRoom(in: directory)
        store = try SessionStore(
            directory: directory, name: name, image: image, blockSize: blockSize,
            isDurable: isDurable, loop: loop)
        place = shadow.map { .server(RemoteFiles($0)) } ?? .directory
        do { try store.settle(on: shadow) } catch {
            store.close()
            throw error
        }
        ballast = Ballast(in: directory)
        notices = store.notices
        let identity = store.identity
        handles = HandleKey(secret: identity.secret, tag: identity.tag)
        fsid = identity.fsid
        topLayer = identity.topLayer
        ctimeFloor = identity.ctimeFloor
        nextID = identity.nextID
        nextCookie = identity.nextCookie
        reservedID = identity.nextID
        reservedCookie = identity.nextCookie
        lostPaths = identity.lost.keys.sorted { $0.count < $1.count }
        if lostPaths.isEmpty {
            try adopt()
        } else {
            image.reserve(identity.lost)
        }
        store.reader.onError = { [weak self] in self?.onEvent("session database: \($0)") }
    }

    /// Gives up what a session holds back for a full disk, should that be full: to be called before its
    /// image is opened, which takes space as well.
    public static func makeRoom(in directory: FilePath) { Ballast.makeRoom(in: directory) }

    // MARK: A lost image database

    /// Paths in the image that must be looked up before the session can be used, parents first: the
    /// image database is not the one that it was made on, and the objects there are to get back the
    /// ids that they had.
    public private(set) var lostPaths: [[UInt8]]

    /// Looks one of ``lostPaths`` up, so that its object gets its id back.
    /// - Throws: EXIST when it has another id in this database already.
    public func recover(_ path: [UInt8]) throws(Interrupt) {
        guard let id = try image.find(path) else {
            let text = String(decoding: path, as: UTF8.self)
            onEvent("the image lacks \(text), which this session changed")
            return
        }
        guard store.identity.lost[path] == id else { throw .status(.exist) }
    }

    /// All of ``lostPaths`` have been recovered.
    public func recovered() throws(StateError) {
        lostPaths = []
        try adopt()
    }

    /// Like every commit it gets the ballast's space when there is no other.
    private func adopt() throws(StateError) {
        let counters = reserveRows()
        do {
            do {
                try store.adopt(image, counters)
            } catch  where isDiskFull(error) && !ballast.isSpent {
                ballast.spend()
                try store.adopt(image, counters)
            }
        } catch {
            throw StateError(.io, "cannot write to the session \(name): \(error)")
        }
    }

    // MARK: Handles

    /// The node that a handle names.
    /// - Throws: BADHANDLE when it is not a handle of ours; STALE when another session's, forged, or of
    ///   an object that is gone.
    public func node(of handle: NFS3.FileHandle) throws(Interrupt) -> NodeID {
        guard case .node(let tag, let id, let code) = VirtualHandle.parse(handle.bytes) else {
            throw .status(.badHandle)
        }
        guard tag == handles.tag else { throw .status(.stale) }
        if let node = nodes[id] {
            guard node.code == code else { throw .status(.stale) }
        } else {
            guard handles.verify(id: id, code: code) else { throw .status(.stale) }
        }
        return id
    }

    // MARK: Nodes

    /// The node, from memory or from disk.
    func node(_ id: NodeID) throws(Interrupt) -> Node {
        if let node = nodes[id] {
            guard !node.flags.contains(.removed) else { throw .status(.stale) }
            node.isReferenced = true
            return node
        }
        return try load(id)
    }

    func directory(_ id: NodeID) throws(Interrupt) -> Node {
        let node = try node(id)
        guard node.isDirectory else { throw .status(.notdir) }
        return node
    }

    /// The directory that holds this one.
    func parent(of directory: Node) throws(Interrupt) -> Node {
        do {
            return try node(directory.parent)
        } catch {
            // Where the image database was lost, a parent that the session did not change has a
            // new id.
            guard error == .status(.stale), let (parent, _) = image.location(of: directory.id)
            else { throw error }
            directory.parent = parent
            return try node(parent)
        }
    }

    private func load(_ id: NodeID) throws(Interrupt) -> Node {
        let node: Node
        switch try store.node(id) {
        case .removed: throw .status(.stale)
        case .node(let stored):
            node = Node(
                id: id, code: handles.code(of: id), attributes: virtual(stored.attributes, id),
                parent: stored.parent, flags: stored.flags.union(.changed))
            node.verifier = stored.verifier
            node.target = stored.target
            if node.flags.contains(.hasContent) {
                let size = node.attributes.size
                let content = try store.content(of: id, size: size, top: topLayer)
                // The shadow would be cut to the size, with what is recorded past it.
                guard !content.top.map.stores(from: size) else {
                    onEvent("\(id) has data past its end: check the session with `rowctl fsck`")
                    throw .status(.io)
                }
                node.content = content
            }
        case .none:
            guard !id.isSessionMade, let record = try image.record(of: id) else {
                throw .status(.stale)
            }
            node = Node(
                id: id, code: handles.code(of: id), attributes: virtual(record.attributes, id),
                parent: record.parent, flags: record.isComplete ? .isComplete : [])
        }
        nodes.insert(node)
        return node
    }

    private func virtual(_ attributes: NFS3.Attributes, _ id: NodeID) -> NFS3.Attributes {
        var attributes = attributes
        attributes.fsid = fsid
        attributes.fileid = id.rawValue
        attributes.mode &= 0o7777
        attributes.ctime = max(attributes.ctime, ctimeFloor)
        return attributes
    }

    /// Whether the whole listing of main's directory behind `node` is known.
    func isComplete(_ node: Node) throws(Interrupt) -> Bool {
        if node.flags.contains(.isComplete) { return true }
        guard try image.record(of: node.id)?.isComplete == true else { return false }
        node.flags.insert(.isComplete)
        return true
    }

    // MARK: Changing nodes

    /// Has the node's row written by the next commit.
    func touch(_ node: Node) {
        node.flags.insert(.changed)
        node.dirtyCommit = batch.number
        batch.nodes[node.id] = node
    }

    /// A new object of the session, not yet named.
    func makeNode(_ attributes: NFS3.Attributes, parent: NodeID) -> Node {
        let id = NodeID(rawValue: nextID)
        nextID += 1
        let node = Node(
            id: id, code: handles.code(of: id), attributes: virtual(attributes, id), parent: parent,
            flags: [.changed])
        nodes.insert(node)
        touch(node)
        return node
    }

    /// A time later than any given out before: the proxy's clock, made strictly increasing.
    func now() -> NFS3.Time {
        let time = clock()
        if time > lastTime {
            lastTime = time
        } else {
            lastTime.nanoseconds += 1
            if lastTime.nanoseconds == 1_000_000_000 {
                lastTime = NFS3.Time(seconds: lastTime.seconds + 1, nanoseconds: 0)
            }
        }
        return lastTime
    }

    /// No time before this one is given out any more.
    func continueTime(from time: NFS3.Time) { lastTime = max(lastTime, time) }

    /// Marks a change of attributes.
    func changed(_ node: Node, at time: NFS3.Time) {
        node.attributes.ctime = max(time, node.attributes.ctime.next)
        touch(node)
    }

    /// Counts a subdirectory that came (1) or went (-1). A file system that does not count them says 1
    /// and goes on to.
    func countSubdirectory(of directory: Node, _ change: Int) {
        let count = Int(directory.attributes.nlink)
        guard count >= 2 else { return }
        directory.attributes.nlink = UInt32(clamping: max(count + change, 2))
    }

    /// Marks a change of a directory's entries.
    func changedEntries(_ directory: Node, at time: NFS3.Time) {
        directory.attributes.mtime = time
        changed(directory, at: time)
    }

    func refuseReadOnly() throws(Interrupt) {
        if isReadOnly { throw .status(.rofs) }
    }

    /// On a full disk only what frees space goes on.
    func refuseWhenFull() throws(Interrupt) {
        // Somebody else may have made room meanwhile.
        if ballast.isSpent { ballast.restore() }
        if ballast.isSpent { throw .status(.nospc) }
    }

    /// Rows that raise the stored counters before the ids or cookies in use pass them: a crash may then
    /// skip some but never gives one out twice, and a shadow file left by a crash is of an id that had
    /// been reserved.
    func reserveRows() -> [SessionRow] {
        let (margin, reserve) = (1024 as UInt64, 4096 as UInt64)
        var rows: [SessionRow] = []
        if nextID + margin > reservedID {
            reservedID = nextID + reserve
            rows.append(.meta("next_id", Int64(bitPattern: reservedID)))
        }
        if nextCookie + margin > reservedCookie {
            reservedCookie = nextCookie + reserve
            rows.append(.meta("next_cookie", Int64(bitPattern: reservedCookie)))
        }
        return rows
    }

    /// The stored counters may not have been raised after all.
    func forgetReservations() {
        reservedID = 0
        reservedCookie = 0
    }

    // MARK: Housekeeping

    /// A READ took bytes from the shadow.
    public func countShadowRead() { shadowCalls.reads += 1 }

    /// Room in the shadow's file system, for FSSTAT.
    public struct Space: Sendable {
        public let totalBytes: UInt64
        public let freeBytes: UInt64
        /// What an unprivileged user may take.
        public let availableBytes: UInt64
        public let totalFiles: UInt64
        public let freeFiles: UInt64
    }

    public func space() throws(Interrupt) -> Space {
        var numbers = clinux_statvfs()
        guard clinux_statvfs(store.shadowDirectory.string, &numbers) == 0 else {
            throw .status(.io)
        }
        return Space(
            totalBytes: numbers.blocks * numbers.block_size,
            freeBytes: numbers.blocks_free * numbers.block_size,
            availableBytes: numbers.blocks_available * numbers.block_size,
            totalFiles: numbers.files, freeFiles: numbers.files_free)
    }

    /// Lets go of files and the database; after a ``flush(then:)``, with nothing in flight. Nothing
    /// may be called afterwards.
    public func close() {
        openFiles.removeAll()
        store.close()
    }

    /// Lets go of nodes beyond the limit. Call between operations, never inside one.
    public func trim() {
        nodes.trim(committed: committed)
        openFiles.trim()
    }

    /// Nodes in memory.
    public var nodeCount: Int { nodes.count }

    /// Replies of calls that must not be executed twice, oldest first, as stored with their effects.
    public func storedReplies() throws -> [StoredReply] { try store.replies() }

    /// Files with changed data, changed blocks and allocated shadow bytes, as last committed.
    public func totals() -> (files: Int64, blocks: Int64, allocated: Int64) { store.totals() }
}

extension NFS3.Time {
    /// The system's real-time clock.
    public static func now() -> NFS3.Time {
        let nanoseconds = Timestamp.realTimeNanoseconds()
        return NFS3.Time(
            seconds: UInt32(truncatingIfNeeded: nanoseconds / 1_000_000_000),
            nanoseconds: UInt32(nanoseconds % 1_000_000_000))
    }

    /// The next moment that can be told apart.
    var next: NFS3.Time {
        nanoseconds < 999_999_999
            ? NFS3.Time(seconds: seconds, nanoseconds: nanoseconds + 1)
            : NFS3.Time(seconds: seconds &+ 1, nanoseconds: 0)
    }
}

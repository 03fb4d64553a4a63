import GRDB
public import NFSProtocol
public import SystemPackage

/// What one transaction will hold: while the writer has one, the next gathers (group commit).
struct CommitBatch {
    /// Counts up; a node knows the last batch that concerns it.
    var number: UInt64 = 1
    var rows: [SessionRow] = []
    /// Nodes whose rows are written as they are when the batch is sealed. Unrecorded data of theirs is
    /// synced first and recorded with them: no row tells of a size whose bytes may be lost.
    var nodes: [NodeID: Node] = [:]
    /// Names whose changes are in `rows`.
    var names: [ImageStore.NameKey] = []
    var waiters: [(NFS3.Status?) -> Void] = []
    /// Work for after the transaction, before the waiters hear of it.
    var afterwards: [() -> Void] = []
    /// The top layer until this batch, when it begins a new one.
    var previousTopLayer: Int64?
    /// Bytes that files at a shadow server take up.
    var allocated: [LayerID: Int64] = [:]
    /// Shadow files whose names are made durable before the transaction.
    var newFiles: [LayerID] = []

    var isEmpty: Bool { rows.isEmpty && nodes.isEmpty }
}

extension SessionState {
    /// Makes everything durable that has been changed so far and promised to be; `then` runs on the
    /// loop: nil, or NOSPC or IO, and then nothing of the batch happened.
    public func commit(then: @escaping (NFS3.Status?) -> Void) {
        if batch.isEmpty && inFlight == nil {
            then(nil)
            return
        }
        batch.waiters.append(then)
        if inFlight == nil { seal() }
    }

    /// Adds the reply of a call that must not be executed twice to the transaction of its effect.
    public func store(_ reply: StoredReply) { batch.rows.append(.reply(reply)) }

    /// Has the stored replies of a client go, with the next commit.
    public func forgetReplies(of client: [UInt8]) {
        batch.rows.append(.removeReplies(client: client))
    }

    /// Takes up every file with unrecorded writes and commits; for closing and now and then.
    public func flush(then: @escaping (NFS3.Status?) -> Void) {
        for id in dirtyFiles {
            if let node = nodes[id] { gather(node) }
        }
        commit(then: then)
    }

    /// Puts a file's data and presence into the next batch.
    func gather(_ node: Node) {
        guard let content = node.content, content.isDirty else { return }
        touch(node)
    }

    /// - Parameter then: runs on the writer's thread when the transaction is done.
    func seal(then copy: @escaping @Sendable (GRDB.Database) -> Void = { _ in }) {
        var sealed = batch
        batch = CommitBatch()
        batch.number = sealed.number + 1
        // Every write so far has ended (they run on the loop), so a sync that begins now covers the
        // presence that is taken here.
        var syncs: [(id: LayerID, file: SparseFile)] = []
        var failure: Errno?
        var remote: [LayerID] = []
        for (id, node) in sealed.nodes {
            guard let content = node.content, content.isDirty else { continue }
            let layer = content.top
            let layerID = LayerID(node: id, layer: layer.number)
            if remoteFiles != nil {
                remote.append(layerID)
                sealed.allocated[layerID] =
                    layer.remote.allocatedBytes
                    ?? Int64(clamping: UInt64(layer.map.storedBlocks) * layer.map.blockSize)
            } else if layer.file != nil || layer.map.storedBlocks > 0 {
                do { syncs.append((layerID, try shadowFile(node, layer))) } catch {
                    failure = error
                }
            }
            content.isDirty = false
            dirtyFiles.remove(id)
            sealed.rows.append(
                .content(layerID, layer.map.takeChanges(), blocks: layer.map.storedBlocks))
        }
        for (id, node) in sealed.nodes {
            sealed.rows.append(
                node.flags.contains(.removed) && id.isSessionMade
                    ? .removeNode(id) : .node(row(of: node)))
        }
        sealed.rows.append(contentsOf: reserveRows())
        shadowCalls.syncs += syncs.count
        inFlight = sealed
        guard let files = remoteFiles else { return send(sealed, syncs, failure, copy) }
        commitRemote(remote, files) { [self] failure in
            if let failure {
                finish(failure)
            } else if let inFlight {
                send(inFlight, [], nil, copy)
            }
        }
    }

    /// - Parameter failure: why a file that must be synced cannot be; the commit then fails.
    private func send(
        _ sealed: CommitBatch, _ syncs: [(id: LayerID, file: SparseFile)], _ failure: Errno?,
        _ copy: @escaping @Sendable (GRDB.Database) -> Void
    ) {
        let rows = sealed.rows
        let known = sealed.allocated
        let isDurable = isDurable
        let newFiles = sealed.newFiles + store.newFiles
        inFlight?.newFiles = newFiles
        store.newFiles = []
        let shadow = newFiles.isEmpty ? nil : store.shadowDirectory
        // The writer's thread only syncs these files and asks their size, which any thread may.
        let files = Confined(value: syncs)
        let back = Confined(value: self)
        store.writer.commit(
            before: {
                if let failure { throw failure }
                guard isDurable else { return }
                try ParallelSync.sync(files.value.map(\.file))
                do { try shadow?.sync() } catch { throw NamesNotDurable(cause: error) }
            },
            { db in
                var allocated = known
                for (id, file) in files.value { allocated[id] = Int64(try file.allocatedBytes) }
                for row in rows { try row.apply(to: db, allocated: allocated) }
            }, after: copy,
            then: { error in
                let session = back.value
                // Whoever frees space is not refused because there is none: once more with that of the
                // ballast.
                if let error, isDiskFull(error), !session.ballast.isSpent,
                    let sealed = session.inFlight
                {
                    session.ballast.spend()
                    session.send(sealed, files.value, failure, copy)
                } else {
                    session.finish(error)
                }
            })
    }

    private func finish(_ error: (any Error)?) {
        guard let sealed = inFlight else { return }
        inFlight = nil
        store.reader.invalidate()
        if let error {
            onEvent("commit failed: \(error)")
            let status = Self.status(of: error)
            // What a shadow server has no room for does not need any here.
            if status == .nospc, !(error is ShadowFailure) { ballast.spend() }
            if let previous = sealed.previousTopLayer { topLayer = previous }
            forgetAll(failing: sealed, with: status)
            if error is NamesNotDurable { makeNewFilesAnew() }
            startNext()
            return
        }
        if ballast.isSpent { ballast.restore() }
        committed = sealed.number
        for key in sealed.names where pendingDeltas[key]?.commit == sealed.number {
            pendingDeltas[key] = nil
        }
        for work in sealed.afterwards { work() }
        if remoteFiles?.hasLostWrites == true { forgetAll(failing: CommitBatch(), with: .jukebox) }
        startNext()
        if inFlight == nil {
            let waiters = batch.waiters
            batch.waiters = []
            for waiter in waiters { waiter(nil) }
        }
        for waiter in sealed.waiters { waiter(nil) }
    }

    /// Disk is right and memory is not, as after a failed commit: forget memory, as a crash would, and
    /// let clients send again what they were not told is safe.
    func forgetAll(failing sealed: CommitBatch, with status: NFS3.Status) {
        let waiters = sealed.waiters + batch.waiters
        let number = batch.number
        batch = CommitBatch()
        batch.number = number + 1
        committed = number
        pendingDeltas.removeAll()
        dirtyFiles.removeAll()
        openFiles.removeAll()
        nodes.removeAll()
        forgetReservations()
        store.newFiles += sealed.newFiles
        writeVerifier = UInt64.random(in: .min ... .max)
        remoteFiles?.forgetUnstable()
        for waiter in waiters { waiter(status) }
        remoteFiles?.wakeAll()
    }

    /// After a failed sync the kernel takes a directory for clean, so the next one would make nothing
    /// durable. No row refers to these files yet: without them the directory must be written again.
    private func makeNewFilesAnew() {
        for layer in store.newFiles { Storage.remove(store.shadowPath(layer)) }
        store.newFiles = []
    }

    private func row(of node: Node) -> SessionRow.NodeRow {
        var flags = node.flags
        flags.remove(.isComplete)
        return SessionRow.NodeRow(
            id: node.id, flags: flags.rawValue, parent: node.parent, verifier: node.verifier,
            target: node.target, mainPath: node.id.isSessionMade ? nil : image.path(of: node.id),
            attributes: node.attributes)
    }

    private static func status(of error: any Error) -> NFS3.Status {
        if let code = error as? Errno { return NFS3.Status(ofShadow: code) }
        if let failure = error as? ShadowFailure { return failure.status }
        return isDiskFull(error) ? .nospc : .io
    }
}

/// The shadow's directory could not be synced: which of its new names are on disk is unknown.
private struct NamesNotDurable: Error, CustomStringConvertible {
    let cause: any Error

    var description: String { "\(cause)" }
}

extension NFS3.Status {
    /// The status that tells a client that the shadow failed, which is no fault of its request.
    init(ofShadow code: Errno) {
        switch code {
        case .noSpace, .diskQuotaExceeded, .fileTooLarge: self.init(code)
        default: self = .io
        }
    }

    /// The status that tells a client of a failed system call.
    public init(_ code: Errno) {
        self =
            switch code {
            case .notPermitted: .perm
            case .noSuchFileOrDirectory: .noent
            case .permissionDenied: .acces
            case .fileExists: .exist
            case .notDirectory: .notdir
            case .isDirectory: .isdir
            case .invalidArgument: .inval
            case .fileTooLarge: .fbig
            case .noSpace: .nospc
            case .readOnlyFileSystem: .rofs
            case .fileNameTooLong: .nameTooLong
            case .diskQuotaExceeded: .dquot
            case .staleNFSFileHandle: .stale
            default: .io
            }
    }
}

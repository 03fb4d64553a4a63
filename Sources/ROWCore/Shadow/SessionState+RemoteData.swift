public import NFSProtocol

/// Where a session keeps its sparse files.
enum ShadowPlace {
    /// In its own directory.
    case directory
    case server(RemoteFiles)
}

/// How far a file at the shadow server is ready for use.
struct RemoteState {
    /// It exists, and is no longer than it should be.
    var isOpen = false
    /// Why it could not be opened, for whoever waited for that.
    var failure: NFS3.Status?
    /// Writes and other work under way that will look at the file's map when they end.
    var users = 0
    /// Bytes of storage that the server last said it takes up.
    var allocatedBytes: Int64?
}

/// WRITE where the shadow is a server: planned, then sent by the shell, then recorded, and in between
/// nothing else touches the same blocks.
extension SessionState {
    /// A write on its way to the shadow server.
    public struct RemoteWrite {
        public let file: LayerID
        /// Of the client's data, in bytes.
        public let range: Range<UInt64>
        /// What goes along with it.
        public let zeros: LayerMap.ZeroFill
        fileprivate let layer: FileLayer
        fileprivate let generation: UInt64
        fileprivate let blocks: Range<UInt64>
        fileprivate let credential: Credential

        fileprivate var count: Int { Int(blocks.upperBound - blocks.lowerBound) }
    }

    /// Whether data goes to a shadow server.
    public var hasShadowServer: Bool { remoteFiles != nil }

    var remoteFiles: RemoteFiles? {
        if case .server(let files) = place { files } else { nil }
    }

    /// Plans a WRITE (RFC 1813 §3.3.7) of a byte or more. Whoever sends it must call
    /// ``finish(_:_:stable:)``, whatever becomes of it.
    public func planRemoteWrite(
        _ id: NodeID, offset: UInt64, count: Int, _ credential: Credential
    ) throws(Interrupt) -> RemoteWrite {
        guard let files = remoteFiles else { throw .status(.serverFault) }
        let (node, range) = try writable(id, offset: offset, count: count, credential)
        let file = topFile(of: id)
        let blocks = wholeBlocks(of: range)
        guard files.maySend(file, blocks, count: Int(blocks.upperBound - blocks.lowerBound)) else {
            throw .busy(id)
        }
        let layer = ensureContent(node).top
        try checkOpen(node, layer, files)
        let write = RemoteWrite(
            file: file, range: range, zeros: layer.map.zeroFill(for: range), layer: layer,
            generation: layer.map.generation, blocks: blocks, credential: credential)
        layer.remote.users += 1
        files.beginWrite(file, blocks, count: write.count)
        return write
    }

    /// Records a write that the shadow server has answered, or gives it up.
    /// - Returns: what the reply says; for anything but UNSTABLE it must wait for ``commit(then:)``.
    public func finish(
        _ write: RemoteWrite, _ result: Result<ShadowWritten, ShadowFailure>,
        stable: NFS3.Stability
    ) throws(Interrupt) -> NFS3.WCCData {
        guard let files = remoteFiles else { throw .status(.serverFault) }
        let tellOthers = files.endWrite(write.file, write.blocks, count: write.count)
        defer { tellOthers() }
        write.layer.remote.users -= 1
        let written: ShadowWritten
        switch result {
        case .success(let success): written = success
        case .failure(let failure): throw .status(failure.status)
        }
        shadowCalls.writes += 1
        let node = try node(write.file.node)
        // A failed commit took back what this was planned on.
        guard let content = node.content, content.top === write.layer,
            content.top.map.generation == write.generation
        else { throw .status(.jukebox) }
        guard files.note(written.verifiers, of: write.file) else {
            lostWrites()
            throw .status(.jukebox)
        }
        content.top.map.wrote(write.range)
        if let allocated = written.allocatedBytes {
            content.top.remote.allocatedBytes = Int64(clamping: allocated)
        }
        markDirty(node, content)
        return wrote(node, upTo: write.range.upperBound, stable: stable, write.credential)
    }

    /// Opens a file when it is used first, and again when it has been out of memory.
    private func checkOpen(
        _ node: Node, _ layer: FileLayer, _ files: RemoteFiles
    ) throws(Interrupt) {
        if layer.remote.isOpen { return }
        if let failure = layer.remote.failure {
            layer.remote.failure = nil
            throw .status(failure)
        }
        let file = topFile(of: node.id)
        if files.isIdle(file) {
            files.take(file)
            layer.remote.users += 1
            files.server.open(
                file, size: node.attributes.size, isExpected: layer.map.storedBlocks > 0
            ) { result in
                layer.remote.users -= 1
                switch result {
                case .success(let opened):
                    layer.remote.isOpen = true
                    if opened.isNew { self.shadowCalls.creates += 1 }
                case .failure(let failure): layer.remote.failure = failure.status
                }
                files.release(file)
            }
        }
        throw .busy(node.id)
    }

    // MARK: Waiting

    /// Has an operation that was told ``Interrupt/busy(_:)`` run again.
    /// - Returns: by what it is given up, see ``giveUp(_:for:)``.
    public func waitForShadow(_ id: NodeID, then: @escaping () -> Void) -> UInt64 {
        remoteFiles?.wait(for: topFile(of: id), then: then) ?? 0
    }

    public func giveUp(_ wait: UInt64, for id: NodeID) {
        remoteFiles?.giveUp(wait, for: topFile(of: id))
    }

    /// Refuses to go on while anything is under way on the file.
    func checkShadowIdle(_ node: Node) throws(Interrupt) {
        if let files = remoteFiles, !files.isIdle(topFile(of: node.id)) { throw .busy(node.id) }
    }

    /// Where bytes are that a server has, none of which may be under way to it.
    func remoteSource(
        _ file: LayerID, _ range: Range<UInt64>, _ files: RemoteFiles
    ) throws(Interrupt) -> LayerID {
        guard !files.isWriting(file, wholeBlocks(of: range)) else { throw .busy(file.node) }
        return file
    }

    /// The file that takes a node's writes.
    func topFile(of id: NodeID) -> LayerID { LayerID(node: id, layer: topLayer) }

    private func wholeBlocks(of range: Range<UInt64>) -> Range<UInt64> {
        let mask = store.identity.blockSize - 1
        return (range.lowerBound & ~mask)..<((range.upperBound + mask) & ~mask)
    }
}

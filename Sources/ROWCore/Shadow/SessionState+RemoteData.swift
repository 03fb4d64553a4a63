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
}

/// WRITE where the shadow is a server: planned, then sent by the shell, then recorded, and in between
/// nothing else touches the same blocks.
extension SessionState {
    /// A write on its way to the shadow server.
    public struct RemoteWrite {
        public let file: ShadowFileID
        /// Of the client's data, in bytes.
        public let range: Range<UInt64>
        /// What goes along with it.
        public let zeros: LayerMap.ZeroFill
        fileprivate let content: FileContent
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
        let file = ShadowFileID(id)
        let blocks = wholeBlocks(of: range)
        guard files.maySend(file, blocks, count: Int(blocks.upperBound - blocks.lowerBound)) else {
            throw .busy(id)
        }
        let content = ensureContent(node)
        try checkOpen(node, content, files)
        let write = RemoteWrite(
            file: file, range: range, zeros: content.map.zeroFill(for: range), content: content,
            generation: content.map.generation, blocks: blocks, credential: credential)
        content.remote.users += 1
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
        write.content.remote.users -= 1
        let written: ShadowWritten
        switch result {
        case .success(let success): written = success
        case .failure(let failure): throw .status(failure.status)
        }
        shadowCalls.writes += 1
        let node = try node(write.file.node)
        // A failed commit took back what this was planned on.
        guard node.content === write.content, write.content.map.generation == write.generation
        else { throw .status(.jukebox) }
        guard files.note(written.verifiers, of: write.file) else {
            lostWrites()
            throw .status(.jukebox)
        }
        write.content.map.wrote(write.range)
        if let allocated = written.allocatedBytes {
            write.content.allocatedBytes = Int64(clamping: allocated)
        }
        markDirty(node, write.content)
        return wrote(node, upTo: write.range.upperBound, stable: stable, write.credential)
    }

    /// Opens a file when it is used first, and again when it has been out of memory.
    private func checkOpen(
        _ node: Node, _ content: FileContent, _ files: RemoteFiles
    ) throws(Interrupt) {
        if content.remote.isOpen { return }
        if let failure = content.remote.failure {
            content.remote.failure = nil
            throw .status(failure)
        }
        let file = ShadowFileID(node.id)
        if files.isIdle(file) {
            files.take(file)
            content.remote.users += 1
            files.server.open(
                file, size: node.attributes.size, isExpected: content.map.storedBlocks > 0
            ) { result in
                content.remote.users -= 1
                switch result {
                case .success(let opened):
                    content.remote.isOpen = true
                    if opened.isNew { self.shadowCalls.creates += 1 }
                case .failure(let failure): content.remote.failure = failure.status
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
        remoteFiles?.wait(for: ShadowFileID(id), then: then) ?? 0
    }

    public func giveUp(_ wait: UInt64, for id: NodeID) {
        remoteFiles?.giveUp(wait, for: ShadowFileID(id))
    }

    /// Refuses to go on while anything is under way on the file.
    func checkShadowIdle(_ id: NodeID) throws(Interrupt) {
        if let files = remoteFiles, !files.isIdle(ShadowFileID(id)) { throw .busy(id) }
    }

    /// Where the bytes of runs are that a server has, none of which may be under way to it.
    func remoteSource(
        _ id: NodeID, _ range: Range<UInt64>, _ files: RemoteFiles
    ) throws(Interrupt) -> ShadowFileID {
        let file = ShadowFileID(id)
        guard !files.isWriting(file, wholeBlocks(of: range)) else { throw .busy(id) }
        return file
    }

    private func wholeBlocks(of range: Range<UInt64>) -> Range<UInt64> {
        let mask = store.identity.blockSize - 1
        return (range.lowerBound & ~mask)..<((range.upperBound + mask) & ~mask)
    }
}

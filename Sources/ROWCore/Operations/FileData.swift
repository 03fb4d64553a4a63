public import NFSProtocol
import SystemPackage

/// READ, WRITE, truncation and COMMIT: the block path (DESIGN: redirect-on-write of file data).
extension SessionState {
    /// Where the bytes of a READ come from.
    public enum ReadSource {
        /// Nothing: the range lies at or past the end.
        case nothing
        /// All from the shadow.
        case shadow(SparseFile)
        /// All from main.
        case main
        /// All zero.
        case zeros
        /// Several runs, in order, that cover the range.
        case mixed([LayerMap.Run], SparseFile?)
    }

    public struct ReadPlan {
        public let source: ReadSource
        /// The bytes to be answered: what was asked for, cut at the end of the file.
        public let range: Range<UInt64>
        public let eof: Bool
        public let attributes: NFS3.Attributes
    }

    /// Plans a READ (RFC 1813 §3.3.6). The plan holds until the file is changed: whoever waits for
    /// main plans again before using what main sent.
    public func planRead(
        _ id: NodeID, offset: UInt64, count: Int, _ credential: Credential
    ) throws(Interrupt) -> ReadPlan {
        let node = try node(id)
        try checkRegular(node)
        guard PermissionRules.allowsRead(node.attributes, credential) else {
            throw .status(.acces)
        }
        let size = node.attributes.size
        guard offset < size, count > 0 else {
            return ReadPlan(
                source: .nothing, range: offset..<offset, eof: offset >= size,
                attributes: node.attributes)
        }
        let end = offset + min(UInt64(count), size - offset)
        return ReadPlan(
            source: try source(of: node, offset..<end), range: offset..<end, eof: end == size,
            attributes: node.attributes)
    }

    private func source(_ node: Node, of map: LayerMap.Source) throws(Interrupt) -> ReadSource {
        switch map {
        case .here: .shadow(try shadow(node))
        case .below: .main
        case .zeros: .zeros
        }
    }

    private func source(of node: Node, _ range: Range<UInt64>) throws(Interrupt) -> ReadSource {
        guard let content = node.content else { return node.id.isSessionMade ? .zeros : .main }
        if let single = content.map.singleSource(of: range) {
            return try source(node, of: single)
        }
        var runs: [LayerMap.Run] = []
        content.map.forEachRun(in: range) { runs.append($0) }
        let needsFile = runs.contains { $0.source == .here }
        return .mixed(runs, needsFile ? try shadow(node) : nil)
    }

    /// WRITE (RFC 1813 §3.3.7): the bytes go into the shadow, and never anything is read from main.
    /// - Returns: what the reply says; for anything but UNSTABLE it must wait for ``commit(then:)``.
    public func write(
        _ id: NodeID, offset: UInt64, data: UnsafeRawBufferPointer, stable: NFS3.Stability,
        _ credential: Credential
    ) throws(Interrupt) -> NFS3.WCCData {
        try refuseReadOnly()
        let node = try node(id)
        try checkRegular(node)
        guard PermissionRules.allowsWrite(node.attributes, credential) else {
            throw .status(.acces)
        }
        let (end, overflow) = offset.addingReportingOverflow(UInt64(data.count))
        guard !overflow, end <= Self.sizeMaximum else { throw .status(.fbig) }
        try checkNoCutPending(node)
        try refuseWhenFull()
        let before = NFS3.WCCAttributes(node.attributes)
        if !data.isEmpty {
            try redirect(node, data, offset..<end)
            let time = now()
            node.attributes.size = max(node.attributes.size, end)
            node.attributes.mode = PermissionRules.strippingSetID(node.attributes, credential)
            node.attributes.mtime = time
            node.attributes.ctime = max(time, node.attributes.ctime.next)
            updateUsed(node)
        }
        if stable != .unstable { gather(node) }
        return NFS3.WCCData(before: before, after: node.attributes)
    }

    private func redirect(
        _ node: Node, _ data: UnsafeRawBufferPointer, _ range: Range<UInt64>
    ) throws(Interrupt) {
        let content = ensureContent(node)
        let file = try shadow(node)
        do {
            try file.write(data, at: range.lowerBound, zeros: content.map.zeroFill(for: range))
        } catch {
            onEvent("writing to the shadow of \(node.id) failed: \(error)")
            throw .status(NFS3.Status(ofShadow: error))
        }
        shadowCalls.writes += 1
        content.map.wrote(range)
        markDirty(node, content)
    }

    private func markDirty(_ node: Node, _ content: FileContent) {
        content.isDirty = true
        dirtyFiles.insert(node.id)
    }

    /// COMMIT (RFC 1813 §3.3.21) of the whole file; the reply waits for ``commit(then:)``.
    public func commitFile(_ id: NodeID) throws(Interrupt) -> NFS3.WCCData {
        let node = try node(id)
        try checkRegular(node)
        gather(node)
        return NFS3.WCCData(
            before: NFS3.WCCAttributes(node.attributes), after: node.attributes)
    }

    /// Makes a file `size` bytes long. Cutting drops what lies past the end, for good: growing again
    /// shows zeros, never main's old bytes.
    func setSize(_ node: Node, to size: UInt64, at time: NFS3.Time) throws(Interrupt) {
        try checkNoCutPending(node)
        let content = ensureContent(node)
        if size < node.attributes.size {
            if content.map.storedBlocks > 0 || content.file != nil { cutLater(node, content) }
            content.map.truncate(to: size)
            markDirty(node, content)
        }
        node.attributes.size = size
        node.attributes.mtime = time
        updateUsed(node)
        touch(node)
    }

    /// The row that says the file is shorter comes first, the cut after it: were it the other way
    /// round, a crash or a failed commit would leave a file that is neither what it was nor what it
    /// was to be. Until then nothing is written past the new end.
    private func cutLater(_ node: Node, _ content: FileContent) {
        content.isCutPending = true
        batch.afterwards.append { [unowned self] in
            content.isCutPending = false
            guard node.content === content else { return }
            do {
                let file = try shadowFile(node)
                if try file.size > node.attributes.size {
                    try file.truncate(to: node.attributes.size)
                }
                shadowCalls.truncates += 1
            } catch {
                // The space is lost for now; what lies past the end is on no record.
                onEvent("cutting the shadow of \(node.id) failed: \(error)")
            }
        }
    }

    private func checkNoCutPending(_ node: Node) throws(Interrupt) {
        if node.content?.isCutPending == true { throw .wait }
    }

    func ensureContent(_ node: Node) -> FileContent {
        if let content = node.content { return content }
        let mainValid = node.id.isSessionMade ? 0 : node.attributes.size
        let content = FileContent(
            map: LayerMap(blockSize: store.identity.blockSize, mainValid: mainValid))
        node.content = content
        node.flags.insert(.hasContent)
        // Whatever becomes of the operation: a row that says so needs the map's beside it.
        markDirty(node, content)
        return content
    }

    private func shadow(_ node: Node) throws(Interrupt) -> SparseFile {
        do {
            return try shadowFile(node)
        } catch {
            onEvent("opening the shadow of \(node.id) failed: \(error)")
            throw .status(NFS3.Status(ofShadow: error))
        }
    }

    /// The sparse file with a node's changed data, made when there is none. It is never longer than
    /// the size on record: what a lost cut or write left past that is cut off.
    func shadowFile(_ node: Node) throws(Errno) -> SparseFile {
        let content = ensureContent(node)
        if let file = content.file { return file }
        let (file, isNew) = try store.openShadow(node.id)
        if isNew { shadowCalls.creates += 1 }
        if !content.isCutPending, try file.size > node.attributes.size {
            try file.truncate(to: node.attributes.size)
        }
        content.file = file
        openFiles.opened(content)
        return file
    }

    /// Bytes that a plain copy of the file would take up, roughly: what still shows of main and
    /// what is stored.
    private func updateUsed(_ node: Node) {
        guard let map = node.content?.map else { return }
        let stored = UInt64(map.storedBlocks) * map.blockSize
        let rounded = (node.attributes.size &+ 511) & ~511
        node.attributes.used = min(max(node.attributes.used, stored), rounded)
    }

    private func checkRegular(_ node: Node) throws(Interrupt) {
        guard node.attributes.type == .regular else {
            throw .status(node.isDirectory ? .isdir : .inval)
        }
    }

    /// The file is gone: its shadow goes once the transaction that says so is committed.
    func dropContent(_ node: Node) {
        guard node.content != nil || node.flags.contains(.hasContent) else { return }
        node.content?.isDirty = false
        // Closed, so that the space is free as soon as the name is gone.
        node.content?.file = nil
        node.content = nil
        node.flags.remove(.hasContent)
        dirtyFiles.remove(node.id)
        batch.rows.append(.removeContent(node.id))
        shadowCalls.removes += 1
        let path = store.shadowPath(node.id)
        batch.afterwards.append { Storage.remove(path) }
    }
}

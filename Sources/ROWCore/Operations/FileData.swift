public import NFSProtocol
import SystemPackage

/// READ, WRITE, truncation and COMMIT: the block path (DESIGN: redirect-on-write of file data).
extension SessionState {
    /// Where the bytes of a READ come from.
    public enum ReadSource {
        /// Nothing: the range lies at or past the end.
        case nothing
        case one(ByteSource)
        /// Several runs, in order, that cover the range.
        case mixed(MixedRead)
    }

    /// Where one byte comes from, at the same offset.
    public enum ByteSource {
        /// A sparse file in the shadow; the layer's number tells it from the file's other ones.
        case shadow(SparseFile, layer: Int64)
        /// A sparse file at the shadow server.
        case remote(LayerID)
        case main
        case zeros
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

    private func source(of node: Node, _ range: Range<UInt64>) throws(Interrupt) -> ReadSource {
        guard let content = node.content else {
            return .one(node.id.isSessionMade ? .zeros : .main)
        }
        // Down the layers for as long as the range lies in one piece.
        var layer = content.top
        var depth = 0
        while true {
            switch layer.map.singleSource(of: range) {
            case .here: return .one(try stored(node, layer, range))
            case .zeros: return .one(.zeros)
            case .below where depth < content.frozen.count:
                layer = content.frozen[depth]
                depth += 1
            case .below: return .one(node.id.isSessionMade ? .zeros : .main)
            case nil:
                var read = MixedRead()
                try add(range, of: node, content, from: depth, to: &read)
                return .mixed(read)
            }
        }
    }

    /// Adds what the layers from the one at a depth on show of a range.
    private func add(
        _ range: Range<UInt64>, of node: Node, _ content: FileContent, from depth: Int,
        to read: inout MixedRead
    ) throws(Interrupt) {
        guard depth <= content.frozen.count else {
            return node.id.isSessionMade ? read.appendZeros(range) : read.appendMain(range)
        }
        let layer = depth == 0 ? content.top : content.frozen[depth - 1]
        try layer.map.forEachRun(in: range) { run throws(Interrupt) in
            switch run.source {
            case .zeros: read.appendZeros(run.range)
            case .below: try add(run.range, of: node, content, from: depth + 1, to: &read)
            case .here: try add(run.range, of: node, layer, to: &read)
            }
        }
    }

    private func add(
        _ range: Range<UInt64>, of node: Node, _ layer: FileLayer, to read: inout MixedRead
    ) throws(Interrupt) {
        let known = read.source(ofLayer: layer.number)
        // What is at a shadow server must be there by now, in each range.
        if let known, remoteFiles == nil { return read.append(range, from: known) }
        let source = try stored(node, layer, range)
        read.append(range, from: known ?? read.add(source))
    }

    /// Where a layer has its bytes.
    private func stored(
        _ node: Node, _ layer: FileLayer, _ range: Range<UInt64>
    ) throws(Interrupt) -> ByteSource {
        if let files = remoteFiles {
            let id = LayerID(node: node.id, layer: layer.number)
            return .remote(try remoteSource(id, range, files))
        }
        return .shadow(try shadow(node, layer), layer: layer.number)
    }

    /// WRITE (RFC 1813 §3.3.7): the bytes go into the shadow, and never anything is read from main.
    /// - Returns: what the reply says; for anything but UNSTABLE it must wait for ``commit(then:)``.
    public func write(
        _ id: NodeID, offset: UInt64, data: UnsafeRawBufferPointer, stable: NFS3.Stability,
        _ credential: Credential
    ) throws(Interrupt) -> NFS3.WCCData {
        let (node, range) = try writable(id, offset: offset, count: data.count, credential)
        if !data.isEmpty { try redirect(node, data, range) }
        return wrote(node, upTo: range.isEmpty ? 0 : range.upperBound, stable: stable, credential)
    }

    /// The file that may be written to now, and where.
    func writable(
        _ id: NodeID, offset: UInt64, count: Int, _ credential: Credential
    ) throws(Interrupt) -> (Node, Range<UInt64>) {
        try refuseReadOnly()
        let node = try node(id)
        try checkRegular(node)
        guard PermissionRules.allowsWrite(node.attributes, credential) else {
            throw .status(.acces)
        }
        let (end, overflow) = offset.addingReportingOverflow(UInt64(count))
        guard !overflow, end <= Self.sizeMaximum else { throw .status(.fbig) }
        try checkNoCutPending(node)
        try refuseWhenFull()
        return (node, offset..<end)
    }

    /// Marks a write whose bytes are in the shadow.
    /// - Parameter end: of what was written; 0 for nothing.
    func wrote(
        _ node: Node, upTo end: UInt64, stable: NFS3.Stability, _ credential: Credential
    ) -> NFS3.WCCData {
        let before = NFS3.WCCAttributes(node.attributes)
        if end > 0 {
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
        let file = try shadow(node, content.top)
        do {
            try file.write(data, at: range.lowerBound, zeros: content.top.map.zeroFill(for: range))
        } catch {
            onEvent("writing to the shadow of \(node.id) failed: \(error)")
            throw .status(NFS3.Status(ofShadow: error))
        }
        shadowCalls.writes += 1
        content.top.map.wrote(range)
        markDirty(node, content)
    }

    func markDirty(_ node: Node, _ content: FileContent) {
        content.isDirty = true
        content.top.isRecorded = true
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
        try checkShadowIdle(node)
        let content = ensureContent(node)
        if size < node.attributes.size {
            let top = content.top
            if top.map.storedBlocks > 0 || top.file != nil || top.remote.isOpen {
                cutLater(node, content)
            }
            content.top.map.truncate(to: size)
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
        let layer = content.top
        batch.afterwards.append { [unowned self] in
            if let files = remoteFiles, node.content === content {
                cutRemote(node, content, files)
                return
            }
            content.isCutPending = false
            guard node.content === content else { return }
            do {
                let file = try shadowFile(node, layer)
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
        guard node.content?.isCutPending == true else { return }
        // Before the transaction it is waited for, then the server.
        try checkShadowIdle(node)
        throw .wait
    }

    func ensureContent(_ node: Node) -> FileContent {
        if let content = node.content { return content }
        let mainValid = node.id.isSessionMade ? 0 : node.attributes.size
        let map = LayerMap(blockSize: store.identity.blockSize, mainValid: mainValid)
        let content = FileContent(top: FileLayer(number: topLayer, map: map))
        node.content = content
        node.flags.insert(.hasContent)
        // Whatever becomes of the operation: a row that says so needs the map's beside it.
        markDirty(node, content)
        return content
    }

    private func shadow(_ node: Node, _ layer: FileLayer) throws(Interrupt) -> SparseFile {
        do {
            return try shadowFile(node, layer)
        } catch {
            onEvent("opening the shadow of \(node.id) failed: \(error)")
            throw .status(NFS3.Status(ofShadow: error))
        }
    }

    /// The sparse file of a layer of a node's data. That of the top layer is made when there is none,
    /// and is never longer than the size on record: what a lost cut or write left past that is cut off.
    func shadowFile(_ node: Node, _ layer: FileLayer) throws(Errno) -> SparseFile {
        if let file = layer.file { return file }
        let isTop = layer === node.content?.top
        let (file, isNew) = try store.openShadow(
            LayerID(node: node.id, layer: layer.number), create: isTop)
        if isNew { shadowCalls.creates += 1 }
        if isTop, node.content?.isCutPending == false, try file.size > node.attributes.size {
            try file.truncate(to: node.attributes.size)
        }
        layer.file = file
        openFiles.opened(layer)
        return file
    }

    /// Bytes that a plain copy of the file would take up, roughly: what still shows of main and
    /// what is stored.
    private func updateUsed(_ node: Node) {
        guard let content = node.content else { return }
        let blocks = content.frozen.reduce(content.top.map.storedBlocks) {
            $0 + $1.map.storedBlocks
        }
        let stored = UInt64(blocks) * content.top.map.blockSize
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
        guard let content = node.content else { return }
        content.isDirty = false
        // Closed, so that the space is free as soon as the name is gone.
        for layer in content.layers { layer.file = nil }
        node.content = nil
        node.flags.remove(.hasContent)
        dirtyFiles.remove(node.id)
        batch.rows.append(.removeContent(node.id))
        shadowCalls.removes += 1
        let layers = content.layers.map { LayerID(node: node.id, layer: $0.number) }
        if let files = remoteFiles {
            batch.afterwards.append { for layer in layers { files.remove(layer) } }
            return
        }
        let paths = layers.map { store.shadowPath($0) }
        batch.afterwards.append { for path in paths { Storage.remove(path) } }
    }
}

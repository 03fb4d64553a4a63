import NFSProtocol

/// Objects: rows of `node`, each for itself and against what else is known of the object.
extension RecordCheck {
    // MARK: Lost rows

    /// Gives a row to objects that have data or names but none.
    mutating func replaceLostNodes() {
        let directories = Set(entries.keys.map(\.directory))
        let names = Dictionary(
            entries.filter { !$0.value.isWhiteout }.map { ($0.value.child, $0.key) }
        ) { min($0, $1) }
        let lost = Set(lowestLayers.keys).union(directories).union(names.keys).filter {
            nodes[$0] == nil && $0.row > 0
        }
        for id in lost.sorted() {
            let kind: SessionFinding.Kind
            let problem: String
            if hasData(id) {
                kind = .contentWithoutNode
                problem = "the row of this file, which has changed data, is lost"
            } else if directories.contains(id) {
                kind = .entryWithoutDirectory
                problem = "the row of this directory, in which names were changed, is lost"
            } else {
                kind = .entryWithoutNode
                problem = "\(names[id]?.description ?? "a name") stands for it, and its row is lost"
            }
            if let image, let node = NodeRecord(id, in: image) {
                report(
                    kind, id, problem, repair: "the row is made again as the image has the object")
                nodes[id] = node
            } else if let type = typeOfLost(id, isDirectory: directories.contains(id)) {
                report(
                    kind, id, problem, repair: "a row is made, with root as its owner")
                nodes[id] = NodeRecord(id: id, type: type, parent: names[id]?.directory ?? .root)
            }
            if hasData(id), nodes[id]?.isRegular == true {
                nodes[id]?.flags.insert(.hasContent)
                let size = recoveredSize(id)
                nodes[id]?.size = size
            }
            if directories.contains(id) { nodes[id]?.flags.insert(.hasDeltas) }
        }
    }

    /// What an object without a row was, if it can be told and used.
    private func typeOfLost(_ id: NodeID, isDirectory: Bool) -> NFS3.FileType? {
        guard id.isSessionMade || id == .root else { return nil }
        if isDirectory { return .directory }
        return hasData(id) || shadow.has(id) ? .regular : nil
    }

    /// The end of what is stored of a file, or shows of the image.
    func recoveredSize(_ id: NodeID) -> UInt64 {
        let held = shadow.files.filter { $0.key.node == id }.values.max() ?? 0
        let valid = files.filter { $0.key.node == id }.values.map { $0.content?.mainValid ?? 0 }
        guard let shows = id.isSessionMade ? 0 : valid.min(), !valid.isEmpty else {
            return min(held, LayerMap.sizeMaximum)
        }
        let below = image?.object(id)?.size ?? shows
        return min(max(min(shows, below), held), LayerMap.sizeMaximum)
    }

    // MARK: Rows

    mutating func checkNodes() {
        let directories = Set(entries.filter { !$0.value.isWhiteout }.keys.map(\.directory))
        let changed = Set(entries.keys.map(\.directory))
        for id in nodes.keys.sorted() {
            guard var node = nodes[id] else { continue }
            checkType(&node, hasNames: directories.contains(id))
            checkNumbers(&node)
            checkFlags(&node, hasDeltas: changed.contains(id))
            nodes[id] = node
            if node.fileType == .symbolicLink, id.isSessionMade, !node.isRemoved,
                node.target.map({ $0.isEmpty || $0.contains(0) }) ?? true
            {
                report(
                    .badLinkText, id, "a symbolic link without its text",
                    repair: "it is taken away, its row moved aside")
                nodes[id] = nil
            }
        }
    }

    private mutating func checkType(_ node: inout NodeRecord, hasNames: Bool) {
        let hasData = hasData(node.id)
        var type = node.fileType
        if !node.id.isSessionMade, let object = image?.object(node.id) {
            type = UInt32(exactly: object.type).flatMap(NFS3.FileType.init(rawValue:))
        } else if hasData != hasNames, type != (hasData ? .regular : .directory) {
            type = hasData ? .regular : .directory
        } else if type == nil {
            type = likelyType(node)
        }
        guard let type, type != node.fileType else { return }
        report(
            .badType, node.id, "its type cannot be \(node.type)",
            repair: "it becomes \(type.rawValue), as all else says")
        node.type = Int64(type.rawValue)
    }

    private func likelyType(_ node: NodeRecord) -> NFS3.FileType {
        if node.target != nil { return .symbolicLink }
        if node.flags.contains(.hasContent) { return .regular }
        let looksLikeDirectory = node.nlink >= 2 && node.size == 4096
        return looksLikeDirectory || !node.flags.isDisjoint(with: [.hasDeltas, .opaque])
            ? .directory : .regular
    }

    private mutating func checkNumbers(_ node: inout NodeRecord) {
        if node.mode & ~0o7777 != 0 {
            report(
                .badMode, node.id, "its mode cannot be \(String(node.mode, radix: 8)) (octal)",
                repair: "it becomes \(String(node.mode & 0o7777, radix: 8))")
            node.mode &= 0o7777
        }
        let words = [\NodeRecord.nlink, \.uid, \.gid, \.major, \.minor]
        for word in words where UInt32(exactly: node[keyPath: word]) == nil {
            let cut = Int64(UInt32(truncatingIfNeeded: node[keyPath: word]))
            report(
                .badMode, node.id,
                "its owner, link count or device cannot be \(node[keyPath: word])",
                repair: "it becomes \(cut)")
            node[keyPath: word] = cut
        }
        if node.size > LayerMap.sizeMaximum {
            let size = node.isRegular ? recoveredSize(node.id) : UInt64(node.target?.count ?? 4096)
            report(
                .badSize, node.id, "its size cannot be \(node.size) bytes",
                repair: "it becomes \(size), the end of what is stored")
            node.size = size
        }
        // Clients may have set the other times to anything; this one is ours.
        let time = UInt64(bitPattern: node.ctime)
        if time & 0xffff_ffff >= 1_000_000_000 {
            report(
                .badTime, node.id, "its change time has \(time & 0xffff_ffff) nanoseconds",
                repair: "the time becomes that second")
            node.ctime = Int64(bitPattern: time & ~0xffff_ffff)
        }
    }

    private mutating func checkFlags(_ node: inout NodeRecord, hasDeltas: Bool) {
        var right = node.flags.intersection([
            .changed, .removed, .opaque, .hasDeltas, .hasContent,
        ])
        right.insert(.changed)
        if !node.isDirectory { right.subtract([.opaque, .hasDeltas]) }
        if !node.isRegular { right.remove(.hasContent) }
        if node.isDirectory, hasDeltas { right.insert(.hasDeltas) }
        if node.isRegular, hasData(node.id) { right.insert(.hasContent) }
        // What has data or names was not removed: both go in the transaction that removes it.
        if hasDeltas || hasData(node.id) { right.remove(.removed) }
        guard right != node.flags else { return }
        report(
            .badFlags, node.id, "its flags cannot be \(node.flags.rawValue)",
            repair: "they become \(right.rawValue), as its other rows say")
        node.flags = right
    }
}

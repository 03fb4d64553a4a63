public import NFSProtocol

/// What main answers is taken in.
extension ImageStore {
    /// Takes in what main answered. The rows are committed with ``commit(then:)``.
    public func feed(_ fetch: Fetch, _ result: FetchResult, replica: Int) throws(Interrupt) {
        switch (fetch, result) {
        case (.lookup(let directory, let name), .entry(let entry?)):
            try feedEntry(directory, name, entry, replica: replica)
        case (.lookup(let directory, let name), .entry(nil)):
            if absent.count >= Self.absentLimit { absent.removeAll(keepingCapacity: true) }
            absent.insert(NameKey(directory: directory, name: name))
        case (.listing(let directory), .page(let entries, let isLast)):
            try feedPage(directory, entries, isLast: isLast, replica: replica)
        case (.target(let id), .target(let text)):
            batch.rows.append(.target(id, text))
        case (_, .failed(let status)):
            throw .status(status)
        default:
            throw .status(.serverFault)
        }
    }

    private func feedPage(
        _ directory: NodeID, _ entries: [(name: [UInt8], entry: MainEntry)], isLast: Bool,
        replica: Int
    ) throws(Interrupt) {
        importing.insert(directory)
        var unusable: [[UInt8]] = []
        defer {
            if let first = unusable.first {
                onEvent(
                    "\(unusable.count) names of main in \(pathText(directory)) are none and left out: "
                        + text(first))
            }
        }
        for item in entries {
            // No client could use it, and a copy of the image would take it for a path.
            guard item.name.canNameObject else {
                unusable.append(item.name)
                continue
            }
            do {
                try feedEntry(directory, item.name, item.entry, replica: replica)
            } catch {
                holed.insert(directory)
                throw error
            }
        }
        guard isLast else { return }
        importing.remove(directory)
        if holed.remove(directory) == nil { batch.rows.append(.complete(directory)) }
    }

    /// Remembers a handle that had to be looked up again.
    public func feedHandle(_ handle: NFS3.FileHandle, of id: NodeID, replica: Int) {
        batch.rows.append(.handle(id, replica: replica, handle))
    }

    /// Remembers that a file's blocks are not to be given up for those of others, or may be again.
    public func setPinned(_ id: NodeID, _ isPinned: Bool) { batch.rows.append(.pin(id, isPinned)) }

    /// The files that ``setPinned(_:_:)`` was called for.
    public func pinned() throws(StateError) -> Set<NodeID> {
        let select = try reader.prepare("SELECT node FROM pin")
        var ids: Set<NodeID> = []
        do throws(Interrupt) {
            while try select.step() { ids.insert(NodeID(row: select.int(0))) }
        } catch {
            throw StateError(.unreadable, "cannot read what is pinned of the image: \(error)")
        }
        select.reset()
        return ids
    }

    /// Remembers by which number a replica knows a node that may have more names there.
    public func feedLink(_ attributes: NFS3.Attributes, of id: NodeID, replica: Int) {
        guard let link = Self.link(attributes, replica: replica), pendingLinks[link] == nil,
            (try? committedLink(link)) == nil
        else { return }
        add(link, of: id)
    }

    private static func link(_ attributes: NFS3.Attributes, replica: Int) -> LinkKey? {
        guard attributes.nlink > 1, attributes.type != .directory else { return nil }
        return LinkKey(replica: replica, fsid: attributes.fsid, fileid: attributes.fileid)
    }

    private func add(_ link: LinkKey, of id: NodeID) {
        batch.rows.append(.link(link, id))
        batch.links.append(link)
        pendingLinks[link] = id
    }

    /// The node of which a replica's object is known to be a name.
    public func node(linkedAs attributes: NFS3.Attributes, replica: Int) -> NodeID? {
        guard let link = Self.link(attributes, replica: replica) else { return nil }
        return (try? linked(link, as: attributes)) ?? nil
    }

    /// The node that has an object's number at a replica, if it can be that object: where main was made
    /// anew the number may be another's now.
    private func linked(
        _ link: LinkKey, as attributes: NFS3.Attributes
    ) throws(Interrupt) -> NodeID? {
        if let id = pendingLinks[link] { return id }
        guard let id = try committedLink(link), let record = try record(of: id),
            record.attributes.isSameObject(as: attributes)
        else { return nil }
        return id
    }

    private func feedEntry(
        _ directory: NodeID, _ name: [UInt8], _ entry: MainEntry, replica: Int
    ) throws(Interrupt) {
        let key = NameKey(directory: directory, name: name)
        let attributes = entry.attributes
        var known = pendingChildren[key]
        if known == nil {
            known = try committedChild(directory, name)
        }
        if let id = known {
            if let record = try record(of: id), !record.attributes.isSameObject(as: attributes) {
                onEvent("the image changed under us: \(pathText(id))")
            }
            if let handle = entry.handle {
                batch.rows.append(.handle(id, replica: replica, handle))
            }
            feedLink(attributes, of: id, replica: replica)
            return
        }
        let link = Self.link(attributes, replica: replica)
        var id: NodeID?
        if let link { id = try linked(link, as: attributes) }
        if id == nil {
            let new = newID(directory, name)
            id = new
            batch.rows.append(
                .node(new, parent: directory, name: name, attributes, replica: replica))
            if let link { add(link, of: new) }
        }
        guard let id else { return }
        let cookie = max(try lastCookie(of: directory), 2) + 1
        lastCookies[directory] = cookie
        batch.rows.append(.dentry(directory, name: name, child: id, cookie: cookie))
        batch.children.append(key)
        pendingChildren[key] = id
        if let handle = entry.handle {
            batch.rows.append(.handle(id, replica: replica, handle))
        }
    }

    private func newID(_ directory: NodeID, _ name: [UInt8]) -> NodeID {
        if !reserved.isEmpty, let parent = path(of: directory) {
            let path = parent.isEmpty ? name : parent + [UInt8(ascii: "/")] + name
            if let id = reserved.removeValue(forKey: path) { return id }
        }
        defer { nextID += 1 }
        return NodeID(rawValue: nextID)
    }

    private func committedChild(
        _ directory: NodeID, _ name: [UInt8]
    ) throws(Interrupt) -> NodeID? {
        selectChild.bind(1, directory.row)
        selectChild.bind(2, copying: name)
        defer { selectChild.reset() }
        return try selectChild.step() ? NodeID(row: selectChild.int(0)) : nil
    }

    private func committedLink(_ link: LinkKey) throws(Interrupt) -> NodeID? {
        selectLink.bind(1, Int64(link.replica))
        selectLink.bind(2, Int64(bitPattern: link.fsid))
        selectLink.bind(3, Int64(bitPattern: link.fileid))
        defer { selectLink.reset() }
        return try selectLink.step() ? NodeID(row: selectLink.int(0)) : nil
    }

    func lastCookie(of directory: NodeID) throws(Interrupt) -> UInt64 {
        if let last = lastCookies[directory] { return last }
        selectLastCookie.bind(1, directory.row)
        defer { selectLastCookie.reset() }
        return try selectLastCookie.step() ? UInt64(bitPattern: selectLastCookie.int(0)) : 0
    }

    private func text(_ name: [UInt8]) -> String {
        String(decoding: name.prefix(64), as: UTF8.self).debugDescription
    }

    private func pathText(_ id: NodeID) -> String {
        "/" + String(decoding: path(of: id) ?? Array(id.description.utf8), as: UTF8.self)
    }
}

import NFSProtocol

/// The rows of the upgraded session: one for each object that is not as the new image has it.
extension UpgradePlanner {
    /// Gives an object of the new image a row.
    func touch(_ object: ImageRecord) async throws {
        guard plan.nodes[object.id] == nil else { return }
        var node = NodeRecord(object.id, object.attributes, parent: object.parent)
        node.mainPath = try await new.path(object.id)
        node.ctime = now.row
        plan.nodes[object.id] = node
    }

    func makeRows() async throws {
        for node in session.nodes.values
        where node.id.isSessionMade && !replaced.contains(node.id) && merged[node.id] == nil {
            plan.nodes[node.id] = node
        }
        for (id, own) in kept { plan.nodes[own] = try await keptRow(id, own) }
        for object in hiddenDirectories.values {
            try await touch(object)
            plan.nodes[object.id]?.flags.insert(.removed)
        }
        // What the session names is counted; the new image has no names of these.
        for (id, node) in plan.nodes where id.isSessionMade {
            plan.nodes[id]?.nlink = node.isDirectory ? 2 : 0
        }
        let counts = try await countLinks()
        for (name, entry) in plan.entries {
            if !name.directory.isSessionMade { try await touch(new.object(name.directory)) }
            plan.nodes[name.directory]?.flags.insert(.hasDeltas)
            guard !entry.isWhiteout else { continue }
            if !entry.child.isSessionMade { try await touch(new.object(entry.child)) }
            plan.nodes[entry.child]?.parent = name.directory
        }
        for (id, change) in counts { try await setLinks(id, change) }
        for (directory, node) in session.nodes where node.flags.contains(.opaque) {
            guard let place = try await place(of: directory) else { continue }
            plan.nodes[place]?.flags.insert(.opaque)
        }
        countData()
    }

    /// The row of an object that was the old image's and is now the session's own.
    private func keptRow(_ id: NodeID, _ own: NodeID) async throws -> NodeRecord {
        let object = try old.object(id)
        var node = NodeRecord(
            own, subjects[id]?.ours ?? object.attributes, parent: object.parent)
        node.ctime = now.row
        node.flags = node.isRegular && node.size > 0 ? [.changed, .hasContent] : .changed
        return node
    }

    /// How many names objects, and subdirectories directories, have more than in the new image, or than
    /// none.
    private func countLinks() async throws -> [NodeID: Int] {
        var counts = hiddenNames.mapValues { -$0.count }
        for (name, entry) in plan.entries {
            if let hidden = try await theirs(name) {
                let isDirectory = hidden.attributes.type == .directory
                counts[isDirectory ? name.directory : hidden.id, default: 0] -= 1
            }
            guard !entry.isWhiteout else { continue }
            counts[try await isDirectory(entry.child) ? name.directory : entry.child, default: 0] +=
                1
        }
        return counts
    }

    private func isDirectory(_ id: NodeID) async throws -> Bool {
        if let node = plan.nodes[id] { return node.isDirectory }
        return try await new.object(id).attributes.type == .directory
    }

    private func setLinks(_ id: NodeID, _ change: Int) async throws {
        if id.isSessionMade {
            plan.nodes[id]?.nlink += Int64(change)
            return
        }
        let object = try await new.object(id)
        let before = Int(object.attributes.nlink)
        if object.attributes.type == .directory {
            // A file system that does not count subdirectories says 1.
            if before >= 2 { plan.nodes[id]?.nlink = Int64(max(before + change, 2)) }
            return
        }
        try await touch(object)
        plan.nodes[id]?.nlink = Int64(max(before + change, 0))
        if before + change <= 0 { plan.nodes[id]?.flags.insert(.removed) }
    }

    private func countData() {
        let own = plan.nodes.keys.filter(\.isSessionMade)
        for id in own + Array(plan.carried.keys) + Array(plan.copies.keys) {
            guard let blocks = session.files[id]?.blocks, blocks > 0 else { continue }
            plan.report.files += 1
            plan.report.blocks += blocks
        }
    }
}

extension NodeRecord {
    /// Takes over what can be merged of an object, and its size.
    mutating func take(_ attributes: NFS3.Attributes) {
        mode = Int64(attributes.mode)
        uid = Int64(attributes.uid)
        gid = Int64(attributes.gid)
        size = attributes.size
        used = Int64(bitPattern: attributes.used)
        (atime, mtime) = (attributes.atime.row, attributes.mtime.row)
    }
}

public import NFSProtocol

/// REMOVE, RMDIR and RENAME: what takes names away.
extension SessionState {
    /// REMOVE (RFC 1813 §3.3.12).
    public func remove(
        _ directory: NodeID, _ name: [UInt8], _ credential: Credential
    ) throws(Interrupt) -> NFS3.WCCData {
        try refuseReadOnly()
        let parent = try self.directory(directory)
        try checkSearch(parent, credential)
        let node = try existing(parent, name)
        guard !node.isDirectory else { throw .status(.isdir) }
        try checkDelete(node, in: parent, credential)
        let before = NFS3.WCCAttributes(parent.attributes)
        let time = now()
        try removeName(parent, name)
        unlink(node, at: time)
        changedEntries(parent, at: time)
        return NFS3.WCCData(before: before, after: parent.attributes)
    }

    /// RMDIR (RFC 1813 §3.3.13).
    public func removeDirectory(
        _ directory: NodeID, _ name: [UInt8], _ credential: Credential
    ) throws(Interrupt) -> NFS3.WCCData {
        try refuseReadOnly()
        let parent = try self.directory(directory)
        if name == [46] { throw .status(.inval) }
        if name == [46, 46] { throw .status(.exist) }
        try checkSearch(parent, credential)
        let node = try existing(parent, name)
        guard node.isDirectory else { throw .status(.notdir) }
        try checkDelete(node, in: parent, credential)
        guard try isEmpty(node) else { throw .status(.notEmpty) }
        let before = NFS3.WCCAttributes(parent.attributes)
        let time = now()
        try removeName(parent, name)
        discardDirectory(node)
        countSubdirectory(of: parent, -1)
        changedEntries(parent, at: time)
        return NFS3.WCCData(before: before, after: parent.attributes)
    }

    /// RENAME (RFC 1813 §3.3.14). A directory of main moves by one entry and one whiteout, whatever
    /// it holds.
    public func rename(
        from source: NodeID, _ oldName: [UInt8], to target: NodeID, _ newName: [UInt8],
        _ credential: Credential
    ) throws(Interrupt) -> (from: NFS3.WCCData, to: NFS3.WCCData) {
        try refuseReadOnly()
        let oldParent = try directory(source)
        let newParent = try directory(target)
        for name in [oldName, newName] where name == [46] || name == [46, 46] {
            throw .status(.inval)
        }
        try checkSearch(oldParent, credential)
        try checkSearch(newParent, credential)
        try checkNewName(newName)
        let node = try existing(oldParent, oldName)
        try checkDelete(node, in: oldParent, credential)
        guard PermissionRules.allows([.write, .execute], newParent.attributes, credential) else {
            throw .status(.acces)
        }
        let replacedID = try child(of: newParent, named: newName)
        let before = (
            NFS3.WCCAttributes(oldParent.attributes), NFS3.WCCAttributes(newParent.attributes)
        )
        if replacedID == node.id { return wcc(before, oldParent, newParent) }
        if node.isDirectory { try checkNotInside(node, newParent) }
        guard
            oldParent === newParent
                || PermissionRules.mayChangeParent(of: node.attributes, credential)
        else { throw .status(.acces) }
        let replaced = try replacedID.map { id throws(Interrupt) in try self.node(id) }
        if let replaced {
            try checkReplace(node, replaced, in: newParent, credential)
        }
        let time = now()
        try removeName(oldParent, oldName)
        if let replaced {
            if replaced.isDirectory {
                discardDirectory(replaced)
                countSubdirectory(of: newParent, -1)
            } else {
                unlink(replaced, at: time)
            }
        }
        setName(newParent, newName, to: node.id)
        if node.isDirectory, oldParent !== newParent {
            countSubdirectory(of: oldParent, -1)
            countSubdirectory(of: newParent, 1)
        }
        node.parent = newParent.id
        changed(node, at: time)
        changedEntries(oldParent, at: time)
        if oldParent !== newParent { changedEntries(newParent, at: time) }
        return wcc(before, oldParent, newParent)
    }

    private func wcc(
        _ before: (NFS3.WCCAttributes, NFS3.WCCAttributes), _ from: Node, _ to: Node
    ) -> (from: NFS3.WCCData, to: NFS3.WCCData) {
        (
            NFS3.WCCData(before: before.0, after: from.attributes),
            NFS3.WCCData(before: before.1, after: to.attributes)
        )
    }

    private func existing(_ parent: Node, _ name: [UInt8]) throws(Interrupt) -> Node {
        guard !name.isEmpty else { throw .status(.noent) }
        guard name.count <= 255 else { throw .status(.nameTooLong) }
        if name == [46] || name == [46, 46] { throw .status(.inval) }
        guard let id = try child(of: parent, named: name) else { throw .status(.noent) }
        return try node(id)
    }

    private func checkDelete(
        _ node: Node, in parent: Node, _ credential: Credential
    ) throws(Interrupt) {
        guard PermissionRules.allows([.write, .execute], parent.attributes, credential) else {
            throw .status(.acces)
        }
        guard PermissionRules.mayDelete(node.attributes, from: parent.attributes, credential) else {
            throw .status(.perm)
        }
    }

    private func checkReplace(
        _ node: Node, _ replaced: Node, in parent: Node, _ credential: Credential
    ) throws(Interrupt) {
        guard PermissionRules.mayDelete(replaced.attributes, from: parent.attributes, credential)
        else { throw .status(.perm) }
        switch (node.isDirectory, replaced.isDirectory) {
        case (true, false): throw .status(.notdir)
        case (false, true): throw .status(.isdir)
        case (false, false): break
        case (true, true): guard try isEmpty(replaced) else { throw .status(.notEmpty) }
        }
    }

    private static let depthMaximum = 1 << 16

    /// INVAL when `directory` is `moved` or lies below it.
    private func checkNotInside(_ moved: Node, _ directory: Node) throws(Interrupt) {
        var current = directory
        var depth = 0
        while current.id != .root {
            guard current.id != moved.id else { throw .status(.inval) }
            // Only in a damaged session does a directory lie inside itself.
            depth += 1
            guard depth < Self.depthMaximum else { throw .status(.io) }
            current = try parent(of: current)
        }
        guard moved.id != .root else { throw .status(.inval) }
    }

    /// Whether nothing shows in the merged directory; may have to import main's listing first.
    private func isEmpty(_ directory: Node) throws(Interrupt) -> Bool {
        var isEmpty = true
        if directory.flags.contains(.hasDeltas) {
            if directory.dirtyCommit > committed,
                pendingDeltas.contains(where: { $0.key.directory == directory.id })
            {
                throw .wait
            }
            try store.forEachEntry(of: directory.id, after: 0) { _, _, _ throws(Interrupt) in
                isEmpty = false
                return false
            }
        }
        guard isEmpty, directory.showsImage else { return isEmpty }
        try image.forEachEntry(of: directory.id, after: 0) { _, name, _ throws(Interrupt) in
            let change = try name.withBytes { bytes throws(Interrupt) in
                try self.delta(directory, bytes)
            }
            isEmpty = change == .whiteout
            return isEmpty
        }
        if isEmpty, try !isComplete(directory) { throw .need(.listing(directory: directory.id)) }
        return isEmpty
    }

    private func unlink(_ node: Node, at time: NFS3.Time) {
        node.attributes.nlink = node.attributes.nlink > 0 ? node.attributes.nlink - 1 : 0
        changed(node, at: time)
        if node.attributes.nlink == 0 { discard(node) }
    }

    private func discardDirectory(_ node: Node) {
        if node.flags.contains(.hasDeltas) {
            batch.rows.append(.removeDeltas(directory: node.id))
        }
        discard(node)
    }

    private func discard(_ node: Node) {
        dropContent(node)
        touch(node)
        node.flags.insert(.removed)
        nodes.remove(node)
    }
}

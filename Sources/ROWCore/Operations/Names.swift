public import NFSProtocol

/// LOOKUP and the making of names: CREATE, MKDIR, SYMLINK, MKNOD, LINK.
extension SessionState {
    /// A new or found object and what its directory looks like.
    public struct Made {
        public let id: NodeID
        public let attributes: NFS3.Attributes
        public let directory: NFS3.WCCData
    }

    /// LOOKUP (RFC 1813 §3.3.3).
    public func lookup(
        _ directory: NodeID, _ name: UnsafeRawBufferPointer, _ credential: Credential
    ) throws(Interrupt) -> (id: NodeID, attributes: NFS3.Attributes) {
        let parent = try self.directory(directory)
        try checkSearch(parent, credential)
        guard name.count <= 255 else { throw .status(.nameTooLong) }
        guard !name.isEmpty else { throw .status(.noent) }
        if name.count <= 2, name[0] == UInt8(ascii: ".") {
            if name.count == 1 { return (directory, parent.attributes) }
            if name[1] == UInt8(ascii: ".") {
                let above = try self.parent(of: parent)
                return (above.id, above.attributes)
            }
        }
        if parent.dirtyCommit > committed,
            pendingDeltas[ImageStore.NameKey(directory: directory, name: Array(name))] != nil
        {
            // Nobody may see a name whose row a crash could take back.
            throw .wait
        }
        guard let id = try child(of: parent, named: name) else { throw .status(.noent) }
        return (id, try node(id).attributes)
    }

    /// Names can be looked up in a directory only with permission to search it.
    func checkSearch(_ directory: Node, _ credential: Credential) throws(Interrupt) {
        guard PermissionRules.allows(.execute, directory.attributes, credential) else {
            throw .status(.acces)
        }
    }

    /// CREATE (RFC 1813 §3.3.8).
    public func create(
        _ directory: NodeID, _ name: [UInt8], _ mode: NFS3.CreateMode, _ credential: Credential
    ) throws(Interrupt) -> Made {
        try refuseReadOnly()
        let parent = try self.directory(directory)
        try checkSearch(parent, credential)
        try checkNewName(name)
        if let existing = try child(of: parent, named: name) {
            return try createExisting(parent, existing, mode, credential)
        }
        let wanted: NFS3.SetAttributes =
            switch mode {
            case .unchecked(let attributes), .guarded(let attributes): attributes
            case .exclusive: NFS3.SetAttributes(mode: 0)
            }
        try checkSize(wanted.size ?? 0)
        return try make(parent, name, .regular, wanted, credential) { node in
            if case .exclusive(let verifier) = mode { node.verifier = verifier }
            node.attributes.size = wanted.size ?? 0
        }
    }

    private func createExisting(
        _ parent: Node, _ id: NodeID, _ mode: NFS3.CreateMode, _ credential: Credential
    ) throws(Interrupt) -> Made {
        let node = try node(id)
        let before = NFS3.WCCAttributes(parent.attributes)
        switch mode {
        case .guarded:
            throw .status(.exist)
        case .exclusive(let verifier):
            guard node.verifier == verifier else { throw .status(.exist) }
        case .unchecked(let wanted):
            guard node.attributes.type == .regular else {
                throw .status(node.isDirectory ? .isdir : .exist)
            }
            if let size = wanted.size {
                guard PermissionRules.allowsWrite(node.attributes, credential) else {
                    throw .status(.acces)
                }
                try checkSize(size)
                let time = now()
                try setSize(node, to: size, at: time)
                node.attributes.mode = PermissionRules.strippingSetID(node.attributes, credential)
                changed(node, at: time)
            }
        }
        return Made(
            id: id, attributes: node.attributes,
            directory: NFS3.WCCData(before: before, after: parent.attributes))
    }

    /// MKDIR (RFC 1813 §3.3.9).
    public func makeDirectory(
        _ directory: NodeID, _ name: [UInt8], _ wanted: NFS3.SetAttributes,
        _ credential: Credential
    ) throws(Interrupt) -> Made {
        try makeNew(directory, name, .directory, wanted, credential) { _ in }
    }

    /// SYMLINK (RFC 1813 §3.3.10).
    public func makeSymbolicLink(
        _ directory: NodeID, _ name: [UInt8], target: [UInt8], _ wanted: NFS3.SetAttributes,
        _ credential: Credential
    ) throws(Interrupt) -> Made {
        guard !target.isEmpty, !target.contains(0) else { throw .status(.inval) }
        return try makeNew(directory, name, .symbolicLink, wanted, credential) { node in
            node.target = target
            node.attributes.size = UInt64(target.count)
        }
    }

    /// MKNOD (RFC 1813 §3.3.11) of a device, socket or fifo.
    public func makeSpecial(
        _ directory: NodeID, _ name: [UInt8], _ type: NFS3.FileType, device: NFS3.Device,
        _ wanted: NFS3.SetAttributes, _ credential: Credential
    ) throws(Interrupt) -> Made {
        switch type {
        case .blockDevice, .characterDevice:
            guard credential.uid == 0 else { throw .status(.perm) }
        case .socket, .fifo: break
        case .regular, .directory, .symbolicLink: throw .status(.badType)
        }
        return try makeNew(directory, name, type, wanted, credential) {
            $0.attributes.rdev = device
        }
    }

    private func makeNew(
        _ directory: NodeID, _ name: [UInt8], _ type: NFS3.FileType,
        _ wanted: NFS3.SetAttributes, _ credential: Credential, _ finish: (Node) -> Void
    ) throws(Interrupt) -> Made {
        try refuseReadOnly()
        let parent = try self.directory(directory)
        try checkSearch(parent, credential)
        try checkNewName(name)
        guard try child(of: parent, named: name) == nil else { throw .status(.exist) }
        return try make(parent, name, type, wanted, credential, finish)
    }

    /// Makes a node and its name. Nothing can stop it after the permission check.
    private func make(
        _ parent: Node, _ name: [UInt8], _ type: NFS3.FileType, _ wanted: NFS3.SetAttributes,
        _ credential: Credential, _ finish: (Node) -> Void
    ) throws(Interrupt) -> Made {
        guard PermissionRules.allows([.write, .execute], parent.attributes, credential) else {
            throw .status(.acces)
        }
        try refuseWhenFull()
        let before = NFS3.WCCAttributes(parent.attributes)
        let time = now()
        let inherited = PermissionRules.inherit(
            parent.attributes, type: type,
            mode: type == .symbolicLink ? 0o777 : (wanted.mode ?? 0) & 0o7777, credential)
        var attributes = NFS3.Attributes(
            type: type, mode: inherited.mode, nlink: type == .directory ? 2 : 1,
            uid: credential.uid, gid: inherited.gid, size: type == .directory ? 4096 : 0,
            used: type == .directory ? 4096 : 0, rdev: NFS3.Device(major: 0, minor: 0), fsid: 0,
            fileid: 0, atime: time, mtime: time, ctime: time)
        if credential.uid == 0 {
            if let uid = wanted.uid { attributes.uid = uid }
            if let gid = wanted.gid { attributes.gid = gid }
        }
        set(&attributes.atime, wanted.atime, time)
        set(&attributes.mtime, wanted.mtime, time)
        let node = makeNode(attributes, parent: parent.id)
        finish(node)
        setName(parent, name, to: node.id)
        if type == .directory { countSubdirectory(of: parent, 1) }
        changedEntries(parent, at: time)
        return Made(
            id: node.id, attributes: node.attributes,
            directory: NFS3.WCCData(before: before, after: parent.attributes))
    }

    /// LINK (RFC 1813 §3.3.15).
    public func link(
        _ id: NodeID, _ directory: NodeID, _ name: [UInt8], _ credential: Credential
    ) throws(Interrupt) -> (attributes: NFS3.Attributes, directory: NFS3.WCCData) {
        try refuseReadOnly()
        let node = try node(id)
        let parent = try self.directory(directory)
        try checkSearch(parent, credential)
        try checkNewName(name)
        guard !node.isDirectory else { throw .status(.isdir) }
        guard try child(of: parent, named: name) == nil else { throw .status(.exist) }
        guard PermissionRules.allows([.write, .execute], parent.attributes, credential) else {
            throw .status(.acces)
        }
        guard node.attributes.nlink < UInt32.max else { throw .status(.mlink) }
        try refuseWhenFull()
        let before = NFS3.WCCAttributes(parent.attributes)
        let time = now()
        node.attributes.nlink += 1
        changed(node, at: time)
        setName(parent, name, to: id)
        changedEntries(parent, at: time)
        return (node.attributes, NFS3.WCCData(before: before, after: parent.attributes))
    }
}

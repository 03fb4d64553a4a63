public import NFSProtocol

/// GETATTR, SETATTR, ACCESS, READLINK: what touches one object and no data.
extension SessionState {
    /// GETATTR (RFC 1813 §3.3.1).
    public func attributes(of id: NodeID) throws(Interrupt) -> NFS3.Attributes {
        try node(id).attributes
    }

    /// Attributes for a reply that tells them along with something else; nil when they are not to
    /// be had.
    public func attributesIfKnown(of id: NodeID) -> NFS3.Attributes? {
        try? node(id).attributes
    }

    /// The handle of a node that is in use.
    public func handle(of id: NodeID) -> NFS3.FileHandle {
        if let node = nodes[id] { return handles.handle(of: id, code: node.code) }
        return handles.handle(of: id)
    }

    /// What READDIRPLUS tells of an entry.
    package func listed(
        _ id: NodeID
    ) throws(Interrupt) -> (attributes: NFS3.Attributes, handle: NFS3.FileHandle) {
        let node = try node(id)
        return (node.attributes, handles.handle(of: id, code: node.code))
    }

    /// ACCESS (RFC 1813 §3.3.4), computed here: a read-only main would deny every change.
    public func access(
        _ id: NodeID, _ wanted: UInt32, _ credential: Credential
    ) throws(Interrupt) -> (granted: UInt32, attributes: NFS3.Attributes) {
        let node = try node(id)
        var granted = PermissionRules.accessRights(wanted, node.attributes, credential)
        if isReadOnly { granted &= PermissionRules.readOnlyRights }
        return (granted, node.attributes)
    }

    /// READLINK (RFC 1813 §3.3.5).
    public func target(of id: NodeID) throws(Interrupt) -> [UInt8] {
        let node = try node(id)
        guard node.attributes.type == .symbolicLink else { throw .status(.inval) }
        if let target = node.target { return target }
        guard !id.isSessionMade else { throw .status(.io) }
        guard let target = try image.target(of: id) else { throw .need(.target(id)) }
        return target
    }

    /// SETATTR (RFC 1813 §3.3.2), a truncation included.
    /// - Parameter guardTime: the ctime that the object must have, else NOT_SYNC.
    public func setAttributes(
        _ id: NodeID, _ new: NFS3.SetAttributes, guardTime: NFS3.Time?, _ credential: Credential
    ) throws(Interrupt) -> NFS3.WCCData {
        try refuseReadOnly()
        let node = try node(id)
        if let guardTime, guardTime != node.attributes.ctime { throw .status(.notSync) }
        try PermissionRules.checkSetAttributes(new, node.attributes, credential)
        if let size = new.size {
            guard node.attributes.type == .regular else {
                throw .status(node.isDirectory ? .isdir : .inval)
            }
            try checkSize(size)
        }
        let before = NFS3.WCCAttributes(node.attributes)
        let time = now()
        if let size = new.size {
            try setSize(node, to: size, at: time)
            node.attributes.mode = PermissionRules.strippingSetID(node.attributes, credential)
        }
        let changesOwner = new.uid != nil || new.gid != nil
        if changesOwner {
            node.attributes.mode = PermissionRules.strippingSetIDForOwnerChange(
                node.attributes, credential)
        }
        if let uid = new.uid { node.attributes.uid = uid }
        if let gid = new.gid { node.attributes.gid = gid }
        if let mode = new.mode {
            node.attributes.mode = PermissionRules.mode(
                mode, for: node.attributes, changesOwner: changesOwner, credential)
        }
        set(&node.attributes.atime, new.atime, time)
        set(&node.attributes.mtime, new.mtime, time)
        node.verifier = nil
        changed(node, at: time)
        return NFS3.WCCData(before: before, after: node.attributes)
    }

    func set(_ field: inout NFS3.Time, _ how: NFS3.SetTime, _ time: NFS3.Time) {
        switch how {
        case .dontChange: break
        case .serverTime: field = time
        case .clientTime(let given): field = given
        }
    }

    /// Bytes beyond this offset do not exist in any file (the shadow's limit).
    public static var sizeMaximum: UInt64 { LayerMap.sizeMaximum }

    func checkSize(_ size: UInt64) throws(Interrupt) {
        guard size <= Self.sizeMaximum else { throw .status(.fbig) }
    }
}

import NFSProtocol

/// What is written of an image.
extension ImageStore {
    enum Row: Sendable {
        case node(NodeID, parent: NodeID, name: [UInt8], NFS3.Attributes, replica: Int)
        case dentry(NodeID, name: [UInt8], child: NodeID, cookie: UInt64)
        case link(LinkKey, NodeID)
        case handle(NodeID, replica: Int, NFS3.FileHandle)
        case complete(NodeID)
        case target(NodeID, [UInt8])
        case pin(NodeID, Bool)
        case meta(String, MetaValue)
    }

    enum MetaValue: Sendable {
        case integer(Int64)
        case blob([UInt8])
    }
}

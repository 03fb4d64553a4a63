/// One sparse file of a session: what one layer holds of one node's data.
public struct ShadowFileID: Hashable, Sendable {
    public let node: NodeID
    public let layer: Int64

    public init(node: NodeID, layer: Int64) {
        self.node = node
        self.layer = layer
    }

    /// Of the layer that takes writes.
    init(_ node: NodeID) { self.init(node: node, layer: SessionRow.topLayer) }

    /// What the file is called, wherever it is kept.
    public var name: String { SessionStore.shadowName(node) }
}

extension ShadowFileID: CustomStringConvertible {
    public var description: String { name }
}

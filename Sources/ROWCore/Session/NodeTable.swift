import Glibc

/// The nodes in memory, within a limit: CLOCK over those that disk knows as well as memory does.
struct NodeTable {
    private var byID: [NodeID: Node] = [:]
    private var ring: [Node] = []
    private var hand = 0
    /// Of objects that are gone, in the order in which they went: nobody asks for them again.
    private var removed: [Node] = []
    /// Nodes kept when nothing pins them.
    var limit = 32_768

    var count: Int { ring.count }

    subscript(id: NodeID) -> Node? { byID[id] }

    mutating func insert(_ node: Node) {
        byID[node.id] = node
        node.ringIndex = UInt32(ring.count)
        ring.append(node)
    }

    /// Has a node let go of once disk knows that its object is gone.
    mutating func remove(_ node: Node) { removed.append(node) }

    private func isEvictable(_ node: Node, _ committed: UInt64) -> Bool {
        node.dirtyCommit <= committed && node.content?.isPinned != true
    }

    private mutating func evict(_ node: Node) {
        byID[node.id] = nil
        let index = Int(node.ringIndex)
        ring.swapAt(index, ring.count - 1)
        ring[index].ringIndex = node.ringIndex
        ring.removeLast()
    }

    private mutating func trimRemoved(committed: UInt64) {
        let count = removed.prefix { isEvictable($0, committed) }.count
        // Some may have been evicted as others are.
        for node in removed.prefix(count) where byID[node.id] === node { evict(node) }
        removed.removeFirst(count)
    }

    /// Evicts those of objects that are gone, and of others as many as are too many: what has no row to
    /// commit and no unrecorded write. Bounded work: two rounds of the clock at most.
    mutating func trim(committed: UInt64) {
        if !removed.isEmpty { trimRemoved(committed: committed) }
        guard ring.count > limit else { return }
        var steps = 2 * ring.count
        while ring.count > limit, steps > 0 {
            steps -= 1
            if hand >= ring.count { hand = 0 }
            let node = ring[hand]
            if node.isReferenced {
                node.isReferenced = false
                hand += 1
            } else if isEvictable(node, committed) {
                evict(node)
            } else {
                hand += 1
            }
        }
    }

    func forEach(_ body: (Node) -> Void) { ring.forEach(body) }

    /// Forgets everything; disk is what counts.
    mutating func removeAll() {
        byID.removeAll()
        ring.removeAll()
        removed.removeAll()
        hand = 0
    }
}

/// The shadow files that are open, within a limit on descriptors; the least recently opened are closed
/// first.
struct OpenFiles {
    private var queue: [FileLayer] = []
    var limit = 256

    mutating func opened(_ layer: FileLayer) { queue.append(layer) }

    mutating func trim() {
        guard queue.count > limit else { return }
        // Half at once, so that the array is not shifted for every file. An operation or a commit that
        // still uses a file holds its own reference.
        for layer in queue.prefix(limit / 2) { layer.file = nil }
        queue.removeFirst(limit / 2)
    }

    mutating func removeAll() {
        for layer in queue { layer.file = nil }
        queue.removeAll()
    }
}

/// The clock of the system.
enum Timestamp {
    static func realTimeNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

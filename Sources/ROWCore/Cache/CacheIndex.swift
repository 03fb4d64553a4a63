/// Which files have a cache file, how much storage each takes up, and whose turn it is to give some up:
/// CLOCK over files, each visited as often as it takes to sweep its blocks.
public struct CacheIndex {
    private struct File {
        var allocated: UInt64
        var isUsed = true
        /// Has no cache file any more; forgotten when the hand has been round.
        var isGone = false
    }

    private var files: [NodeID: File] = [:]
    /// All of `files`, in the order of the clock.
    private var order: [NodeID] = []
    private var hand = 0
    /// Files that are never given up.
    public var pinned: Set<NodeID> = []
    /// Bytes of storage that all of them take up.
    public private(set) var allocated: UInt64 = 0
    public private(set) var count = 0

    public init() {}

    public func contains(_ id: NodeID) -> Bool { files[id]?.isGone == false }

    public var ids: [NodeID] { order.filter(contains) }

    /// Bytes of storage that a file takes up.
    public func allocated(of id: NodeID) -> UInt64 { files[id]?.allocated ?? 0 }

    /// A file takes up this much now.
    public mutating func set(_ id: NodeID, allocated bytes: UInt64) {
        let known = files[id]
        if known == nil { order.append(id) }
        if known?.isGone != false { count += 1 }
        files[id] = File(allocated: bytes, isUsed: known?.isUsed ?? true)
        allocated += bytes
        allocated -= known?.allocated ?? 0
    }

    public mutating func use(_ id: NodeID) { files[id]?.isUsed = true }

    public mutating func remove(_ id: NodeID) {
        guard let file = files[id], !file.isGone else { return }
        files[id] = File(allocated: 0, isUsed: false, isGone: true)
        allocated -= file.allocated
        count -= 1
    }

    /// The file that the hand points at. Those that were used since it came by are spared once.
    /// - Returns: nil when there is none, or all are pinned.
    public mutating func candidate() -> NodeID? {
        var steps = 2 * order.count
        while steps > 0 {
            steps -= 1
            if hand >= order.count { beginRound() }
            guard hand < order.count else { return nil }
            let id = order[hand]
            if contains(id), !pinned.contains(id) {
                if files[id]?.isUsed == false { return id }
                files[id]?.isUsed = false
            }
            hand += 1
        }
        return nil
    }

    private mutating func beginRound() {
        hand = 0
        order.removeAll { id in
            guard files[id]?.isGone == true else { return false }
            files[id] = nil
            return true
        }
    }

    /// The file under the hand has been swept.
    public mutating func advance() { hand += 1 }
}

/// Who asks: the user and groups of an AUTH_SYS call (RFC 5531 appendix A). Holds no storage of its
/// own, so that making one for each request costs nothing.
public struct Credential: Sendable, Hashable {
    public var uid: UInt32
    public var gid: UInt32
    /// Supplementary groups.
    public var groups: GroupList

    @inlinable
    public init(uid: UInt32, gid: UInt32, groups: GroupList = GroupList()) {
        self.uid = uid
        self.gid = gid
        self.groups = groups
    }

    /// User and group 0.
    public static let root = Credential(uid: 0, gid: 0)

    /// What an NFS server makes of callers without an identity.
    public static let nobody = Credential(uid: 65534, gid: 65534)

    /// User 0 is exempt from most rules.
    @inlinable public var isRoot: Bool { uid == 0 }

    /// Whether this is one of the caller's groups, the primary one included.
    @inlinable
    public func isInGroup(_ group: UInt32) -> Bool { group == gid || groups.contains(group) }

    /// The same caller with every 0 replaced by nobody's number (`--root squash`).
    public func squashingRoot() -> Credential {
        var groups = GroupList()
        for index in 0..<self.groups.count {
            let group = self.groups[index]
            groups.append(group == 0 ? Self.nobody.gid : group)
        }
        return Credential(
            uid: uid == 0 ? Self.nobody.uid : uid, gid: gid == 0 ? Self.nobody.gid : gid,
            groups: groups)
    }
}

/// Supplementary groups. As many as AUTH_SYS carries are stored inline; users of `--manage-gids` may have
/// more.
public struct GroupList: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// Groups that need no storage of their own.
    public static let inlineCapacity = 16

    private var storage = InlineArray<16, UInt32>(repeating: 0)
    private var inlineCount = 0
    /// Those beyond ``inlineCapacity``.
    private var others: [UInt32] = []

    public init() {}

    public init(_ groups: some Sequence<UInt32>) {
        for group in groups { append(group) }
    }

    public init(arrayLiteral groups: UInt32...) { self.init(groups) }

    /// Groups in the list.
    public var count: Int { inlineCount + others.count }

    /// Adds a group.
    public mutating func append(_ group: UInt32) {
        if inlineCount < Self.inlineCapacity {
            storage[inlineCount] = group
            inlineCount += 1
        } else {
            others.append(group)
        }
    }

    public func contains(_ group: UInt32) -> Bool {
        for index in 0..<inlineCount where storage[index] == group { return true }
        return others.contains(group)
    }

    /// - Parameter index: less than ``count``.
    public subscript(index: Int) -> UInt32 {
        if index < inlineCount { return storage[index] }
        return others[index - Self.inlineCapacity]
    }

    public static func == (lhs: GroupList, rhs: GroupList) -> Bool {
        guard lhs.count == rhs.count else { return false }
        for index in 0..<lhs.count where lhs[index] != rhs[index] { return false }
        return true
    }

    public func hash(into hasher: inout Hasher) {
        for index in 0..<count { hasher.combine(self[index]) }
    }
}

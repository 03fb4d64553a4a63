import NFSProtocol
import SystemPackage

/// What an upgrade makes of a session: the rows that it is to have, and what there is to be done about its
/// files before that.
struct UpgradePlan {
    var report: UpgradeReport
    var nodes: [NodeID: NodeRecord] = [:]
    var entries: [EntryName: EntryRecord] = [:]
    /// Files whose data becomes that of an object of the new image, by what they were.
    var carried: [NodeID: NodeID] = [:]
    /// Objects of the old image that become whole ones of the session's, by what they were; and where they
    /// are, for people.
    var copies: [NodeID: (id: NodeID, path: FilePath)] = [:]
    /// The next numbers that were never given out.
    var nextID: UInt64
    var nextCookie: Int64

    mutating func newID() -> NodeID {
        nextID += 1
        return NodeID(rawValue: nextID - 1)
    }

    mutating func newCookie() -> Int64 {
        nextCookie += 1
        return nextCookie - 1
    }

    /// Lets a name stand for an object, or with none for nothing.
    /// - Parameter cookie: the name's place in listings; nil for a new name.
    mutating func put(_ name: EntryName, _ child: NodeID?, cookie: Int64? = nil) {
        entries[name] = EntryRecord(
            child: child ?? NodeID(rawValue: 0), cookie: child == nil ? 0 : cookie ?? newCookie())
    }
}

/// An object of the old image that the session changed, renamed or linked, and did not remove.
struct UpgradeSubject {
    let id: NodeID
    let base: NFS3.Attributes
    let ours: NFS3.Attributes
    /// Its names of the image that stand in the session, and those that the session gave it; by path.
    let standing: [EntryName]
    let given: [EntryName]
    let facts: UpgradeRules.ObjectFacts
    var counterpart: ImageRecord?
    var outcome = UpgradeRules.ObjectOutcome.follow

    var isDirectory: Bool { base.type == .directory }
}

/// The names that lead from the root to something.
struct SessionPath: Hashable, Comparable {
    var names: [[UInt8]] = []

    func appending(_ name: [UInt8]) -> SessionPath { SessionPath(names: names + [name]) }

    /// A directory comes before all that is in it.
    static func < (lhs: SessionPath, rhs: SessionPath) -> Bool {
        lhs.names.lexicographicallyPrecedes(rhs.names) { $0.lexicographicallyPrecedes($1) }
    }

    /// Without a leading slash.
    var bytes: [UInt8] { Array(names.joined(separator: [UInt8(ascii: "/")])) }

    var filePath: FilePath { FilePath(bytes: [UInt8(ascii: "/")] + bytes) }
}

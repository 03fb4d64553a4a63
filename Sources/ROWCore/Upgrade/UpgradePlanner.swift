import NFSProtocol
import SystemPackage

/// Works out what an upgrade makes of a session, by ``UpgradeRules``. Looks at what the session changed, and
/// at the same places in the two images; nothing is changed but that the new image gets to know objects.
///
/// One task uses it. The steps, in this order, are files of this directory: objects, names, rows.
final class UpgradePlanner {
    let session: SessionTree
    let old: OldImage
    let new: NewImage
    let data: SessionData
    /// Later than any time that was told.
    let now: NFS3.Time
    var plan: UpgradePlan
    /// Told how many objects have been looked for in the new image, and how many there are.
    let progress: @Sendable (_ done: Int, _ all: Int) -> Void

    /// By id and, of the same, in the order of their first names' paths.
    var subjects: [NodeID: UpgradeSubject] = [:]
    var order: [NodeID] = []
    /// The session's changes of names, but for names that are again what they were.
    var changes: [EntryName: EntryRecord] = [:]
    /// The new ids of the old image's objects that become the session's own.
    var kept: [NodeID: NodeID] = [:]
    /// Directories of the session's making that the new image has, too, by their ids.
    var merged: [NodeID: ImageRecord] = [:]
    /// Objects of the session's making in whose place is now the new image's.
    var replaced: Set<NodeID> = []
    /// Directories of the new image that are gone with all that is in them, and how many names of other
    /// objects are gone with them.
    var hiddenDirectories: [NodeID: ImageRecord] = [:]
    var hiddenNames: [NodeID: (count: Int, object: ImageRecord)] = [:]
    /// Objects of the new image that are to be put beside the session's.
    var copies: [(of: ImageRecord, name: EntryName, path: SessionPath, conflict: Int)] = []
    /// Where the names are that conflicts are about.
    private var paths: [NodeID: SessionPath] = [.root: SessionPath()]
    private var counterparts: [NodeID: ImageRecord?] = [:]

    /// - Parameter session: what is recorded of it; whole.
    /// - Parameter shadow: where its sparse files are.
    init(
        _ session: SessionTree, shadow: FilePath, from old: OldImage, to new: NewImage,
        now: NFS3.Time, progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }
    ) {
        self.progress = progress
        self.session = session
        self.old = old
        self.new = new
        self.now = now
        data = SessionData(session, shadow: shadow)
        let records = session.records
        plan = UpgradePlan(
            report: UpgradeReport(from: old.name, to: new.image.name),
            nextID: UInt64(clamping: records.meta("next_id")?.integer ?? 0),
            nextCookie: records.meta("next_cookie")?.integer ?? 0)
    }

    /// - Throws: `StateError` and ``ROWError``; the session cannot be upgraded then.
    func run() async throws -> UpgradePlan {
        try await findSubjects()
        try await findKept()
        try await decideNames()
        try await nameKept()
        try await mergeAttributes()
        try await placeCopies()
        try await makeRows()
        plan.report.conflicts.sort {
            ($0.path.bytes, $0.kind.rawValue) < ($1.path.bytes, $1.kind.rawValue)
        }
        return plan
    }

    // MARK: Places

    /// The path of a name in the session.
    func path(_ name: EntryName) throws(StateError) -> SessionPath {
        try path(of: name.directory).appending(name.name)
    }

    /// The path of a directory in the session, which is also its path after the upgrade.
    func path(of directory: NodeID) throws(StateError) -> SessionPath {
        var chain: [(id: NodeID, name: [UInt8])] = []
        var current = directory
        while paths[current] == nil {
            guard chain.count < 1 << 16 else {
                throw StateError(.unreadable, "\(directory) has no path to the root")
            }
            if let name = session.names[current]?.first {
                chain.append((current, name.name))
                current = name.directory
            } else {
                let object = try old.object(current)
                chain.append((current, object.name))
                current = object.parent
            }
        }
        var path = paths[current] ?? SessionPath()
        for step in chain.reversed() {
            path = path.appending(step.name)
            paths[step.id] = path
        }
        return path
    }

    func sorted(_ names: [EntryName]) throws(StateError) -> [EntryName] {
        var found: [(path: SessionPath, name: EntryName)] = []
        for name in names { found.append((try path(name), name)) }
        return found.sorted { $0.path < $1.path }.map(\.name)
    }

    /// The new image's directory that one of the old image's corresponds to.
    func counterpart(ofDirectory id: NodeID) async throws -> ImageRecord? {
        if let known = counterparts[id] { return known }
        var found: ImageRecord?
        if id == .root {
            found = try await new.object(.root)
        } else {
            let object = try old.object(id)
            if let parent = try await counterpart(ofDirectory: object.parent) {
                found = try await new.child(EntryName(directory: parent.id, name: object.name))
            }
        }
        if found?.attributes.type != .directory { found = nil }
        counterparts.updateValue(found, forKey: id)
        return found
    }

    /// The object of the new image that stands for one of the old image's that the session has.
    func counterpart(of id: NodeID) async throws -> ImageRecord? {
        guard try old.object(id).attributes.type == .directory else {
            return subjects[id]?.counterpart
        }
        return try await counterpart(ofDirectory: id)
    }

    /// What a directory of the session is after the upgrade; nil when it is gone.
    func place(of directory: NodeID) async throws -> NodeID? {
        if directory.isSessionMade { return merged[directory]?.id ?? directory }
        return try await counterpart(ofDirectory: directory)?.id ?? kept[directory]
    }

    /// What the new image has under a name of a directory as it is after the upgrade.
    func theirs(_ name: EntryName) async throws -> ImageRecord? {
        name.directory.isSessionMade ? nil : try await new.child(name)
    }

    /// Whether the session has an object of the old image.
    func isAlive(_ id: NodeID) -> Bool {
        session.nodes[id].map { !$0.isRemoved } ?? false
    }

    // MARK: Telling

    func report(
        _ kind: UpgradeConflict.Kind, _ path: SessionPath, aspects: Change.Aspects = []
    ) {
        plan.report.conflicts.append(UpgradeConflict(kind, path.filePath, aspects: aspects))
    }

    /// Reports a conflict about a name, and has main's object put beside it.
    /// - Parameter path: of the name, which is in the directory that `name` has.
    func putBeside(
        _ object: ImageRecord, _ name: EntryName, _ path: SessionPath, _ kind: UpgradeConflict.Kind
    ) {
        copies.append((object, name, path, plan.report.conflicts.count))
        report(kind, path)
    }
}

private func < (lhs: ([UInt8], String), rhs: ([UInt8], String)) -> Bool {
    lhs.0 == rhs.0 ? lhs.1 < rhs.1 : lhs.0.lexicographicallyPrecedes(rhs.0)
}

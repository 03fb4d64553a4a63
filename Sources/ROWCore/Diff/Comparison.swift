import NFSProtocol
import SystemPackage

/// Finds the changes: which names the image has and the session lacks, which it is the other way round
/// for, and which of these belong to the same object.
struct Comparison {
    private let session: SessionRows
    private let image: ImageRows
    /// Names of the image that do not stand for the object any more, by object.
    private var lost: [NodeID: [EntryName]] = [:]
    /// Names that stand for an object only in the session, by object.
    private var gained: [NodeID: [EntryName]] = [:]
    /// Removed and added names that no rename accounts for.
    private var removals: [EntryName: NodeID] = [:]
    private var additions: [EntryName: (object: NodeID, linkTo: [UInt8]?)] = [:]
    private var found: [(path: [UInt8], change: Change)] = []
    private var oldPaths: [NodeID: [UInt8]] = [.root: []]
    private var newPaths: [NodeID: [UInt8]] = [.root: []]

    init(session: SessionRows, image: ImageRows) {
        self.session = session
        self.image = image
    }

    /// - Returns: sorted by path, what was removed first.
    mutating func changes() throws -> [Change] {
        try collectNames()
        try pairNames()
        try reportNames()
        try reportChanged()
        found.sort { one, other in
            if one.path == other.path {
                return one.change.kind == .removed && other.change.kind != .removed
            }
            return one.path.lexicographicallyPrecedes(other.path)
        }
        return found.map(\.change)
    }

    // MARK: Names

    private mutating func collectNames() throws {
        var lost = lost
        var gained = gained
        try session.forEachDelta { name, child in
            guard session.nodes[name.directory]?.isRemoved == false else { return }
            let before = name.directory.isSessionMade ? nil : try image.child(name)
            // A whiteout may stand where main, as it turned out, has nothing.
            guard before != child else { return }
            if let before { lost[before, default: []].append(name) }
            if let child { gained[child, default: []].append(name) }
        }
        // Nothing of the image shows in these; what they held can have moved elsewhere.
        for (id, changed) in session.nodes where !id.isSessionMade {
            guard changed.isRemoved || changed.flags.contains(.opaque),
                changed.node.type == .directory
            else { continue }
            try image.forEachEntry(of: id) { name, child in
                if !changed.isRemoved, try session.hasDelta(name) { return }
                lost[child, default: []].append(name)
            }
        }
        self.lost = lost
        self.gained = gained
    }

    /// Tells renames from names that came or went.
    private mutating func pairNames() throws {
        for id in Set(lost.keys).union(gained.keys) {
            let old = Self.sorted(try (lost[id] ?? []).map { ($0, try oldPath(of: $0)) })
            let new = Self.sorted(try (gained[id] ?? []).map { ($0, try newPath(of: $0)) })
            for (index, pair) in zip(old, new).enumerated() {
                // What else is new about the object is told once.
                var change = try change(.renamed, id, pair.1.path, withData: index == 0)
                change.oldPath = Self.filePath(pair.0.path)
                if index == 0 { change.aspects = try aspects(of: id) }
                found.append((pair.1.path, change))
            }
            for gone in old.dropFirst(new.count) { removals[gone.name] = id }
            let rest = new.dropFirst(old.count)
            guard !rest.isEmpty else { continue }
            var linkTo = try new.first.flatMap { first in
                id.isSessionMade ? nil : try standingName(of: id) ?? first.path
            }
            for came in rest {
                additions[came.name] = (id, linkTo)
                if linkTo == nil { linkTo = came.path }
            }
        }
    }

    private static func sorted(
        _ names: [(name: EntryName, path: [UInt8])]
    ) -> [(name: EntryName, path: [UInt8])] {
        names.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    /// The path of an object of the image by the name by which it was first seen, if that still stands.
    private mutating func standingName(of id: NodeID) throws -> [UInt8]? {
        let name = try image.node(id).name
        return lost[id]?.contains(name) == true ? nil : try newPath(of: name)
    }

    private mutating func reportNames() throws {
        for (name, added) in additions {
            let path = try newPath(of: name)
            var change = try change(
                .added, added.object, path, withData: added.linkTo == nil)
            change.linkTo = added.linkTo.map(Self.filePath)
            if let removed = removals.removeValue(forKey: name) {
                change.kind = .replaced
                change.oldType = try image.node(removed).node.type
                let old = try oldPath(of: name)
                if old != path { change.oldPath = Self.filePath(old) }
            }
            found.append((path, change))
        }
        for (name, id) in removals {
            let path = try oldPath(of: name)
            let type = try image.node(id).node.type
            found.append((path, Change(.removed, Self.filePath(path), type: type)))
        }
    }

    private func change(
        _ kind: Change.Kind, _ id: NodeID, _ path: [UInt8], withData: Bool
    ) throws -> Change {
        guard let changed = session.nodes[id] else {
            throw StateError(.unreadable, "the session has a name but no row of \(id)")
        }
        return Change(
            kind, Self.filePath(path), type: changed.node.type, size: changed.node.size,
            storedBytes: withData ? changed.content?.allocated ?? 0 : 0)
    }

    // MARK: Objects

    /// Objects of the image that kept their names but not their data or attributes.
    private mutating func reportChanged() throws {
        var nameless: [NodeID: Change.Aspects] = [:]
        for (id, changed) in session.nodes where !id.isSessionMade && !changed.isRemoved {
            let isRenamed = lost[id] != nil && gained[id] != nil
            let aspects = isRenamed ? [] : try aspects(of: id)
            guard !aspects.isEmpty else { continue }
            let name = try image.node(id).name
            if id != .root, lost[id]?.contains(name) == true {
                nameless[id] = aspects
            } else {
                try reportChanged(id, aspects, name)
            }
        }
        // The names by which these were first seen are gone. Where no other was ever seen, that one
        // has to do.
        let names = try image.names(of: Set(nameless.keys))
        for (id, aspects) in nameless {
            let standing = names[id]?.first { lost[id]?.contains($0) == false }
            try reportChanged(id, aspects, standing)
        }
    }

    /// - Parameter name: one that the object has in the image and in the session; nil when none is
    ///   known.
    private mutating func reportChanged(
        _ id: NodeID, _ aspects: Change.Aspects, _ name: EntryName?
    ) throws {
        let known = try name ?? image.node(id).name
        let old = id == .root ? [] : try oldPath(of: known)
        let path = id == .root ? [] : name == nil ? old : try newPath(of: known)
        var change = try change(.changed, id, path, withData: true)
        change.aspects = aspects
        if old != path { change.oldPath = Self.filePath(old) }
        found.append((path, change))
    }

    /// What of an object of the image is not as it was.
    private func aspects(of id: NodeID) throws -> Change.Aspects {
        guard let changed = session.nodes[id] else { return [] }
        let now = changed.node
        let before = try image.node(id).node
        var aspects: Change.Aspects = []
        if now.type == .regular {
            let hidesSome = changed.content.map { $0.blocks > 0 || $0.mainValid < before.size }
            if hidesSome == true || now.size != before.size { aspects.insert(.content) }
        }
        if now.mode != before.mode { aspects.insert(.mode) }
        if now.uid != before.uid { aspects.insert(.owner) }
        if now.gid != before.gid { aspects.insert(.group) }
        if now.type != .directory, now.mtime != before.mtime { aspects.insert(.modificationTime) }
        return aspects
    }

    // MARK: Paths

    private static func filePath(_ path: [UInt8]) -> FilePath {
        path.isEmpty ? "/" : FilePath(bytes: path)
    }

    private mutating func oldPath(of name: EntryName) throws -> [UInt8] {
        try Self.path(of: name, &oldPaths) { directory in try image.node(directory).name }
    }

    private mutating func newPath(of name: EntryName) throws -> [UInt8] {
        try Self.path(of: name, &newPaths) { [gained, image] directory in
            // A directory has one name only.
            try gained[directory]?.first ?? image.node(directory).name
        }
    }

    /// - Parameter paths: those of directories that are known already.
    /// - Parameter above: the name of a directory.
    private static func path(
        of name: EntryName, _ paths: inout [NodeID: [UInt8]],
        _ above: (NodeID) throws -> EntryName
    ) throws -> [UInt8] {
        var chain = [name]
        while let last = chain.last, paths[last.directory] == nil {
            guard chain.count < 4096 else {
                throw StateError(.unreadable, "\(name.directory) has no path to the root")
            }
            chain.append(try above(last.directory))
        }
        var path: [UInt8] = []
        for step in chain.reversed() {
            if let known = paths[step.directory] {
                path = known
            } else {
                paths[step.directory] = path
            }
            path += [UInt8(ascii: "/")] + step.name
        }
        return path
    }
}

import NFSProtocol

/// What becomes of each name that the session gave or took away.
extension UpgradePlanner {
    /// A directory comes before what is in it, so that it is known by then whether it was merged.
    func decideNames() async throws {
        for name in try sorted(Array(changes.keys)) {
            guard let change = changes[name], let directory = try await place(of: name.directory)
            else { continue }
            let isOpaque = session.nodes[name.directory]?.flags.contains(.opaque) == true
            let place = EntryName(directory: directory, name: name.name)
            guard let theirs = isOpaque ? nil : try await theirs(place) else {
                if !change.isWhiteout {
                    plan.put(place, try await target(of: change.child), cookie: change.cookie)
                }
                continue
            }
            try await decide(name, change, at: place, theirs)
        }
    }

    /// What an object of the session is after the upgrade.
    private func target(of id: NodeID) async throws -> NodeID? {
        if id.isSessionMade { return id }
        if let own = kept[id] { return own }
        return try await counterpart(of: id)?.id
    }

    private func decide(
        _ name: EntryName, _ change: EntryRecord, at place: EntryName, _ theirs: ImageRecord
    ) async throws {
        var target: NodeID?
        var own = UpgradeRules.OwnName.nothing
        if !change.isWhiteout {
            target = try await self.target(of: change.child)
            if !change.child.isSessionMade, try await counterpart(of: change.child)?.id == theirs.id
            {
                // Both gave this name to the same object; main's version is put beside it elsewhere if
                // the session has one of its own.
                if target != theirs.id { plan.put(place, target, cookie: change.cookie) }
                return
            }
            let isNewDirectory =
                change.child.isSessionMade && session.nodes[change.child]?.isDirectory == true
            own = .object(isNewDirectory: isNewDirectory)
        }
        let base = name.directory.isSessionMade ? nil : try old.child(name)
        let (before, after) = try await compare(base, theirs)
        let gone = if case .removed = before { base } else { nil as NodeID? }
        switch UpgradeRules.outcome(own, before, after) {
        case .theirs: break
        case .hidden, .ours:
            plan.put(place, target, cookie: change.cookie)
            if let gone { try await hide(theirs, gone) }
        case .hiddenBeside:
            plan.put(place, nil)
            putBeside(theirs, place, try path(name), .removedInSession)
            if let gone { try await expose(theirs, gone) }
        case .oursBeside(let kind):
            if try await isEqual(change.child, theirs) {
                replaced.insert(change.child)
                plan.report.merged += 1
                return
            }
            plan.put(place, target, cookie: change.cookie)
            putBeside(theirs, place, try path(name), kind)
            if let gone { try await expose(theirs, gone) }
        case .merged: merged[change.child] = theirs
        }
    }

    private func compare(
        _ base: NodeID?, _ theirs: ImageRecord
    ) async throws -> (UpgradeRules.OldName, UpgradeRules.NewName) {
        let other = UpgradeRules.NewName.other(isDirectory: theirs.attributes.type == .directory)
        guard let base else { return (.none, other) }
        if isAlive(base) {
            return (.elsewhere, try await isSame(base, theirs) ? .same : other)
        }
        let isDirectory = try old.object(base).attributes.type == .directory
        let isChanged = try await hasChanged(base, theirs)
        return (.removed(isDirectory: isDirectory), isChanged ? other : .same)
    }

    /// Whether this is what became of an object that the session has by another name, or is as that was.
    private func isSame(_ base: NodeID, _ theirs: ImageRecord) async throws -> Bool {
        if try await counterpart(of: base)?.id == theirs.id { return true }
        let before = try old.object(base).attributes
        return before.type != .directory && !UpgradeRules.isChanged(before, theirs.attributes)
    }

    /// An object of the old image, and what the new one has in its place.
    private typealias Pair = (was: NodeID, object: ImageRecord)

    /// Whether the new image changed anything of what the session removed.
    private func hasChanged(_ base: NodeID, _ theirs: ImageRecord) async throws -> Bool {
        var pairs: [Pair] = [(base, theirs)]
        while let pair = pairs.popLast() {
            guard try isAsItWas(pair) else { return true }
            guard pair.object.attributes.type == .directory else { continue }
            let entries = try await new.entries(of: pair.object.id)
            guard let inside = try self.pairs(entries, in: pair.was) else { return true }
            for inner in inside {
                if !isAlive(inner.was) {
                    pairs.append(inner)
                } else if try await isSame(inner.was, inner.object) == false {
                    return true
                }
            }
        }
        return false
    }

    private func isAsItWas(_ pair: Pair) throws -> Bool {
        UpgradeRules.isChanged(try old.object(pair.was).attributes, pair.object.attributes)
            == false
    }

    /// - Returns: nil when the new image has a name that the old one had not.
    private func pairs(
        _ entries: [(name: EntryName, ImageRecord)], in directory: NodeID
    ) throws -> [Pair]? {
        var pairs: [Pair] = []
        for (name, object) in entries {
            let place = EntryName(directory: directory, name: name.name)
            guard let was = try old.child(place) else { return nil }
            pairs.append((was, object))
        }
        return pairs
    }

    // MARK: What goes with a name

    /// Takes note of what is gone when a name of the new image is hidden.
    private func hide(_ object: ImageRecord, _ base: NodeID) async throws {
        guard object.attributes.type == .directory else { return }
        hiddenDirectories[object.id] = object
        for (name, child) in try await new.entries(of: object.id) {
            if child.attributes.type != .directory {
                hiddenNames[child.id, default: (0, child)].count += 1
            } else if let was = try old.child(EntryName(directory: base, name: name.name)),
                !isAlive(was)
            {
                try await hide(child, was)
            }
        }
    }

    /// Hides in a directory that is put beside the session's what the session has elsewhere.
    private func expose(_ object: ImageRecord, _ base: NodeID) async throws {
        guard object.attributes.type == .directory,
            try old.object(base).attributes.type == .directory
        else { return }
        for (name, child) in try await new.entries(of: object.id) {
            guard let was = try old.child(EntryName(directory: base, name: name.name)) else {
                continue
            }
            if !isAlive(was) {
                try await expose(child, was)
            } else if try await counterpart(of: was)?.id == child.id {
                plan.put(name, nil)
            }
        }
    }

    /// Whether the session made the same as is in the new image.
    private func isEqual(_ id: NodeID, _ theirs: ImageRecord) async throws -> Bool {
        guard id.isSessionMade, let node = session.nodes[id], session.names[id]?.count == 1 else {
            return false
        }
        let (mine, other) = (node.attributes, theirs.attributes)
        guard mine.type == other.type, mine.mode == other.mode & 0o7777, mine.uid == other.uid,
            mine.gid == other.gid
        else { return false }
        switch mine.type {
        case .directory: return false
        case .fifo, .socket: return true
        case .blockDevice, .characterDevice: return mine.rdev == other.rdev
        case .symbolicLink:
            guard mine.size == other.size else { return false }
            return try await node.target == new.target(theirs.id)
        case .regular:
            guard mine.size == other.size else { return false }
            for range in SessionData.pieces(of: mine.size) {
                let bytes = try await data.bytes(id, range) { _ in [] }
                if try await bytes != new.data(theirs.id, range) { return false }
            }
            return true
        }
    }

    // MARK: Main's copies

    private static let nameMaximum = 255

    /// Gives main's versions of what is in conflict names that nothing has.
    func placeCopies() async throws {
        for copy in copies.sorted(by: { ($0.path, $0.conflict) < ($1.path, $1.conflict) }) {
            var number = 1
            var place: EntryName
            repeat {
                let suffix = number == 1 ? ".main" : ".main-\(number)"
                let stem = copy.name.name.prefix(Self.nameMaximum - suffix.utf8.count)
                place = EntryName(directory: copy.name.directory, name: stem + Array(suffix.utf8))
                number += 1
            } while try await isTaken(place)
            plan.put(place, copy.of.id)
            var path = copy.path
            path.names[path.names.count - 1] = place.name
            plan.report.conflicts[copy.conflict].copy = path.filePath
        }
    }

    private func isTaken(_ name: EntryName) async throws -> Bool {
        if plan.entries[name].map({ !$0.isWhiteout }) == true { return true }
        return try await theirs(name) != nil
    }
}

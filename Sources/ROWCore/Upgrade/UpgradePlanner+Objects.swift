import NFSProtocol

/// Which objects of the two images correspond, and which must become the session's own.
extension UpgradePlanner {
    func findSubjects() async throws {
        for (name, entry) in session.entries where !session.isRemoved(name.directory) {
            // What was moved away and back is where it was.
            let isBack =
                try !entry.isWhiteout && !name.directory.isSessionMade
                && old.child(name) == entry.child
            if !isBack { changes[name] = entry }
        }
        let changed = session.nodes.values.filter { !$0.id.isSessionMade && !$0.isRemoved }
        let names = try old.names(of: changed.map(\.id))
        var keys: [NodeID: SessionPath] = [:]
        for node in changed {
            let subject = try subject(node, names[node.id] ?? [])
            guard try !isNameless(subject) else { continue }
            subjects[node.id] = subject
            keys[node.id] =
                subject.id == .root
                ? SessionPath() : try sorted(subject.standing + subject.given).first.map(path)
        }
        order = subjects.keys.sorted { keys[$0] ?? SessionPath() < keys[$1] ?? SessionPath() }
        var taken: Set<NodeID> = []
        for (index, id) in order.enumerated() {
            progress(index, order.count)
            guard var subject = subjects[id] else { continue }
            if subject.isDirectory {
                subject.counterpart = try await counterpart(ofDirectory: id)
            } else {
                let names = names[id] ?? []
                subject.counterpart = try await candidate(subject, names, taken)
                if let found = subject.counterpart { taken.insert(found.id) }
            }
            subject.outcome = UpgradeRules.outcome(
                subject.facts, base: subject.base, theirs: subject.counterpart?.attributes)
            subjects[id] = subject
        }
    }

    private func subject(
        _ node: NodeRecord, _ names: [EntryName]
    ) throws(StateError) -> UpgradeSubject {
        let base = try old.object(node.id).attributes
        let ours = node.attributes
        let given = (session.names[node.id] ?? []).filter { changes[$0] != nil }
        var facts = UpgradeRules.ObjectFacts(
            hasChangedData: false, hasChangedAttributes: false, isNamed: !given.isEmpty)
        if base.type == .regular {
            let hidesSome = session.files[node.id].map {
                $0.blocks > 0 || $0.mainValid < base.size
            }
            facts.hasChangedData = ours.size != base.size || hidesSome == true
        }
        facts.hasChangedAttributes =
            ours.mode != base.mode & 0o7777 || ours.uid != base.uid || ours.gid != base.gid
            || base.type != .directory && ours.mtime != base.mtime
        return UpgradeSubject(
            id: node.id, base: base, ours: ours,
            standing: try sorted(names.filter(isStanding)), given: try sorted(given), facts: facts)
    }

    private func isStanding(_ name: EntryName) -> Bool {
        let directory = session.nodes[name.directory]
        return changes[name] == nil && directory?.isRemoved != true
            && directory?.flags.contains(.opaque) != true
    }

    /// Whether no name is known that the session has of an object.
    private func isNameless(_ subject: UpgradeSubject) throws(StateError) -> Bool {
        guard subject.id != .root, subject.standing.isEmpty, subject.given.isEmpty else {
            return false
        }
        guard !subject.facts.isChanged else {
            let name = try old.object(subject.id).name
            throw StateError(
                .unreadable,
                "'\(String(decoding: name, as: UTF8.self))' was changed and removed, and has other names "
                    + "in the image that nobody has looked at yet: serve the session on \(old.name), list "
                    + "all directories once (find DIRECTORY >/dev/null), and upgrade it then")
        }
        return true
    }

    /// The object of the new image under a name that the old one's had: one that the session still has,
    /// and one with the same data, if there is a choice.
    private func candidate(
        _ subject: UpgradeSubject, _ names: [EntryName], _ taken: Set<NodeID>
    ) async throws -> ImageRecord? {
        var best: (rank: Int, object: ImageRecord)?
        let others = try old.sorted(Set(names).subtracting(subject.standing))
        for (index, name) in (subject.standing + (subject.given.isEmpty ? [] : others)).enumerated()
        {
            guard let directory = try await counterpart(ofDirectory: name.directory),
                let found = try await new.child(
                    EntryName(directory: directory.id, name: name.name)),
                found.attributes.type == subject.base.type, !taken.contains(found.id)
            else { continue }
            let rank =
                (index < subject.standing.count ? 0 : 2)
                + (UpgradeRules.hasOtherData(subject.base, found.attributes) ? 1 : 0)
            if best.map({ rank < $0.rank }) ?? true { best = (rank, found) }
        }
        return best?.object
    }

    // MARK: What is kept

    /// Gives a number to each object that becomes the session's own, and to directories that are gone from
    /// the new image and must be there for what is in them.
    func findKept() async throws {
        for id in order {
            guard let subject = subjects[id], subject.outcome == .keep else { continue }
            if subject.isDirectory {
                try await keepDirectory(id)
            } else {
                kept[id] = plan.newID()
                guard subject.facts.isChanged else { continue }
                for name in subject.standing { try await keepDirectory(name.directory) }
            }
        }
        for (name, entry) in changes where !entry.isWhiteout {
            try await keepDirectory(name.directory)
        }
    }

    private func keepDirectory(_ directory: NodeID) async throws {
        var current = directory
        while !current.isSessionMade, kept[current] == nil,
            try await counterpart(ofDirectory: current) == nil
        {
            kept[current] = plan.newID()
            if session.names[current]?.contains(where: { changes[$0] != nil }) == true { return }
            current = try old.object(current).parent
        }
    }

    /// Names the objects that are kept by those of their old names that stand, and reports them.
    func nameKept() async throws {
        for id in kept.keys.sorted() {
            if try old.object(id).attributes.type == .directory {
                try await nameKeptDirectory(id)
            } else if let subject = subjects[id] {
                try await nameKept(subject)
            }
        }
    }

    private func nameKeptDirectory(_ id: NodeID) async throws {
        var other: ImageRecord?
        if subjects[id]?.given.isEmpty ?? true {
            let object = try old.object(id)
            guard let above = try await place(of: object.parent) else { return }
            let name = EntryName(directory: above, name: object.name)
            other = try await theirs(name)
            plan.put(name, kept[id])
            if let other { putBeside(other, name, try path(of: id), .changed) }
        }
        if other == nil { report(.removedInMain, try path(of: id)) }
    }

    private func nameKept(_ subject: UpgradeSubject) async throws {
        var names: [(path: SessionPath, place: EntryName)] = []
        var home: (path: SessionPath, place: EntryName)?
        var isReported = false
        for name in subject.facts.isChanged ? subject.standing : [] {
            guard let directory = try await place(of: name.directory) else { continue }
            let place = EntryName(directory: directory, name: name.name)
            let path = try path(name)
            let other = try await theirs(place)
            plan.put(place, kept[subject.id])
            names.append((path, place))
            if let other, other.id == subject.counterpart?.id {
                home = home ?? (path, place)
            } else if let other {
                putBeside(other, place, path, .changed)
                isReported = true
            }
        }
        for name in subject.given {
            guard let directory = try await place(of: name.directory) else { continue }
            names.append((try path(name), EntryName(directory: directory, name: name.name)))
        }
        guard let first = names.min(by: { $0.path < $1.path }) else { return }
        plan.copies[subject.id] = (kept[subject.id] ?? subject.id, first.path.filePath)
        if let counterpart = subject.counterpart {
            let home = home ?? first
            putBeside(counterpart, home.place, home.path, .changed)
        } else if !isReported {
            report(.removedInMain, first.path)
        }
    }

    // MARK: Attributes

    /// Puts the attributes of objects together that are in all three.
    func mergeAttributes() async throws {
        for id in order {
            guard let subject = subjects[id], let theirs = subject.counterpart,
                subject.outcome == .follow || subject.outcome == .carry
            else { continue }
            let merge = UpgradeRules.merge(
                base: subject.base, ours: subject.ours, theirs: theirs.attributes,
                takesData: subject.outcome == .carry)
            if !merge.conflicts.isEmpty {
                report(.attributes, try await shownPath(subject), aspects: merge.conflicts)
            } else if merge.isOfBoth {
                plan.report.merged += 1
            }
            guard merge.isOurs || subject.outcome == .carry else { continue }
            try await touch(theirs)
            plan.nodes[theirs.id]?.take(merge.attributes)
            guard subject.outcome == .carry else { continue }
            plan.carried[id] = theirs.id
            plan.nodes[theirs.id]?.flags.insert(.hasContent)
        }
        for (id, theirs) in merged.sorted(by: { $0.key < $1.key }) {
            guard let ours = session.nodes[id]?.attributes else { continue }
            var attributes = theirs.attributes
            attributes.mode &= 0o7777
            var conflicts: Change.Aspects = []
            if ours.mode != attributes.mode { conflicts.insert(.mode) }
            if ours.uid != attributes.uid { conflicts.insert(.owner) }
            if ours.gid != attributes.gid { conflicts.insert(.group) }
            (attributes.mode, attributes.uid, attributes.gid) = (ours.mode, ours.uid, ours.gid)
            attributes.mtime = max(attributes.mtime, ours.mtime)
            if conflicts.isEmpty {
                plan.report.merged += 1
            } else {
                report(.attributes, try path(of: id), aspects: conflicts)
            }
            try await touch(theirs)
            plan.nodes[theirs.id]?.take(attributes)
        }
    }

    /// The first path by which an object is seen after the upgrade.
    private func shownPath(_ subject: UpgradeSubject) async throws -> SessionPath {
        guard !subject.isDirectory else { return try path(of: subject.id) }
        for name in try sorted(subject.given + subject.standing) {
            if changes[name] != nil { return try path(name) }
            guard let directory = try await place(of: name.directory) else { continue }
            let found = try await theirs(EntryName(directory: directory, name: name.name))
            if found?.id == subject.counterpart?.id { return try path(name) }
        }
        return SessionPath()
    }
}

import NFSProtocol

/// Names: rows of `delta`, and the tree that they make.
extension RecordCheck {
    // MARK: Entries

    mutating func checkEntries() {
        for name in entries.keys.sorted() {
            guard let entry = entries[name] else { continue }
            if nodes[name.directory]?.isDirectory != true {
                report(
                    .entryWithoutDirectory, name.directory,
                    "\(name) is in no directory", repair: "the name is moved aside")
                entries[name] = nil
                // Objects of the session are all given a name; the image's only when they lost theirs.
                if !entry.isWhiteout, !entry.child.isSessionMade, entry.child != .root,
                    nodes[entry.child]?.isRemoved == false
                {
                    give(entry.child, aNameIn: .root)
                }
            } else if entry.isWhiteout {
                if !name.name.canNameObject { dropBadName(name) }
            } else if nodes[entry.child] == nil || entry.child == .root {
                report(
                    .entryWithoutNode, entry.child,
                    "\(name) stands for an object that there is not",
                    repair: "the name is moved aside")
                entries[name] = nil
            } else {
                checkLiving(name, entry)
            }
        }
    }

    private mutating func checkLiving(_ name: EntryName, _ entry: EntryRecord) {
        if nodes[entry.child]?.isRemoved == true {
            report(
                .entryOfRemoved, entry.child,
                "\(name) stands for an object that is marked as removed",
                repair: "it is not removed any more")
            nodes[entry.child]?.flags.remove(.removed)
        }
        guard !name.name.canNameObject else { return }
        dropBadName(name)
        if !entry.child.isSessionMade { give(entry.child, aNameIn: name.directory) }
    }

    /// An object of the session that has no other name gets one with all that are nameless.
    private mutating func dropBadName(_ name: EntryName) {
        report(
            .badName, name.directory, "no object can have the name \(name)",
            repair: "the name is moved aside, and the object gets another")
        entries[name] = nil
    }

    // MARK: Directories

    /// A directory has one name, and a way to the root.
    mutating func checkDirectories() {
        var names: [NodeID: [EntryName]] = [:]
        for (name, entry) in entries where nodes[entry.child]?.isDirectory == true {
            names[entry.child, default: []].append(name)
        }
        for (id, all) in names.sorted(by: { $0.key < $1.key }) {
            let kept = all.sorted().first { $0.directory == nodes[id]?.parent } ?? all.min()
            for name in all.sorted() where name != kept {
                report(
                    .directoryNamedTwice, id, "\(name) is one name too many for a directory",
                    repair: "that name is moved aside")
                entries[name] = nil
            }
            if let kept { checkImageName(of: id, renamedTo: kept) }
        }
        breakCycles()
        checkParents()
    }

    /// A directory of the image that has a name in the session has lost the one in the image.
    private mutating func checkImageName(of id: NodeID, renamedTo name: EntryName) {
        guard !id.isSessionMade, let image, let object = image.object(id) else { return }
        let old = EntryName(directory: object.parent, name: object.name)
        guard entries[old] == nil, nodes[old.directory]?.isRemoved != true else { return }
        if nodes[old.directory] == nil {
            guard let parent = NodeRecord(old.directory, in: image) else { return }
            nodes[old.directory] = parent
        }
        report(
            .directoryNamedTwice, id, "it is \(name), and still \(old), as in the image",
            repair: "the name that the image has is hidden")
        nodes[old.directory]?.flags.insert(.hasDeltas)
        entries[old] = EntryRecord(child: NodeID(rawValue: 0), cookie: 0)
    }

    private mutating func breakCycles() {
        var above: [NodeID: NodeID] = [:]
        var names: [NodeID: EntryName] = [:]
        for (name, entry) in entries where nodes[entry.child]?.isDirectory == true {
            above[entry.child] = name.directory
            names[entry.child] = name
        }
        var reached: Set<NodeID> = [.root]
        for start in above.keys.sorted() {
            var path: [NodeID] = []
            var seen: Set<NodeID> = []
            var current: NodeID? = start
            while let id = current, !reached.contains(id), seen.insert(id).inserted {
                path.append(id)
                current = above[id] ?? image?.object(id)?.parent
            }
            if let id = current, seen.contains(id) {
                let cycle = path.drop { $0 != id }
                let first = cycle.filter { names[$0] != nil }.min() ?? id
                report(
                    .directoryCycle, first, "it lies inside itself",
                    repair: "its name is moved aside, and it gets one in the root directory")
                if let name = names[first] { entries[name] = nil }
                give(first, aNameIn: .root)
                above[first] = .root
            }
            reached.formUnion(path)
        }
    }

    private mutating func checkParents() {
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) {
            guard let node = nodes[entry.child], node.isDirectory, node.parent != name.directory
            else { continue }
            report(
                .wrongParent, entry.child, "it is \(name), but takes \(node.parent) for its parent",
                repair: "its parent is set")
            nodes[entry.child]?.parent = name.directory
        }
        guard let image else { return }
        let named = Set(entries.values.map(\.child))
        for (id, node) in nodes.sorted(by: { $0.key < $1.key })
        where !id.isSessionMade && node.isDirectory && !node.isRemoved && !named.contains(id) {
            // Of an image database that was lost, a parent may have kept its old number.
            guard let object = image.object(id), object.parent != node.parent,
                nodes[node.parent] != nil || image.object(node.parent) != nil
            else { continue }
            report(
                .wrongParent, id, "it takes \(node.parent) for its parent",
                repair: "its parent is that which the image has")
            nodes[id]?.parent = object.parent
        }
    }

    // MARK: Objects without names

    mutating func checkNames() {
        let named = Set(entries.values.map(\.child))
        for id in nodes.keys.sorted() where id.isSessionMade && !named.contains(id) {
            guard let node = nodes[id] else { continue }
            if node.isRemoved {
                report(
                    .nodeWithoutName, id, "it is marked as removed, and its row is still there",
                    repair: "the row is moved aside")
                nodes[id] = nil
                continue
            }
            let parent = nodes[node.parent]
            let home =
                parent?.isDirectory == true && parent?.isRemoved == false
                    && !isBelow(node.parent, id) ? node.parent : .root
            report(
                .nodeWithoutName, id, "no name stands for it",
                repair: "it gets the name \(Self.newName(id)) in \(home)")
            give(id, aNameIn: home)
        }
    }

    private func isBelow(_ id: NodeID, _ directory: NodeID) -> Bool {
        var current = id
        for _ in 0...nodes.count {
            if current == directory { return true }
            guard current != .root, let node = nodes[current] else { return false }
            current = node.parent
        }
        return true
    }

    private static func newName(_ id: NodeID) -> String {
        "lost+found-\(String(id.rawValue, radix: 16))"
    }

    private mutating func give(_ id: NodeID, aNameIn directory: NodeID) {
        if nodes[directory] == nil {
            nodes[directory] =
                image.flatMap { NodeRecord(directory, in: $0) }
                ?? NodeRecord(id: directory, type: .directory, parent: .root)
        }
        nodes[directory]?.flags.insert(.hasDeltas)
        var name = EntryName(directory: directory, name: Array(Self.newName(id).utf8))
        while entries[name].map({ $0.child != id }) ?? false {
            name = EntryName(directory: directory, name: name.name + [UInt8(ascii: "+")])
        }
        entries[name] = EntryRecord(child: id, cookie: takeCookie())
        if nodes[id]?.isDirectory == true { nodes[id]?.parent = directory }
    }

    // MARK: Cookies and link counts

    /// Cookies that entries can ever have got.
    private static let usableCookies =
        SessionStore.possibleCookies.lowerBound...SessionStore.numbersMaximum - 1 << 41

    /// Finds where unused cookies begin.
    mutating func prepareCookies() {
        let range = Self.usableCookies
        let stored = records.meta("next_cookie")?.integer.flatMap { range.contains($0) ? $0 : nil }
        let used = entries.values.map(\.cookie).filter { range.contains($0) }.max()
        nextCookie = max(stored ?? range.lowerBound, (used ?? range.lowerBound - 1) + 1)
    }

    private mutating func takeCookie() -> Int64 {
        nextCookie += 1
        return nextCookie - 1
    }

    mutating func checkCookies() {
        var taken: [NodeID: Set<Int64>] = [:]
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) where !entry.isWhiteout {
            if Self.usableCookies.contains(entry.cookie),
                taken[name.directory, default: []].insert(entry.cookie).inserted
            {
                continue
            }
            report(
                .badCookie, entry.child, "\(name) has a cookie that is another's, or none of ours",
                repair: "it gets a new one; listings under way may repeat the name")
            let cookie = takeCookie()
            entries[name]?.cookie = cookie
        }
    }

    mutating func checkLinkCounts() {
        var counts: [NodeID: Int64] = [:]
        for (name, entry) in entries where !entry.isWhiteout {
            if nodes[entry.child]?.isDirectory == true {
                counts[name.directory, default: 0] += 1
            } else {
                counts[entry.child, default: 0] += 1
            }
        }
        for id in nodes.keys.sorted() where id.isSessionMade {
            guard let node = nodes[id] else { continue }
            let right = counts[id, default: 0] + (node.isDirectory ? 2 : 0)
            guard node.nlink != right else { continue }
            report(
                .wrongLinkCount, id, "its link count is \(node.nlink), and its names make \(right)",
                repair: "the count is set")
            nodes[id]?.nlink = right
        }
    }
}

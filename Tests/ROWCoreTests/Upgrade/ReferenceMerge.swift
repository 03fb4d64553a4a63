import NFSProtocol

@testable import ROWCore

/// The three-way merge of an upgrade once more, over whole trees in memory: nothing here knows of rows,
/// layers or numbers. Objects of `ours` that are of the old image have the same number as in `base`.
struct ReferenceMerge {
    final class Object {
        var attributes: NFS3.Attributes
        var data: [UInt8]
        var target: [UInt8]
        var children: [String: Object] = [:]

        init(_ object: PlainTree.Object) {
            attributes = object.attributes
            data = object.data
            target = object.target
        }
    }

    struct Conflict: Hashable, Comparable, CustomStringConvertible {
        let kind: UpgradeConflict.Kind
        let path: String
        var copy: String?
        var aspects = Change.Aspects()

        var description: String { "\(kind) \(path) \(copy ?? "-") \(aspects)" }

        static func < (lhs: Conflict, rhs: Conflict) -> Bool {
            lhs.description < rhs.description
        }
    }

    private struct Place: Hashable, Comparable {
        let directory: Int
        let path: [String]

        var name: String { path.last ?? "" }

        static func < (lhs: Place, rhs: Place) -> Bool {
            lhs.path.lexicographicallyPrecedes(rhs.path)
        }
    }

    private struct Beside {
        let path: [String]
        let directory: Object
        let theirs: Int?
        let object: Int
        let conflict: Int
    }

    let base: PlainTree
    let ours: PlainTree
    let theirs: PlainTree
    /// Objects of the old image that the session has a record of.
    let touched: Set<Int>

    private(set) var conflicts: [Conflict] = []
    private var theirObjects: [Int: Object] = [:]
    private var ownObjects: [Int: Object] = [:]
    private var oldNames: [Int: [Place]] = [:]
    private var newNames: [Int: [Place]] = [:]
    private var partners: [Int: Int] = [:]
    private var keeps: Set<Int> = []
    private var mergedDirectories: [Int: Int] = [:]
    private var besides: [Beside] = []

    init(base: PlainTree, ours: PlainTree, theirs: PlainTree, touched: Set<Int>) {
        self.base = base
        self.ours = ours
        self.theirs = theirs
        self.touched = touched
    }

    mutating func run() -> Object {
        for id in theirs.objects.keys { theirObjects[id] = Object(theirs[id]) }
        for id in theirs.objects.keys {
            for (name, child) in theirs[id].children {
                theirObjects[id]?.children[name] = theirObjects[child]
            }
        }
        oldNames = Self.names(of: base)
        newNames = Self.names(of: ours)
        findPartners()
        mergeDirectory(PlainTree.root, [])
        nameKept()
        mergeAttributes()
        placeBesides()
        conflicts.sort()
        return theirObjects[PlainTree.root]!
    }

    private static func names(of tree: PlainTree) -> [Int: [Place]] {
        var names: [Int: [Place]] = [:]
        func walk(_ id: Int, _ path: [String]) {
            for (name, child) in tree[id].children {
                names[child, default: []].append(Place(directory: id, path: path + [name]))
                if tree[child].isDirectory { walk(child, path + [name]) }
            }
        }
        walk(PlainTree.root, [])
        return names.mapValues { $0.sorted() }
    }

    // MARK: Facts

    private func isOld(_ id: Int) -> Bool { base.objects[id] != nil }
    private func isAlive(_ id: Int) -> Bool { ours.objects[id] != nil }

    private func hasOtherData(_ one: NFS3.Attributes, _ other: NFS3.Attributes) -> Bool {
        if one.type != other.type { return true }
        if one.type == .directory { return false }
        return one.size != other.size || one.mtime != other.mtime
    }

    private func isChanged(_ one: NFS3.Attributes, _ other: NFS3.Attributes) -> Bool {
        hasOtherData(one, other) || one.mode != other.mode || one.uid != other.uid
            || one.gid != other.gid
    }

    private func hasOwnData(_ id: Int) -> Bool { base[id].data != ours[id].data }

    private func hasOwnAttributes(_ id: Int) -> Bool {
        let (a, b) = (base[id].attributes, ours[id].attributes)
        return a.mode != b.mode || a.uid != b.uid || a.gid != b.gid
            || a.type != .directory && a.mtime != b.mtime
    }

    /// Names that are as in the old image, and names that the session gave.
    private func standing(_ id: Int) -> [Place] {
        (newNames[id] ?? []).filter {
            base.objects[$0.directory]?.children[$0.name] == id
        }
    }

    private func given(_ id: Int) -> [Place] {
        (newNames[id] ?? []).filter { base.objects[$0.directory]?.children[$0.name] != id }
    }

    // MARK: Partners

    private func directoryPartner(_ id: Int) -> Int? {
        if id == PlainTree.root { return id }
        guard let place = oldNames[id]?.first, let above = directoryPartner(place.directory),
            let found = theirs[above].children[place.name], theirs[found].isDirectory
        else { return nil }
        return found
    }

    private func partner(_ id: Int) -> Int? {
        base[id].isDirectory ? directoryPartner(id) : partners[id]
    }

    private mutating func findPartners() {
        let files = base.objects.keys.filter {
            !base[$0].isDirectory && isAlive($0) && touched.contains($0)
        }
        var taken: Set<Int> = []
        for id in files.sorted(by: { newNames[$0]![0] < newNames[$1]![0] }) {
            var choices: [(rank: Int, object: Int)] = []
            for place in oldNames[id] ?? [] {
                // A directory that was moved has other paths for the same names.
                let isStanding = standing(id).contains {
                    $0.directory == place.directory && $0.name == place.name
                }
                if !isStanding && given(id).isEmpty { continue }
                guard let above = directoryPartner(place.directory),
                    let found = theirs[above].children[place.name], !taken.contains(found),
                    theirs[found].attributes.type == base[id].attributes.type
                else { continue }
                let isOther = hasOtherData(base[id].attributes, theirs[found].attributes)
                choices.append(((isStanding ? 0 : 2) + (isOther ? 1 : 0), found))
            }
            guard let best = choices.map(\.rank).min() else { continue }
            let equal = choices.filter { $0.rank == best }.map(\.object)
            partners[id] = equal[0]
            // Of names that the session does not have the first in the old image counts.
            if best < 2, Set(equal).count > 1 {
                partners[id] = firstByOwnPath(id, among: Set(equal))
            }
            if let found = partners[id] { taken.insert(found) }
        }
    }

    private func firstByOwnPath(_ id: Int, among: Set<Int>) -> Int? {
        for place in standing(id) {
            if let above = directoryPartner(place.directory),
                let found = theirs[above].children[place.name], among.contains(found)
            {
                return found
            }
        }
        return among.min()
    }

    // MARK: What is kept

    private func mustKeepFile(_ id: Int) -> Bool {
        guard touched.contains(id) else { return false }
        guard let found = partners[id] else {
            return hasOwnData(id) || hasOwnAttributes(id) || !given(id).isEmpty
        }
        return hasOwnData(id) && hasOtherData(base[id].attributes, theirs[found].attributes)
    }

    private func mustKeepDirectory(_ id: Int) -> Bool {
        guard directoryPartner(id) == nil else { return false }
        if hasOwnAttributes(id) || !given(id).isEmpty { return true }
        return ours[id].children.contains { name, child in
            guard base[id].children[name] == child else { return true }
            return base[child].isDirectory
                ? mustKeepDirectory(child)
                : mustKeepFile(child) && (hasOwnData(child) || hasOwnAttributes(child))
        }
    }

    /// The object of the result that an object of the session is; nil when it is gone.
    private mutating func result(_ id: Int) -> Object? {
        if isOld(id) {
            if base[id].isDirectory {
                if let found = directoryPartner(id) { return theirObjects[found] }
                guard mustKeepDirectory(id) else { return nil }
            } else if !mustKeepFile(id) {
                return partners[id].flatMap { theirObjects[$0] }
            }
            keeps.insert(id)
        } else if let found = mergedDirectories[id] {
            return theirObjects[found]
        }
        if let known = ownObjects[id] { return known }
        let object = Object(ours[id])
        ownObjects[id] = object
        return object
    }

    // MARK: Names

    private mutating func mergeDirectory(_ id: Int, _ path: [String]) {
        guard let object = result(id) else { return }
        let other = isOld(id) ? directoryPartner(id) : mergedDirectories[id]
        let before = isOld(id) ? base[id].children : [:]
        for name in Set(before.keys).union(ours[id].children.keys).sorted() {
            let was = before[name]
            let own = ours[id].children[name]
            guard was != own else { continue }
            let found = other.flatMap { theirs[$0].children[name] }
            if let found {
                decide(object, other, path + [name], was: was, own: own, found: found)
            } else if let own {
                object.children[name] = result(own)
            }
        }
        for (name, child) in ours[id].children.sorted(by: { $0.key < $1.key })
        where ours[child].isDirectory {
            mergeDirectory(child, path + [name])
        }
    }

    private mutating func decide(
        _ object: Object, _ directory: Int?, _ path: [String], was: Int?, own: Int?, found: Int
    ) {
        let name = path.last!
        if let own, isOld(own), partner(own) == found {
            object.children[name] = result(own)
            return
        }
        let isGone = was.map { !isAlive($0) } ?? false
        var isUnchanged = false
        if let was {
            if isGone {
                isUnchanged = !hasChanged(was, found)
            } else {
                isUnchanged =
                    partner(was) == found
                    || !base[was].isDirectory
                        && !isChanged(base[was].attributes, theirs[found].attributes)
            }
        }
        guard let own else {
            if isUnchanged {
                object.children[name] = nil
            } else if isGone {
                object.children[name] = nil
                beside(object, directory, path, found, .removedInSession)
                takeOut(was!, found)
            }
            return
        }
        if isUnchanged {
            object.children[name] = result(own)
            return
        }
        if !isOld(own), ours[own].isDirectory, theirs[found].isDirectory,
            !(isGone && base[was!].isDirectory)
        {
            mergedDirectories[own] = found
            mergeNew(own, found, path)
            return
        }
        if isEqual(own, found) { return }
        object.children[name] = result(own)
        beside(object, directory, path, found, isGone ? .changed : .created)
        if isGone { takeOut(was!, found) }
    }

    private func isEqual(_ own: Int, _ found: Int) -> Bool {
        let (a, b) = (ours[own], theirs[found])
        return !isOld(own) && !a.isDirectory && newNames[own]?.count == 1
            && a.attributes.type == b.attributes.type && a.attributes.mode == b.attributes.mode
            && a.attributes.uid == b.attributes.uid && a.attributes.gid == b.attributes.gid
            && a.data == b.data && a.target == b.target
    }

    private func hasChanged(_ was: Int, _ found: Int) -> Bool {
        if isChanged(base[was].attributes, theirs[found].attributes) { return true }
        guard base[was].isDirectory else { return false }
        return theirs[found].children.contains { name, child in
            guard let before = base[was].children[name] else { return true }
            if !isAlive(before) { return hasChanged(before, child) }
            if partner(before) == child { return false }
            return base[before].isDirectory
                || isChanged(base[before].attributes, theirs[child].attributes)
        }
    }

    /// What the session has elsewhere is not seen in main's copy of a directory that it removed.
    private func takeOut(_ was: Int, _ found: Int) {
        guard base[was].isDirectory, theirs[found].isDirectory else { return }
        for (name, child) in theirs[found].children {
            guard let before = base[was].children[name] else { continue }
            if !isAlive(before) {
                takeOut(before, child)
            } else if partner(before) == child {
                theirObjects[found]?.children[name] = nil
            }
        }
    }

    private mutating func beside(
        _ object: Object, _ directory: Int?, _ path: [String], _ found: Int,
        _ kind: UpgradeConflict.Kind
    ) {
        besides.append(
            Beside(
                path: path, directory: object, theirs: directory, object: found,
                conflict: conflicts.count))
        report(kind, path)
    }

    private mutating func report(
        _ kind: UpgradeConflict.Kind, _ path: [String], _ aspects: Change.Aspects = []
    ) {
        conflicts.append(
            Conflict(kind: kind, path: "/" + path.joined(separator: "/"), aspects: aspects))
    }

    // MARK: Kept objects

    private mutating func nameKept() {
        for id in base.objects.keys.sorted() where isAlive(id) && id != PlainTree.root {
            if base[id].isDirectory {
                guard directoryPartner(id) == nil, mustKeepDirectory(id), let own = result(id),
                    let place = newNames[id]?.first
                else { continue }
                if given(id).isEmpty, let (above, other) = home(place) {
                    above.children[place.name] = own
                    if let found = other.flatMap({ theirs[$0].children[place.name] }) {
                        beside(above, other, place.path, found, .changed)
                        continue
                    }
                }
                report(.removedInMain, place.path)
            } else if mustKeepFile(id), let own = result(id) {
                nameKeptFile(id, own)
            }
        }
    }

    private mutating func home(_ place: Place) -> (Object, Int?)? {
        guard let object = result(place.directory) else { return nil }
        let id = place.directory
        return (object, isOld(id) ? directoryPartner(id) : mergedDirectories[id])
    }

    private mutating func nameKeptFile(_ id: Int, _ own: Object) {
        var first: Place?
        var isReported = false
        let isChangedHere = hasOwnData(id) || hasOwnAttributes(id)
        let stands = isChangedHere ? standing(id) : []
        for place in stands {
            guard let (above, other) = home(place) else { continue }
            above.children[place.name] = own
            guard let found = other.flatMap({ theirs[$0].children[place.name] }) else { continue }
            if found == partners[id] {
                first = first ?? place
            } else {
                beside(above, other, place.path, found, .changed)
                isReported = true
            }
        }
        guard let any = (stands + given(id)).min() else { return }
        if let found = partners[id] {
            let place = first ?? any
            if let (above, other) = home(place) {
                beside(above, other, place.path, found, .changed)
            }
        } else if !isReported {
            report(.removedInMain, any.path)
        }
    }

    // MARK: Attributes

    private mutating func mergeAttributes() {
        for id in base.objects.keys.sorted() where isAlive(id) && touched.contains(id) {
            guard let found = partner(id), base[id].isDirectory || !mustKeepFile(id),
                let object = theirObjects[found]
            else { continue }
            let (a, b, c) = (base[id].attributes, ours[id].attributes, theirs[found].attributes)
            var aspects: Change.Aspects = []
            func field<T: Equatable>(
                _ path: WritableKeyPath<NFS3.Attributes, T>, _ aspect: Change.Aspects
            ) {
                let (was, own, other) = (a[keyPath: path], b[keyPath: path], c[keyPath: path])
                if own == was || own == other { return }
                object.attributes[keyPath: path] = own
                if other != was { aspects.insert(aspect) }
            }
            field(\.mode, .mode)
            field(\.uid, .owner)
            field(\.gid, .group)
            if base[id].isDirectory {
                if b.mtime != a.mtime {
                    object.attributes.mtime = c.mtime == a.mtime ? b.mtime : max(b.mtime, c.mtime)
                }
            } else {
                field(\.mtime, .modificationTime)
            }
            if hasOwnData(id) {
                object.data = ours[id].data
                object.attributes.size = b.size
            }
            if !aspects.isEmpty { report(.attributes, shownPath(id, found), aspects) }
        }
    }

    private func shownPath(_ id: Int, _ found: Int) -> [String] {
        if id == PlainTree.root { return [] }
        for place in newNames[id] ?? [] {
            if base[id].isDirectory { return place.path }
            if base.objects[place.directory]?.children[place.name] != id { return place.path }
            if let above = directoryPartner(place.directory),
                theirs[above].children[place.name] == found
            {
                return place.path
            }
        }
        return []
    }

    private mutating func mergeNew(_ own: Int, _ found: Int, _ path: [String]) {
        let (b, c) = (ours[own].attributes, theirs[found].attributes)
        var aspects: Change.Aspects = []
        if b.mode != c.mode { aspects.insert(.mode) }
        if b.uid != c.uid { aspects.insert(.owner) }
        if b.gid != c.gid { aspects.insert(.group) }
        theirObjects[found]?.attributes.mode = b.mode
        theirObjects[found]?.attributes.uid = b.uid
        theirObjects[found]?.attributes.gid = b.gid
        theirObjects[found]?.attributes.mtime = max(b.mtime, c.mtime)
        if !aspects.isEmpty { report(.attributes, path, aspects) }
    }

    // MARK: Copies

    private mutating func placeBesides() {
        let ordered = besides.enumerated().sorted { one, other in
            one.element.path == other.element.path
                ? one.offset < other.offset
                : one.element.path.lexicographicallyPrecedes(other.element.path)
        }
        for (_, item) in ordered {
            var name = item.path.last! + ".main"
            var number = 2
            while item.directory.children[name] != nil
                || item.theirs.map({ theirs[$0].children[name] != nil }) == true
            {
                name = item.path.last! + ".main-\(number)"
                number += 1
            }
            item.directory.children[name] = theirObjects[item.object]
            let path = item.path.dropLast() + [name]
            conflicts[item.conflict].copy = "/" + path.joined(separator: "/")
        }
    }
}

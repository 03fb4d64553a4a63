import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// After random operations the diff, applied to the image's tree, makes the session's tree, and nothing
/// in it is idle. `ROWFS_SEED=… swift test --filter SessionDiffModelTests` repeats a run.
@Suite struct SessionDiffModelTests {
    @Test(arguments: 0..<12)
    func theDiffAppliedToTheImageIsTheSession(lane: Int) throws {
        let isLong = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil
        var reported = 0
        for episode in 0..<(isLong ? 60 : 6) {
            var random = Randomness(for: UInt64(770_000 + lane * 1000 + episode))
            let note = random.note
            let image = SessionModelTests.image(&random)
            var options = Engine.Options()
            options.limit = lane % 2 == 0 ? 10 : nil
            let count = [15, 60, 300, 1500][lane % 4]
            let simulation = try SessionSimulation(image, random, options)
            simulation.run(count)
            let engine = simulation.engine
            try engine.close()
            let changes = try SessionDiff.read(
                session: FilePath(engine.sessionDirectory), image: FilePath(engine.imageDirectory))
            reported += changes.count
            let session = simulation.model.tree
            do {
                var patch = TreePatch(image: image, session: session)
                try patch.apply(changes)
                try patch.compare()
            } catch {
                let list = changes.map(\.description).joined(separator: "\n  ")
                Issue.record("\(error); lane \(lane), episode \(episode); \(note)\n  \(list)")
            }
        }
        #expect(reported > 0)
    }
}

/// The image's tree on its way to becoming the session's by what the diff says. What new data and
/// attributes are is looked up in the session's tree; what the diff does not mention is not.
struct TreePatch {
    struct Mistake: Error { let text: String }

    private let image: PlainTree
    private let session: PlainTree
    private var tree: PlainTree

    init(image: PlainTree, session: PlainTree) {
        self.image = image
        self.session = session
        tree = image
    }

    private func check(_ isTrue: Bool, _ text: @autoclosure () -> String) throws {
        if !isTrue { throw Mistake(text: text()) }
    }

    private func names(_ path: FilePath) -> [String] {
        path.names.map { String(decoding: $0, as: UTF8.self) }
    }

    private func find(_ path: FilePath, in tree: PlainTree) throws -> Int {
        guard let id = tree.find(names(path)) else { throw Mistake(text: "no \(path)") }
        return id
    }

    mutating func apply(_ changes: [Change]) throws {
        try takeNames(changes)
        for change in changes { try giveName(change) }
        // A linked name may come before the name of which it is another.
        for change in changes {
            guard let linkTo = change.linkTo else { continue }
            try attach(try find(linkTo, in: tree), change.path)
        }
        for change in changes where change.kind == .changed || change.kind == .renamed {
            try takeOver(change)
        }
    }

    /// Takes away the old names, all of which are paths in the image.
    private mutating func takeNames(_ changes: [Change]) throws {
        for change in changes {
            let old: FilePath?
            switch change.kind {
            case .removed: old = change.path
            case .renamed: old = change.oldPath
            case .replaced: old = change.oldPath ?? change.path
            case .added, .changed: old = nil
            }
            guard let old else { continue }
            let id = try find(old, in: image)
            let expected = change.kind == .replaced ? change.oldType : change.type
            try check(image[id].attributes.type == expected, "\(old) is of another type")
            guard let name = names(old).last else { throw Mistake(text: "the root is renamed") }
            let directory = try find(old.removingLastComponent(), in: image)
            try check(tree[directory].children[name] == id, "\(old) was taken twice")
            tree[directory].children[name] = nil
        }
    }

    private mutating func giveName(_ change: Change) throws {
        switch change.kind {
        case .removed: return
        case .renamed:
            guard let old = change.oldPath else { throw Mistake(text: "renamed from nowhere") }
            try attach(try find(old, in: image), change.path)
        case .added, .replaced:
            guard change.linkTo == nil else { return }
            var object = session[try find(change.path, in: session)]
            try check(object.attributes.type == change.type, "\(change.path) is something else")
            try check(object.attributes.size == change.size, "\(change.path) has another size")
            object.children = [:]
            let id = tree.add(object.attributes.type, mode: 0)
            tree[id] = object
            try attach(id, change.path)
        case .changed:
            let old = change.oldPath ?? change.path
            let hasMoved = tree.find(names(change.path)) != image.find(names(old))
            try check(!hasMoved, "\(change.path) was not \(old)")
        }
    }

    private mutating func attach(_ id: Int, _ path: FilePath) throws {
        guard let name = names(path).last else { throw Mistake(text: "a new root") }
        let directory = try find(path.removingLastComponent(), in: tree)
        try check(tree[directory].children[name] == nil, "\(path) is there already")
        tree[directory].children[name] = id
    }

    /// Takes over the aspects that the diff names, each of which must be another than before.
    private mutating func takeOver(_ change: Change) throws {
        try check(
            change.kind == .renamed || !change.aspects.isEmpty, "nothing of \(change.path) changed")
        let id = try find(change.path, in: tree)
        let new = session[try find(change.path, in: session)]
        if change.aspects.contains(.content) {
            tree[id].data = new.data
            tree[id].attributes.size = new.attributes.size
        }
        let before = tree[id].attributes
        if change.aspects.contains(.mode) { tree[id].attributes.mode = new.attributes.mode }
        if change.aspects.contains(.owner) { tree[id].attributes.uid = new.attributes.uid }
        if change.aspects.contains(.group) { tree[id].attributes.gid = new.attributes.gid }
        let wanted = change.aspects.intersection([.mode, .owner, .group])
        var real: Change.Aspects = []
        if before.mode != tree[id].attributes.mode { real.insert(.mode) }
        if before.uid != tree[id].attributes.uid { real.insert(.owner) }
        if before.gid != tree[id].attributes.gid { real.insert(.group) }
        try check(real == wanted, "\(change.path) differs in \(real)")
    }

    /// Whether the tree has become the session's: names, which of them are of one object, types,
    /// attributes and data.
    func compare() throws {
        var counterparts: [Int: Int] = [:]
        var queue: [(path: String, one: Int, other: Int)] = [("", PlainTree.root, PlainTree.root)]
        while let (path, one, other) = queue.popLast() {
            try check(counterparts[one] ?? other == other, "\(path) is linked to something else")
            counterparts[one] = other
            let patched = tree[one]
            let wanted = session[other]
            let (a, b) = (patched.attributes, wanted.attributes)
            try check(
                a.type == b.type && a.mode == b.mode && a.uid == b.uid && a.gid == b.gid,
                "\(path) is \(a) and not \(b)")
            try check(patched.target == wanted.target, "\(path) points elsewhere")
            let isSame = patched.data.withUnsafeBytes { patched in
                wanted.data.withUnsafeBytes { wanted in
                    patched.count == wanted.count
                        && (patched.isEmpty
                            || memcmp(patched.baseAddress!, wanted.baseAddress!, patched.count)
                                == 0)
                }
            }
            try check(isSame, "\(path) has other data")
            try check(
                patched.children.keys.sorted() == wanted.children.keys.sorted(),
                "\(path) holds \(patched.children.keys.sorted())")
            for (name, child) in patched.children {
                if let match = wanted.children[name] {
                    queue.append((path + "/" + name, child, match))
                }
            }
        }
        try check(
            Set(counterparts.values).count == counterparts.count, "two objects became one")
    }
}

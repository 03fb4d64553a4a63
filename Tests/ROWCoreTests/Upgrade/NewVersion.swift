import NFSProtocol

@testable import ROWCore

/// Makes a new version of an image by random changes: to data, attributes, names and types.
struct NewVersion {
    private(set) var tree: PlainTree
    private var random: Randomness
    private var time: UInt32 = 2_000_000

    private static let names = ["a", "b", "c", "d", "e", "f", "a.main", "new"]

    init(of tree: PlainTree, _ random: Randomness) {
        self.tree = tree
        self.random = random
    }

    private mutating func pick<T>(_ values: [T]) -> T { values[random.below(values.count)] }

    private var directories: [Int] { reachable.filter { tree[$0].isDirectory } }

    private var reachable: [Int] {
        var found: [Int] = []
        var queue = [PlainTree.root]
        while let id = queue.popLast() {
            guard !found.contains(id) else { continue }
            found.append(id)
            queue += tree[id].children.sorted { $0.key < $1.key }.map(\.value)
        }
        return found.sorted()
    }

    /// - Parameter session: the session's tree, some of whose new objects come up here, too.
    mutating func change(_ count: Int, session: PlainTree) {
        for _ in 0..<count { changeOnce(session) }
    }

    private mutating func changeOnce(_ session: PlainTree) {
        let files = reachable.filter { tree[$0].attributes.type == .regular }
        switch random.below(16) {
        case 0..<4 where !files.isEmpty: rewrite(pick(files))
        case 4..<6:
            let id = pick(reachable)
            switch random.below(3) {
            case 0: tree[id].attributes.mode = pick([0o644, 0o755, 0o600, 0o2755, 0o777])
            case 1: tree[id].attributes.uid = pick([0, 1000, 2000])
            default: tree[id].attributes.gid = pick([0, 100, 200])
            }
        case 6..<9: remove(pick(directories), named())
        case 9..<11: make(pick(directories), named())
        case 11..<12 where !files.isEmpty:
            let (file, directory, name) = (pick(files), pick(directories), named())
            remove(directory, name)
            if tree.objects[file] != nil, tree.objects[directory] != nil,
                reachable.contains(directory), reachable.contains(file)
            {
                tree.link(file, directory, name)
            }
        default: takeOver(session)
        }
    }

    private mutating func named() -> String { pick(Self.names) }

    private mutating func rewrite(_ id: Int) {
        let from = random.below(20_000)
        let count = random.below(2) == 0 ? tree[id].data.count : random.below(9000)
        tree[id].data = Array(OperationGenerator.bytes[from..<(from + min(count, 40_000))])
        tree[id].attributes.size = UInt64(tree[id].data.count)
        stamp(id)
    }

    private mutating func stamp(_ id: Int) {
        time += 1
        tree[id].attributes.mtime = NFS3.Time(seconds: time, nanoseconds: 9)
    }

    private mutating func remove(_ directory: Int, _ name: String) {
        guard let id = tree[directory].children.removeValue(forKey: name) else { return }
        if tree[id].isDirectory {
            for child in tree[id].children.keys.sorted() { remove(id, child) }
            tree.objects[id] = nil
            if tree[directory].attributes.nlink > 2 { tree[directory].attributes.nlink -= 1 }
        } else {
            tree[id].attributes.nlink -= 1
            if tree[id].attributes.nlink == 0 { tree.objects[id] = nil }
        }
    }

    private mutating func make(_ directory: Int, _ name: String) {
        remove(directory, name)
        let type: NFS3.FileType = pick([.regular, .regular, .directory, .symbolicLink, .fifo])
        let data = Array(OperationGenerator.bytes[..<random.below(5000)])
        let id = tree.add(
            type, mode: type == .directory ? 0o755 : 0o644, data: type == .regular ? data : [],
            target: type == .symbolicLink ? Array("new".utf8) : [])
        tree.link(id, directory, name)
        stamp(id)
        if type == .directory, random.below(2) == 0 { make(id, named()) }
    }

    /// Something that the session made is now in the image at the same path.
    private mutating func takeOver(_ session: PlainTree) {
        let parents = session.objects.keys.sorted().filter { session[$0].isDirectory }
        let parent = pick(parents)
        guard let path = path(of: parent, in: session), let directory = tree.find(path),
            tree[directory].isDirectory, !session[parent].children.isEmpty
        else { return }
        let name = pick(session[parent].children.keys.sorted())
        guard let child = session[parent].children[name] else { return }
        let mine = session[child]
        remove(directory, name)
        let id = tree.add(
            mine.attributes.type, mode: mine.attributes.mode, uid: mine.attributes.uid,
            gid: mine.attributes.gid, data: mine.data, target: mine.target)
        tree.link(id, directory, name)
        stamp(id)
        if random.below(4) == 0, mine.attributes.type == .regular { rewrite(id) }
    }

    private func path(of id: Int, in tree: PlainTree) -> [String]? {
        var names: [String] = []
        var current = id
        while current != PlainTree.root {
            let parent = tree[current].parent
            guard let name = tree.objects[parent]?.children.first(where: { $0.value == current })
            else { return nil }
            names.append(name.key)
            current = parent
        }
        return names.reversed()
    }
}

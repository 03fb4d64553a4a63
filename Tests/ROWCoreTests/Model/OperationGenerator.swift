import NFSProtocol

@testable import ROWCore

/// Picks what is done next, and to what.
struct OperationGenerator {
    var random: Randomness
    /// Bytes that writes are cut from.
    private let pool: [UInt8]

    private static let names = ["a", "b", "c", "d", "e", "f"]
    private static let sizeMaximum = 40_000
    private static let users = [
        Credential(uid: 1000, gid: 100, groups: [200]), Credential(uid: 2000, gid: 200),
    ]

    init(_ random: Randomness) {
        self.random = random
        pool = Self.bytes
    }

    /// 64 KiB in which no two places look alike.
    static let bytes: [UInt8] = {
        var words = Randomness(seed: 1)
        return (0..<8192).flatMap { _ in withUnsafeBytes(of: words.next()) { Array($0) } }
    }()

    mutating func chance(_ one: Int) -> Bool { random.below(one) == 0 }

    mutating func pick<T>(_ values: [T]) -> T { values[random.below(values.count)] }

    mutating func who() -> Credential { chance(2) ? .root : pick(Self.users) }

    /// A name in a directory: one that it has, or any.
    private mutating func name(_ tree: PlainTree, _ directory: Int) -> String {
        let names = tree[directory].children.keys.sorted()
        return names.isEmpty || chance(3) ? pick(Self.names) : pick(names)
    }

    private mutating func mode() -> UInt32 {
        pick([0o644, 0o600, 0o666, 0o755, 0o777, 0o6755, 0o2644, 0o4711, 0o7777, 0])
    }

    private mutating func directoryMode() -> UInt32 {
        pick([0o777, 0o777, 0o755, 0o1777, 0o2775, 0o2777, 0o700, 0o3777])
    }

    /// As often short as long, and as often at a block's edge as not.
    private mutating func size(_ current: Int) -> Int {
        switch random.below(6) {
        case 0: 0
        case 1: random.below(current + 1)
        case 2: random.below(current + 1) / 512 * 512
        case 3: random.below(Self.sizeMaximum)
        case 4: min(current + random.below(5000), Self.sizeMaximum)
        default: random.below(Self.sizeMaximum) / 4096 * 4096
        }
    }

    private mutating func newAttributes(_ object: PlainTree.Object) -> NFS3.SetAttributes {
        var new = NFS3.SetAttributes()
        switch random.below(8) {
        case 0, 1: new.mode = object.isDirectory ? directoryMode() : mode()
        case 2: new.uid = pick([0, 1000, 2000, object.attributes.uid])
        case 3: new.gid = pick([0, 100, 200, object.attributes.gid])
        case 4: new.mtime = .serverTime
        case 5:
            let seconds = UInt32(random.below(9999))
            new.mtime = .clientTime(NFS3.Time(seconds: seconds, nanoseconds: 1))
        default: new.size = UInt64(size(object.data.count))
        }
        if chance(8) { new.mode = mode() }
        return new
    }

    mutating func next(_ tree: PlainTree) -> Operation {
        let all = tree.objects.keys.sorted()
        let directories = all.filter { tree[$0].isDirectory }
        let directory = pick(directories)
        let object = pick(all)
        let files = all.filter { tree[$0].attributes.type == .regular }
        let file = files.isEmpty || chance(40) ? object : pick(files)
        let isCrowded = all.count > 60
        switch random.below(100) {
        case 0..<6:
            let name = chance(8) ? pick([".", ".."]) : name(tree, directory)
            return .lookup(chance(20) ? object : directory, name)
        case 6..<14: return isCrowded ? removal(tree, directory) : creation(tree, directory)
        case 14..<17:
            guard !isCrowded else { return removal(tree, directory) }
            return .mkdir(directory, name(tree, directory), directoryMode())
        case 17..<19:
            return .symlink(directory, name(tree, directory), pick(["a", "../b", "/x/y"]))
        case 19..<21:
            let type: NFS3.FileType = pick([.fifo, .socket, .characterDevice])
            return .mknod(directory, name(tree, directory), type, mode())
        case 21..<25: return .link(object, directory, name(tree, directory))
        case 25..<32: return removal(tree, directory)
        case 32..<40:
            let to = chance(2) ? directory : pick(directories)
            return .rename(directory, name(tree, directory), to, name(tree, to))
        case 40..<50:
            let subject = chance(3) ? object : file
            return .setattr(subject, newAttributes(tree[subject]))
        case 50..<72: return write(tree, file)
        case 72..<76: return .commit(file)
        case 76..<93:
            let size = tree[file].data.count
            return .read(file, offset: random.below(size + 100), count: random.below(size + 5000))
        case 93..<96: return .readlink(object)
        default: return .access(object)
        }
    }

    private mutating func creation(_ tree: PlainTree, _ directory: Int) -> Operation {
        var new = NFS3.SetAttributes(mode: mode())
        if chance(3) { new.size = UInt64(chance(2) ? 0 : random.below(20_000)) }
        let how: NFS3.CreateMode =
            switch random.below(4) {
            case 0: .guarded(new)
            case 1: .exclusive(UInt64(random.below(3)))
            default: .unchecked(new)
            }
        return .create(directory, name(tree, directory), how)
    }

    private mutating func removal(_ tree: PlainTree, _ directory: Int) -> Operation {
        let name = name(tree, directory)
        let isDirectory = tree[directory].children[name].map { tree[$0].isDirectory } ?? false
        return isDirectory != chance(10) ? .rmdir(directory, name) : .remove(directory, name)
    }

    private mutating func write(_ tree: PlainTree, _ file: Int) -> Operation {
        let size = tree[file].data.count
        let offset = chance(3) ? random.below(Self.sizeMaximum) : random.below(size + 1)
        let isAligned = chance(3)
        let start = isAligned ? offset / 512 * 512 : offset
        var count = chance(3) ? random.below(200) : random.below(9000)
        if isAligned { count = count / 512 * 512 }
        let from = random.below(pool.count - count)
        return .write(
            file, offset: start, pool[from..<(from + count)],
            pick([.unstable, .unstable, .dataSync, .fileSync]))
    }
}

import NFSProtocol

/// The in-memory tree of a ``SimulatedNFSServer``.
public struct SimulatedTree: Sendable {
    /// What a tree is made from. Names are kept in the order given.
    public indirect enum Item: Sendable {
        case file([UInt8])
        case directory([(name: String, item: Item)])
        case symlink(String)
        /// Another name of a file that comes before it in the same directory.
        case sameAs(String)

        public static func file(_ text: String) -> Item { .file(Array(text.utf8)) }
    }

    struct Object {
        var attributes: NFS3.Attributes
        var content: Content
    }

    enum Content {
        case file([UInt8])
        case directory(entries: [(name: [UInt8], id: UInt64)], parent: UInt64)
        case symlink([UInt8])
    }

    /// A small tree with one object of each kind, an empty file and a file of 300,000 bytes.
    public static let sample = Item.directory([
        ("hello", .file("hello, world\n")),
        ("empty", .file("")),
        ("large", .file(largeFile)),
        (
            "directory",
            .directory((0..<40).map { ("file\($0)", .file("this is file \($0)\n")) })
        ),
        ("link", .symlink("directory/file7")),
    ])

    /// The bytes of "large" in ``sample``.
    public static let largeFile = (0..<300_000).map {
        UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8)
    }

    static let rootID: UInt64 = 1
    static let fsid: UInt64 = 0x5349_4d00

    private(set) var objects: [UInt64: Object] = [:]
    private var clock: UInt32 = 1_000_000
    private var nextID = Self.rootID
    private let fileidOffset: UInt64

    init(_ root: Item, fileidOffset: UInt64 = 0) {
        self.fileidOffset = fileidOffset
        _ = add(root, parent: Self.rootID)
    }

    /// The object at a path below the root, such as "directory/file1"; the root itself for "".
    func id(at path: some Collection<UInt8>) -> UInt64? {
        var id = Self.rootID
        for name in path.split(separator: UInt8(ascii: "/")) {
            guard case .directory(let entries, _)? = objects[id]?.content,
                let entry = entries.first(where: { $0.name.elementsEqual(name) })
            else { return nil }
            id = entry.id
        }
        return id
    }

    /// Puts other bytes into a file: size, mtime and ctime change.
    mutating func change(_ id: UInt64, to bytes: [UInt8]) {
        clock += 1
        let now = NFS3.Time(seconds: clock, nanoseconds: 0)
        objects[id]?.content = .file(bytes)
        objects[id]?.attributes.size = UInt64(bytes.count)
        objects[id]?.attributes.used = UInt64(bytes.count)
        objects[id]?.attributes.mtime = now
        objects[id]?.attributes.ctime = now
    }

    /// Puts other bytes of the same number into a file, without a trace in its attributes.
    mutating func damage(_ id: UInt64, to bytes: [UInt8]) { objects[id]?.content = .file(bytes) }

    /// Changes nothing but an object's ctime.
    mutating func touch(_ id: UInt64) {
        clock += 1
        objects[id]?.attributes.ctime = NFS3.Time(seconds: clock, nanoseconds: 0)
    }

    /// Forgets an object: its handles are stale. Its name stays.
    mutating func forget(_ id: UInt64) { objects[id] = nil }

    /// Changes the entries of a directory.
    mutating func change(
        _ directory: UInt64, _ body: (inout [(name: [UInt8], id: UInt64)]) -> Void
    ) {
        guard case .directory(var entries, let parent)? = objects[directory]?.content else {
            return
        }
        body(&entries)
        objects[directory]?.content = .directory(entries: entries, parent: parent)
    }

    mutating func setMode(_ mode: UInt32?, of id: UInt64) {
        if let mode { objects[id]?.attributes.mode = mode }
    }

    mutating func add(_ item: Item, parent: UInt64) -> UInt64 {
        let id = nextID
        nextID += 1
        let now = NFS3.Time(seconds: clock, nanoseconds: 0)
        var attributes = NFS3.Attributes(
            type: .regular, mode: 0o644, nlink: 1, uid: 0, gid: 0, size: 0, used: 0,
            rdev: NFS3.Device(major: 0, minor: 0), fsid: Self.fsid, fileid: id + fileidOffset,
            atime: now,
            mtime: now, ctime: now)
        switch item {
        case .file(let bytes):
            attributes.size = UInt64(bytes.count)
            attributes.used = attributes.size
            objects[id] = Object(attributes: attributes, content: .file(bytes))
        case .symlink(let target):
            attributes.type = .symbolicLink
            attributes.mode = 0o777
            attributes.size = UInt64(target.utf8.count)
            objects[id] = Object(attributes: attributes, content: .symlink(Array(target.utf8)))
        case .sameAs: preconditionFailure("only in a directory, after what it names")
        case .directory(let items):
            attributes.type = .directory
            attributes.mode = 0o755
            attributes.size = 4096
            // The place is taken before the children take theirs.
            objects[id] = Object(
                attributes: attributes, content: .directory(entries: [], parent: parent))
            var entries: [(name: [UInt8], id: UInt64)] = []
            for (name, child) in items {
                if case .sameAs(let other) = child {
                    guard let id = entries.first(where: { $0.name == Array(other.utf8) })?.id else {
                        preconditionFailure("there is no \(other) before \(name)")
                    }
                    objects[id]?.attributes.nlink += 1
                    entries.append((Array(name.utf8), id))
                    continue
                }
                entries.append((Array(name.utf8), add(child, parent: id)))
                if case .directory = child { attributes.nlink += 1 }
            }
            attributes.nlink += 1
            objects[id] = Object(
                attributes: attributes, content: .directory(entries: entries, parent: parent))
        }
        return id
    }
}

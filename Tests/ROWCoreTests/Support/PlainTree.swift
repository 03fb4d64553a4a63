import NFSProtocol

@testable import ROWCore

/// A file system in memory that does what is asked without any checks: the tree that a test's main
/// serves, and what a model of a session is kept in.
struct PlainTree {
    struct Object {
        /// Times, fsid, fileid and used mean nothing here, except that main reports them.
        var attributes: NFS3.Attributes
        var data: [UInt8] = []
        var target: [UInt8] = []
        var children: [String: Int] = [:]
        var parent = PlainTree.root
        var verifier: UInt64?

        var isDirectory: Bool { attributes.type == .directory }
    }

    static let root = 1

    var objects: [Int: Object] = [:]
    /// Never used before, so that every object has a number of its own.
    private(set) var next = root

    init(rootMode: UInt32 = 0o755) {
        _ = add(.directory, mode: rootMode)
    }

    subscript(id: Int) -> Object {
        get {
            guard let object = objects[id] else { preconditionFailure("no object \(id)") }
            return object
        }
        set { objects[id] = newValue }
    }

    /// A new object without a name.
    mutating func add(
        _ type: NFS3.FileType, mode: UInt32, uid: UInt32 = 0, gid: UInt32 = 0,
        data: [UInt8] = [], target: [UInt8] = []
    ) -> Int {
        let isDirectory = type == .directory
        let id = next
        next += 1
        let time = NFS3.Time(seconds: 1_000_000 + UInt32(id), nanoseconds: 5)
        objects[id] = Object(
            attributes: NFS3.Attributes(
                type: type, mode: mode, nlink: isDirectory ? 2 : 0, uid: uid, gid: gid,
                size: isDirectory ? 4096 : UInt64(data.count + target.count),
                used: UInt64(data.count), rdev: NFS3.Device(major: 0, minor: 0), fsid: 77,
                fileid: UInt64(id), atime: time, mtime: time, ctime: time),
            data: data, target: target)
        return id
    }

    /// Gives an object a name.
    mutating func link(_ id: Int, _ directory: Int, _ name: String) {
        self[directory].children[name] = id
        if self[id].isDirectory {
            self[id].parent = directory
            if self[directory].attributes.nlink >= 2 { self[directory].attributes.nlink += 1 }
        } else {
            self[id].attributes.nlink += 1
        }
    }

    /// A new object at a path whose directories exist.
    @discardableResult
    mutating func make(
        _ path: String, _ type: NFS3.FileType = .regular, mode: UInt32? = nil, uid: UInt32 = 0,
        gid: UInt32 = 0, data: [UInt8] = [], target: String = ""
    ) -> Int {
        let id = add(
            type, mode: mode ?? (type == .directory ? 0o755 : 0o644), uid: uid, gid: gid,
            data: data, target: Array(target.utf8))
        hardLink(id, path)
        return id
    }

    /// One more name for an object.
    mutating func hardLink(_ id: Int, _ path: String) {
        let parts = path.split(separator: "/").map(String.init)
        guard let name = parts.last, let parent = find(parts.dropLast()) else {
            preconditionFailure("no directory for \(path)")
        }
        link(id, parent, name)
    }

    func find(_ names: some Sequence<String>) -> Int? {
        var id = Self.root
        for name in names {
            guard let child = objects[id]?.children[name] else { return nil }
            id = child
        }
        return id
    }

    func find(_ path: String) -> Int? { find(path.split(separator: "/").map(String.init)) }
}

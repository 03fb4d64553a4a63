import NFSProtocol
import SystemPackage

/// What image.sqlite says, for the check of a session that was made on it. Read only.
final class ImageFacts {
    let directory: FilePath
    let source: String
    let epoch: Int64
    let generation: Int64
    private let db: RawDatabase
    private var known: [NodeID: Object?] = [:]

    /// An object as the image has it.
    struct Object {
        let parent: NodeID
        let name: [UInt8]
        let type: Int64
        let mode: Int64
        let nlink: Int64
        let uid: Int64
        let gid: Int64
        let size: UInt64
        let times: [Int64]
    }

    /// - Returns: nil when the directory has no database of an image that can be read.
    init?(_ directory: FilePath) {
        guard let db = try? RawDatabase(path: directory.appending("image.sqlite").string),
            let rows = try? db.rows("SELECT key, value FROM meta")
        else { return nil }
        var meta: [String: Cell] = [:]
        for row in rows { row[0].text.map { meta[$0] = row[1] } }
        guard let source = meta["source"]?.text, let epoch = meta["epoch"]?.integer else {
            return nil
        }
        self.directory = directory
        self.source = source
        self.epoch = epoch
        generation = meta["generation"]?.integer ?? 0
        self.db = db
    }

    func object(_ id: NodeID) -> Object? {
        if let known = known[id] { return known }
        let sql = """
            SELECT parent, name, type, mode, nlink, uid, gid, size, atime, mtime, ctime
            FROM node WHERE id = ?
            """
        var found: Object?
        if let row = try? db.rows(sql, [id.row]).first, let name = row[1].blob {
            let numbers = (row[..<1] + row[2...]).compactMap(\.integer)
            if numbers.count == 10 {
                found = Object(
                    parent: NodeID(row: numbers[0]), name: name, type: numbers[1],
                    mode: numbers[2], nlink: numbers[3], uid: numbers[4], gid: numbers[5],
                    size: UInt64(bitPattern: numbers[6]), times: Array(numbers[7...]))
            }
        }
        known[id] = .some(found)
        return found
    }

    /// The path of an object in the image, without a leading slash.
    func path(_ id: NodeID) -> [UInt8]? {
        var names: [[UInt8]] = []
        var current = id
        while current != .root {
            guard let object = object(current), names.count < 4096 else { return nil }
            names.append(object.name)
            current = object.parent
        }
        return Array(names.reversed().joined(separator: [UInt8(ascii: "/")]))
    }
}

extension NodeRecord {
    /// The row of an object that is as the image has it.
    init?(_ id: NodeID, in image: ImageFacts) {
        guard let object = image.object(id), let path = image.path(id) else { return nil }
        self.init(id: id, type: .regular, parent: object.parent)
        type = object.type
        mode = object.mode & 0o7777
        nlink = object.nlink
        uid = object.uid
        gid = object.gid
        size = object.size
        mainPath = path
        (atime, mtime, ctime) = (object.times[0], object.times[1], object.times[2])
    }
}

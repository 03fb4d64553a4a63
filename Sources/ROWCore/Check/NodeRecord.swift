import Foundation
import NFSProtocol

/// A row of `node`, with numbers as they are stored: a check must be able to hold what makes no sense.
struct NodeRecord: Equatable {
    var id: NodeID
    var flags: Node.Flags
    var parent: NodeID
    var verifier: Int64?
    var target: [UInt8]?
    var mainPath: [UInt8]?
    var type: Int64
    var mode: Int64
    var nlink: Int64
    var uid: Int64
    var gid: Int64
    var size: UInt64
    var used: Int64
    var major: Int64
    var minor: Int64
    var atime: Int64
    var mtime: Int64
    var ctime: Int64

    /// - Parameter row: the columns of ``SessionTable/node``; nil when one has a value of another kind.
    init?(_ row: [Cell]) {
        let texts = row[3...5]
        let numbers = (row[..<3] + row[6...]).compactMap(\.integer)
        guard numbers.count == 15, NodeID(row: numbers[0]).isPossible,
            texts[3].isNull || texts[3].integer != nil,
            texts[4...5].allSatisfy({ $0.isNull || $0.blob != nil })
        else { return nil }
        id = NodeID(row: numbers[0])
        flags = Node.Flags(rawValue: numbers[1])
        parent = NodeID(row: numbers[2])
        verifier = texts[3].integer
        target = texts[4].blob
        mainPath = texts[5].blob
        type = numbers[3]
        mode = numbers[4]
        nlink = numbers[5]
        uid = numbers[6]
        gid = numbers[7]
        size = UInt64(bitPattern: numbers[8])
        used = numbers[9]
        major = numbers[10]
        minor = numbers[11]
        atime = numbers[12]
        mtime = numbers[13]
        ctime = numbers[14]
    }

    /// A row in the place of one that is lost: root's, and open to nobody else.
    init(id: NodeID, type: NFS3.FileType, parent: NodeID) {
        let isDirectory = type == .directory
        let now = NFS3.Time.now().row
        self.id = id
        self.parent = parent
        flags = .changed
        self.type = Int64(type.rawValue)
        mode = id == .root ? 0o755 : isDirectory ? 0o700 : 0o600
        nlink = isDirectory ? 2 : 1
        uid = 0
        gid = 0
        size = isDirectory ? 4096 : 0
        used = 0
        major = 0
        minor = 0
        atime = now
        mtime = now
        ctime = now
    }

    var row: [Cell] {
        [
            .integer(id.row), .integer(flags.rawValue), .integer(parent.row),
            verifier.map { .integer($0) } ?? .null, target.map { .blob($0) } ?? .null,
            mainPath.map { .blob($0) } ?? .null, .integer(type), .integer(mode), .integer(nlink),
            .integer(uid), .integer(gid), .integer(Int64(bitPattern: size)), .integer(used),
            .integer(major), .integer(minor), .integer(atime), .integer(mtime), .integer(ctime),
        ]
    }

    var fileType: NFS3.FileType? { UInt32(exactly: type).flatMap(NFS3.FileType.init(rawValue:)) }
    var isDirectory: Bool { fileType == .directory }
    var isRegular: Bool { fileType == .regular }
    var isRemoved: Bool { flags.contains(.removed) }
}

/// The rows of `content`, `presence` and `partial` of one file.
struct FileRecord: Equatable {
    /// Nil when the row of `content` is not there.
    var content: Content?
    /// Blobs by page.
    var pages: [UInt64: [UInt8]] = [:]
    /// Blobs by block.
    var partial: [UInt64: [UInt8]] = [:]

    struct Content: Equatable {
        var mainValid: UInt64
        var blocks: Int64
        var allocated: Int64
    }
}

/// A row of `delta`.
struct EntryRecord: Equatable {
    /// 0: a whiteout.
    var child: NodeID
    var cookie: Int64

    var isWhiteout: Bool { child.rawValue == 0 }
}

extension NodeID {
    /// Whether an object can ever have got this id.
    var isPossible: Bool { row > 0 && row <= SessionStore.numbersMaximum - 1 << 41 }
}

extension EntryName: Comparable {
    static func < (lhs: EntryName, rhs: EntryName) -> Bool {
        lhs.directory == rhs.directory
            ? lhs.name.lexicographicallyPrecedes(rhs.name) : lhs.directory < rhs.directory
    }
}

extension EntryName: CustomStringConvertible {
    /// For people; a name's odd bytes are escaped.
    var description: String {
        let text = String(decoding: name, as: UTF8.self).unicodeScalars.map { scalar in
            scalar.properties.generalCategory == .control || scalar == "\\"
                ? scalar.escaped(asASCII: true) : String(scalar)
        }.joined()
        return "'\(text)' in \(directory)"
    }
}

import CLinux
import Glibc
import SystemPackage

/// What lies in a session's shadow directory.
struct ShadowFacts {
    /// Sizes in bytes of the files that hold changed data, by what they belong to.
    var files: [LayerID: UInt64] = [:]
    /// Names that are not of the session's making.
    var foreign: [FilePath] = []
    private var nodes: Set<NodeID> = []

    /// Whether there is anything of an object.
    func has(_ id: NodeID) -> Bool { nodes.contains(id) }

    /// Takes for granted that everything on record is there, for a shadow that cannot be looked at.
    mutating func assume(_ records: SessionRecords) {
        let blockSize = UInt64(clamping: records.meta("block_size")?.integer ?? 0)
        guard LayerMap.isValid(blockSize: blockSize) else { return }
        var ends: [NodeID: UInt64] = [:]
        for node in records[.node].values.compactMap(NodeRecord.init) {
            ends[node.id] = min(node.size, LayerMap.sizeMaximum).roundedUp(to: blockSize)
        }
        for row in records[.content].values {
            guard let node = row[0].integer.map(NodeID.init(row:)), let layer = row[1].integer,
                let end = ends[node]
            else { continue }
            files[LayerID(node: node, layer: layer)] = end
            nodes.insert(node)
        }
    }

    /// - Throws: the listing's error; a directory that is missing holds nothing.
    init(_ directory: FilePath) throws(Errno) {
        for name in try Self.names(in: directory) {
            var stat = clinux_stat()
            let code = directory.pushing(name).withPlatformString {
                clinux_fstatat(AT_FDCWD, $0, AT_SYMLINK_NOFOLLOW, &stat)
            }
            guard code == 0 else { throw Errno(rawValue: -code) }
            if let id = LayerID(fileName: name.string), stat.type == S_IFREG {
                files[id] = stat.size
                nodes.insert(id.node)
            } else {
                foreign.append(name)
            }
        }
        foreign.sort { $0.string < $1.string }
    }

    /// The names in a directory, but for the dots.
    static func names(in directory: FilePath) throws(Errno) -> [FilePath] {
        let fd = directory.withPlatformString { open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard fd >= 0 else {
            if errno == ENOENT { return [] }
            throw Errno(rawValue: errno)
        }
        // The listing takes over the descriptor.
        guard let listing = clinux_dir_open(fd) else {
            close(fd)
            throw Errno.noMemory
        }
        defer { clinux_dir_close(listing) }
        var names: [FilePath] = []
        var buffer = [CChar](repeating: 0, count: 256)
        var ino: UInt64 = 0
        var type: UInt32 = 0
        while true {
            let code = clinux_dir_next(listing, &buffer, &ino, &type)
            guard code >= 0 else { throw Errno(rawValue: -code) }
            if code == 0 { return names }
            let name = FilePath(bytes: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
            if name != "." && name != ".." { names.append(name) }
        }
    }
}

/// What a repair does to a shadow file. The session's rows are written after the first three and before
/// the last.
enum ShadowAction: Equatable {
    /// Keeps a copy of the whole file, before some of its bytes go out of use.
    case copyAside(LayerID)
    /// Moves a file out of the shadow.
    case moveAside(FilePath)
    /// Puts zeros where bytes read as zeros that nobody wrote.
    case zero(LayerID, Range<UInt64>)
    case cut(LayerID, to: UInt64)
}

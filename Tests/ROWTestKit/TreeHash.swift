import Foundation
import Glibc

/// Everything about a directory tree that a server of it must not change: names, types, modes,
/// owners, link counts, sizes, contents, link targets, device numbers, and modification times if
/// wanted.
///
/// Contents are kept as hashes that can be compared within one run of a program only.
public struct TreeHash: Equatable, Sendable {
    /// By path below the root, bytes that are not printable ASCII as `\xNN`.
    public private(set) var entries: [String: Entry] = [:]

    public struct Entry: Equatable, Sendable {
        public let mode: UInt32
        public let owner: UInt32
        public let group: UInt32
        /// Zero for a directory, whose link count not every file system keeps.
        public let links: Int
        /// Zero for a directory.
        public let size: Int
        public let device: UInt64
        public let modifiedNanoseconds: Int?
        /// Of a file's bytes or of a symbolic link's target.
        public let content: Int
    }

    /// Reads the tree at `path`; zero blocks and holes are the same.
    /// - Throws: `POSIXError` for what cannot be read.
    public init(of path: String, modificationTimes: Bool = false) throws {
        try add(
            directory: path.utf8CString.map { $0 }, name: "", modificationTimes: modificationTimes)
    }

    /// One line for every path whose entries differ; empty when the trees are equal.
    public func differences(from other: TreeHash) -> [String] {
        Set(entries.keys).union(other.entries.keys).sorted().compactMap { path in
            let (mine, theirs) = (entries[path], other.entries[path])
            guard mine != theirs else { return nil }
            return "\(path): \(mine.map { "\($0)" } ?? "absent"), "
                + "was \(theirs.map { "\($0)" } ?? "absent")"
        }
    }

    /// - Parameter directory: a C string, because a name may be any bytes.
    private mutating func add(
        directory: [CChar], name: String, modificationTimes: Bool
    ) throws {
        guard let stream = opendir(directory) else { throw failure() }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let child = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if child == Array(".".utf8) || child == Array("..".utf8) { continue }
            let path = directory.dropLast() + [0x2f] + child.map { CChar(bitPattern: $0) } + [0]
            try add(
                path: Array(path), name: "\(name)/\(Self.printable(child))",
                modificationTimes: modificationTimes)
        }
    }

    private mutating func add(path: [CChar], name: String, modificationTimes: Bool) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw failure() }
        let kind = status.st_mode & S_IFMT
        let content =
            switch kind {
            case S_IFREG: try Self.contentHash(path, size: Int(status.st_size))
            case S_IFLNK: try Self.targetHash(path)
            default: 0
            }
        let isDirectory = kind == S_IFDIR
        let modified = Int(status.st_mtim.tv_sec) * 1_000_000_000 + Int(status.st_mtim.tv_nsec)
        entries[name] = Entry(
            mode: status.st_mode, owner: status.st_uid, group: status.st_gid,
            links: isDirectory ? 0 : Int(status.st_nlink),
            size: isDirectory ? 0 : Int(status.st_size), device: UInt64(status.st_rdev),
            modifiedNanoseconds: modificationTimes ? modified : nil, content: content)
        if isDirectory {
            try add(directory: path, name: name, modificationTimes: modificationTimes)
        }
    }

    private static func targetHash(_ path: [CChar]) throws -> Int {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &target, target.count)
        guard count >= 0 else { throw failure() }
        return target[..<count].hashValue
    }

    private static func printable(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            (0x20..<0x7f).contains(byte)
                ? String(UnicodeScalar(byte)) : "\\x" + String(byte, radix: 16)
        }.joined()
    }

    private static let blockBytes = 4096
    private static let chunkBytes = 1 << 20

    /// Hashes the blocks that are not zero, with their places.
    private static func contentHash(_ path: [CChar], size: Int) throws -> Int {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure() }
        defer { close(file) }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: chunkBytes, alignment: 16)
        defer { memory.deallocate() }
        let zeros = [UInt8](repeating: 0, count: blockBytes)
        var hasher = Hasher()
        var offset = lseek(file, 0, seekData)
        while offset >= 0, offset < size {
            offset -= offset % blockBytes
            let count = pread(file, memory.baseAddress, chunkBytes, offset)
            guard count > 0 else { throw failure() }
            for start in stride(from: 0, to: count, by: blockBytes) {
                let block = UnsafeRawBufferPointer(
                    rebasing: memory[start..<min(start + blockBytes, count)])
                if let base = block.baseAddress, memcmp(base, zeros, block.count) == 0 { continue }
                hasher.combine(offset + start)
                hasher.combine(bytes: block)
            }
            offset += count
            if offset < size { offset = lseek(file, offset, seekData) }
        }
        return hasher.finalize()
    }
}

/// `SEEK_DATA` of lseek(2), which Glibc's module leaves out.
private let seekData: Int32 = 3

private func failure() -> POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }

import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// A directory that can be sealed; it goes with this object.
final class SealedTree {
    /// Names as bytes, since not all are UTF-8.
    private let root: FileDescriptor
    let path: FilePath

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "rowfs-seal-\(UUID())")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = FilePath(url.path())
        root = try FileDescriptor.open(path, .readOnly, options: [.directory, .closeOnExec])
    }

    deinit {
        try? root.close()
        try? FileManager.default.removeItem(atPath: path.string)
    }

    static let time = 1_700_000_000

    /// Makes a directory.
    func directory(_ name: [UInt8], mode: UInt32 = 0o755) throws {
        try call(name) { mkdirat(root.rawValue, $0, mode) }
    }

    /// Writes a file; its time of modification is always the same.
    func file(_ name: [UInt8], _ bytes: [UInt8], mode: UInt32 = 0o644) throws {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let fd = try call(name) { openat(root.rawValue, $0, flags, mode) }
        defer { close(fd) }
        try #require(write(fd, bytes, bytes.count) == bytes.count)
        try setTime(name)
    }

    func setTime(_ name: [UInt8], _ seconds: Int = time) throws {
        let times = [timespec](repeating: timespec(tv_sec: seconds, tv_nsec: 7), count: 2)
        try call(name) { utimensat(root.rawValue, $0, times, AT_SYMLINK_NOFOLLOW) }
    }

    func link(_ name: [UInt8], to target: [UInt8]) throws {
        try call(target) { target in
            (name + [0]).withUnsafeBufferPointer {
                $0.withMemoryRebound(to: CChar.self) {
                    linkat(root.rawValue, target, root.rawValue, $0.baseAddress!, 0)
                }
            }
        }
    }

    func symbolicLink(_ name: [UInt8], to target: String) throws {
        try call(name) { symlinkat(target, root.rawValue, $0) }
        try setTime(name)
    }

    func fifo(_ name: [UInt8]) throws {
        try call(name) { mkfifoat(root.rawValue, $0, 0o600) }
        try setTime(name)
    }

    func remove(_ name: [UInt8], flags: Int32 = 0) throws {
        try call(name) { unlinkat(root.rawValue, $0, flags) }
    }

    func mode(_ name: [UInt8], _ mode: UInt32) throws {
        try call(name) { fchmodat(root.rawValue, $0, mode, 0) }
    }

    @discardableResult
    private func call(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> Int32) throws -> Int32 {
        let result = (name + [0]).withUnsafeBufferPointer {
            $0.withMemoryRebound(to: CChar.self) { body($0.baseAddress!) }
        }
        if result < 0 { throw Errno(rawValue: errno) }
        return result
    }

    /// One of everything that needs no privileges.
    static let names: [[UInt8]] = [
        Array("file".utf8), Array("d/a b\n".utf8), [0x64, 0x2f, 0xff, 0xfe, 0x80],
        Array("d/e/deep".utf8), [UInt8](repeating: 0x6e, count: 255), Array("empty".utf8),
    ]

    /// - Parameter isReversed: makes the objects in the other order.
    func fill(isReversed: Bool = false) throws {
        let directories = ["d", "d/e", "bare"].map { Array($0.utf8) }
        for name in directories { try directory(name) }
        let names = isReversed ? Self.names.reversed() : Self.names
        for name in names {
            try file(name, name.count == 5 && name[0] == 0x65 ? [] : name + Array("!".utf8))
        }
        for (name, count) in isReversed ? Self.sizes.reversed() : Self.sizes {
            try file(Array(name.utf8), Self.content(count))
        }
        try link(Array("d/linked".utf8), to: Array("file".utf8))
        try link(Array("again".utf8), to: Array("file".utf8))
        try symbolicLink(Array("d/to".utf8), to: "../file")
        try symbolicLink(Array("outside".utf8), to: "/etc")
        try fifo(Array("fifo".utf8))
        for name in directories { try setTime(name) }
        try setTime(Array("d/e".utf8))
        try setTime(Array("d".utf8))
    }

    static let block = Int(CacheLayout.blockBytes)
    static let sizes = [
        ("one-less", block - 1), ("exact", block), ("one-more", block + 1),
        ("long", 257 * block + 5),
    ]

    static func content(_ count: Int) -> [UInt8] { Array(longest[..<count]) }

    private static let longest = (0..<257 * block + 5).map { UInt8($0 % 251) }

    @discardableResult
    func seal(
        from earlier: ImageSeal.Earlier = .own,
        progress: (ImageSeal.Progress) -> Void = { _ in }
    ) throws -> ImageSeal.Report {
        try ImageSeal.run(path, from: earlier, progress: progress)
    }

    func open() throws -> ManifestFiles { try ManifestFiles(path) }

    var manifest: FilePath { ManifestFiles.manifest(of: path) }
    var sums: FilePath { manifest.removingLastComponent().appending(ManifestFiles.sumsName) }

    func differences() throws -> [String] {
        var found: [String] = []
        try ImageVerification.run(
            path, temporary: FilePath(NSTemporaryDirectory())
        ) { found.append("\($0)") }
        return found.sorted()
    }
}

import CLinux
import Foundation
import Glibc
public import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import Synchronization
public import SystemPackage

/// Copies what an NFS client sees into a directory of this machine: types, modes, owners (for root), times,
/// hard links, and zeros as holes.
///
/// A file gets its name when it is whole, and a directory its times when all in it is there, so a copy
/// that was cut off goes on where it was.
public final class TreeCopy: Sendable {
    public struct Progress: Sendable {
        /// Objects that are done, those of an earlier run included.
        public var objects = 0
        /// Bytes of files that this run has copied.
        public var bytes: UInt64 = 0
    }

    private let client: NFSClient
    private let target: FilePath
    private let onWaiting: @Sendable () -> Void
    private let isOwnerKept = geteuid() == 0
    private let state = Mutex(State())

    private struct State {
        var progress = Progress()
        var nextPart = 0
        /// Where the first name of an object with several is, by fileid.
        var links: [UInt64: FilePath] = [:]
    }

    /// Files in the root of the target whose name begins so are not part of the tree.
    public static let ownPrefix = ".rowctl-commit"

    private static let filesAtOnce = 16
    private static let chunkBytes: UInt64 = 1 << 20
    private static let chunksAtOnce = 4

    /// - Parameter target: a directory that exists.
    /// - Parameter onWaiting: called whenever the server says JUKEBOX.
    public init(
        _ client: NFSClient, to target: FilePath, onWaiting: @escaping @Sendable () -> Void = {}
    ) {
        self.client = client
        self.target = target
        self.onWaiting = onWaiting
    }

    public var progress: Progress { state.withLock { $0.progress } }

    /// - Parameter whenDurable: what remains to be done when all is copied and on disk.
    /// - Throws: `StateError`, `NFSClientError`.
    public func run(whenDurable: () throws -> Void = {}) async throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: target.string)
        where name.hasPrefix(Self.ownPrefix + ".") {
            unlink(target.appending(name).string)
        }
        guard case .ok(let root) = try await patient({ try await $0.getattr($0.rootHandle) }) else {
            throw StateError(.io, "the root of the session cannot be read")
        }
        try await copyEntries(of: client.rootHandle, to: target)
        // One sync for all files, rather than one each.
        sync()
        try whenDurable()
        try finish(target, root.attributes)
        sync()
    }

    // MARK: Directories

    private struct Entry: Sendable {
        let path: FilePath
        let handle: NFS3.FileHandle
        let attributes: NFS3.Attributes
    }

    private func copyEntries(of directory: NFS3.FileHandle, to path: FilePath) async throws {
        let entries = try await list(directory, path)
        let single = entries.filter {
            $0.attributes.type != .directory && $0.attributes.nlink < 2
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, entry) in single.enumerated() {
                if index >= Self.filesAtOnce { try await group.next() }
                group.addTask { try await self.copyObject(entry) }
            }
            try await group.waitForAll()
        }
        for entry in entries where entry.attributes.type != .directory {
            if entry.attributes.nlink > 1 { try await copyLinked(entry) }
        }
        for entry in entries where entry.attributes.type == .directory {
            if entry.path.withPlatformString({ mkdir($0, 0o700) }) != 0 {
                let code = errno
                guard code == EEXIST, Self.type(of: entry.path) == S_IFDIR else {
                    throw failure(entry.path, code)
                }
            }
            try await copyEntries(of: entry.handle, to: entry.path)
            try finish(entry.path, entry.attributes)
            done()
        }
    }

    private func list(
        _ directory: NFS3.FileHandle, _ path: FilePath
    ) async throws -> [Entry] {
        var entries: [Entry] = []
        var (cookie, verifier): (UInt64, UInt64) = (0, 0)
        while true {
            let (after, token) = (cookie, verifier)
            let result = try await patient {
                try await $0.readdirplus(
                    directory, cookie: after, cookieVerifier: token, dircount: 32 << 10,
                    maxcount: 128 << 10)
            }
            guard case .ok(let page) = result else { throw refusal(path, result.status) }
            verifier = page.cookieVerifier
            for entry in page.entries {
                cookie = entry.cookie
                let name = entry.name.bytes
                if name == Array(".".utf8) || name == Array("..".utf8) { continue }
                guard let handle = entry.handle, let attributes = entry.attributes,
                    !name.contains(UInt8(ascii: "/")), !name.contains(0), !name.isEmpty
                else { throw StateError(.io, "\(path) cannot be listed whole") }
                let place = path.pushing(Self.path(name))
                entries.append(Entry(path: place, handle: handle, attributes: attributes))
            }
            if page.eof { return entries }
            guard !page.entries.isEmpty else { throw StateError(.io, "\(path) has no end") }
        }
    }

    // MARK: Other objects

    private func copyLinked(_ entry: Entry) async throws {
        let first = state.withLock { $0.links[entry.attributes.fileid] }
        guard let first else {
            try await copyObject(entry)
            state.withLock { $0.links[entry.attributes.fileid] = entry.path }
            return
        }
        // From an earlier run.
        entry.path.withPlatformString { _ = unlink($0) }
        let code = first.withPlatformString { first in
            entry.path.withPlatformString { link(first, $0) }
        }
        guard code == 0 else { throw failure(entry.path, errno) }
        done()
    }

    private func copyObject(_ entry: Entry) async throws {
        if isCopied(entry) {
            done()
            return
        }
        let part = state.withLock { state -> FilePath in
            state.nextPart += 1
            return target.appending("\(Self.ownPrefix).\(state.nextPart)")
        }
        let attributes = entry.attributes
        switch attributes.type {
        case .regular: try await copyData(entry, to: part)
        case .symbolicLink:
            let result = try await patient { try await $0.readlink(entry.handle) }
            guard case .ok(let ok) = result else { throw refusal(entry.path, result.status) }
            // A path would be put in order, and a link's text is to stay as it is.
            let text = ok.data.bytes.map { CChar(bitPattern: $0) } + [0]
            guard part.withPlatformString({ symlink(text, $0) }) == 0 else {
                throw failure(entry.path, errno)
            }
        case .fifo, .socket, .characterDevice, .blockDevice:
            let mode = Self.typeBits(attributes.type) | 0o600
            let device = Self.device(attributes.rdev)
            guard part.withPlatformString({ mknod($0, mode, device) }) == 0 else {
                throw failure(entry.path, errno)
            }
        case .directory: return
        }
        try finish(part, attributes)
        let code = part.withPlatformString { part in
            entry.path.withPlatformString { rename(part, $0) }
        }
        guard code == 0 else { throw failure(entry.path, errno) }
        done()
    }

    private func copyData(_ entry: Entry, to part: FilePath) async throws {
        let file = try SystemPackage.FileDescriptor.open(
            part, .writeOnly, options: [.create, .exclusiveCreate, .noFollow, .closeOnExec],
            permissions: .ownerReadWrite)
        defer { try? file.close() }
        let size = entry.attributes.size
        try await withThrowingTaskGroup(of: Void.self) { group in
            var count = 0
            for start in stride(from: 0, to: size, by: UInt64.Stride(Self.chunkBytes)) {
                count += 1
                if count > Self.chunksAtOnce { try await group.next() }
                group.addTask {
                    try await self.copyChunk(
                        entry, start..<min(start + Self.chunkBytes, size), to: file)
                }
            }
            try await group.waitForAll()
        }
        let code = clinux_ftruncate(file.rawValue, Int64(size))
        guard code == 0 else { throw failure(entry.path, -code) }
        state.withLock { $0.progress.bytes += size }
    }

    private func copyChunk(
        _ entry: Entry, _ range: Range<UInt64>, to file: SystemPackage.FileDescriptor
    ) async throws {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let start = offset
            let (result, data) = try await patientRead(
                entry.handle, start, UInt32(range.upperBound - start))
            guard case .ok = result else { throw refusal(entry.path, result.status) }
            guard data.readableBytes > 0 else {
                throw StateError(.io, "\(entry.path) ends before its size")
            }
            try data.withUnsafeReadableBytes { bytes in
                try Self.writeWithoutZeros(bytes, at: start, to: file)
            }
            offset += UInt64(data.readableBytes)
        }
    }

    private static func writeWithoutZeros(
        _ bytes: UnsafeRawBufferPointer, at start: UInt64, to file: SystemPackage.FileDescriptor
    ) throws {
        let block = 4096
        var offset = 0
        while offset < bytes.count {
            let piece = UnsafeRawBufferPointer(
                rebasing: bytes[offset..<min(offset + block, bytes.count)])
            if piece.contains(where: { $0 != 0 }) {
                try file.writeAll(toAbsoluteOffset: Int64(start) + Int64(offset), piece)
            }
            offset += piece.count
        }
    }

    // MARK: Attributes

    private func isCopied(_ entry: Entry) -> Bool {
        var stat = clinux_stat()
        let code = entry.path.withPlatformString {
            clinux_fstatat(AT_FDCWD, $0, AT_SYMLINK_NOFOLLOW, &stat)
        }
        guard code == 0, mode_t(stat.type) == Self.typeBits(entry.attributes.type)
        else { return false }
        let time = entry.attributes.mtime
        let isSameSize = entry.attributes.type != .regular || stat.size == entry.attributes.size
        return isSameSize && stat.mtime_sec == Int64(time.seconds)
            && stat.mtime_nsec == min(time.nanoseconds, 999_999_999)
    }

    private func finish(_ path: FilePath, _ attributes: NFS3.Attributes) throws {
        let times = [attributes.atime, attributes.mtime].map {
            // More is no time, and for the kernel a word of its own ("now").
            timespec(tv_sec: Int($0.seconds), tv_nsec: min(Int($0.nanoseconds), 999_999_999))
        }
        let isDone = path.withPlatformString { name in
            (!isOwnerKept || lchown(name, attributes.uid, attributes.gid) == 0)
                && (attributes.type == .symbolicLink || chmod(name, attributes.mode & 0o7777) == 0)
                && utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW) == 0
        }
        guard isDone else { throw failure(path, errno) }
    }

    private static func path(_ bytes: [UInt8]) -> FilePath {
        FilePath(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
    }

    private static func type(of path: FilePath) -> mode_t {
        var stat = clinux_stat()
        let code = path.withPlatformString {
            clinux_fstatat(AT_FDCWD, $0, AT_SYMLINK_NOFOLLOW, &stat)
        }
        return code == 0 ? mode_t(stat.type) : 0
    }

    /// A device number as the kernel wants it.
    private static func device(_ device: NFS3.Device) -> dev_t {
        let (major, minor) = (dev_t(device.major), dev_t(device.minor))
        return (major & 0xffff_f000) << 32 | (major & 0xfff) << 8 | (minor & 0xffff_ff00) << 12
            | minor & 0xff
    }

    private static func typeBits(_ type: NFS3.FileType) -> mode_t {
        switch type {
        case .regular: S_IFREG
        case .directory: S_IFDIR
        case .symbolicLink: S_IFLNK
        case .fifo: S_IFIFO
        case .socket: S_IFSOCK
        case .characterDevice: S_IFCHR
        case .blockDevice: S_IFBLK
        }
    }

    // MARK: Calls

    private func done() { state.withLock { $0.progress.objects += 1 } }

    /// A server that says JUKEBOX is asked again until it answers.
    private func patient<OK, Failure>(
        _ call: (NFSClient) async throws -> NFS3.Outcome<OK, Failure>
    ) async throws -> NFS3.Outcome<OK, Failure> {
        while true {
            let result = try await call(client)
            guard result.status == .jukebox else { return result }
            onWaiting()
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func patientRead(
        _ file: NFS3.FileHandle, _ offset: UInt64, _ count: UInt32
    ) async throws -> (NFS3.Read.Result, ByteBuffer) {
        while true {
            let (result, data) = try await client.read(file, offset: offset, count: count)
            guard result.status == .jukebox else { return (result, data) }
            onWaiting()
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func failure(_ path: FilePath, _ code: Int32) -> StateError {
        StateError(.io, "cannot make \(path): \(Errno(rawValue: code))")
    }

    private func refusal(_ path: FilePath, _ status: NFS3.Status) -> StateError {
        StateError(.io, "the session answers \(status) for \(path)")
    }
}

import CLinux
import Glibc
import NFSProtocol
public import SystemPackage

/// A local directory as an image: the embedded default, for which nobody needs a server.
///
/// Loop-confined. Objects are reached by their path in the image, below an open root, and never
/// through a symbolic link.
public final class DirectoryImage {
    public let path: FilePath
    private let root: FileDescriptor
    private var openFiles: [NodeID: SparseFile] = [:]
    private var openOrder: [NodeID] = []
    private var listings: [NodeID: OpaquePointer] = [:]

    private static let openFilesMaximum = 256
    private static let listingsMaximum = 64
    /// Entries read at a time when a directory is imported.
    private static let pageCount = 1024

    /// - Throws: when the path is not a directory that can be read.
    public init(path: FilePath) throws(StateError) {
        self.path = path
        do {
            root = try FileDescriptor.open(path, .readOnly, options: [.directory, .closeOnExec])
        } catch {
            throw StateError(.notFound, "cannot use \(path) as an image: \(error)")
        }
    }

    deinit {
        for listing in listings.values { clinux_dir_close(listing) }
        try? root.close()
    }

    /// The root directory's entry.
    public func rootEntry() throws(StateError) -> MainEntry {
        var stat = clinux_stat()
        let code = clinux_fstat(root.rawValue, &stat)
        guard code == 0, let attributes = NFS3.Attributes(stat) else {
            throw StateError(.io, "cannot examine \(path): \(Errno(rawValue: -code))")
        }
        return MainEntry(attributes: attributes, handle: nil)
    }

    /// Answers a fetch, now.
    public func perform(_ fetch: Fetch, in store: ImageStore) -> FetchResult {
        answer(fetch, store)
    }

    func answer(_ fetch: Fetch, _ index: some ObjectIndex) -> FetchResult {
        do {
            switch fetch {
            case .lookup(let directory, let name): return try lookup(directory, name, index)
            case .listing(let directory): return try page(of: directory, index)
            case .target(let id): return try target(of: id, index)
            }
        } catch {
            return .failed(NFS3.Status(error))
        }
    }

    /// A file of the image, open for reading.
    /// - Throws: STALE when it is no longer the file that the image store knows.
    public func file(_ id: NodeID, in store: ImageStore) throws(Errno) -> SparseFile {
        if let file = openFiles[id] { return file }
        return try openFile(id, store)
    }

    /// As ``file(_:in:)``, for whoever has another index of the objects.
    func openFile(_ id: NodeID, _ index: some ObjectIndex) throws(Errno) -> SparseFile {
        if let file = openFiles[id] { return file }
        let file = SparseFile(
            descriptor: try openPath(
                of: id, index, flags: UInt64(O_RDONLY | O_NOFOLLOW | O_NONBLOCK)))
        var stat = clinux_stat()
        guard clinux_fstat(file.descriptor.rawValue, &stat) == 0,
            let now = NFS3.Attributes(stat), let known = index.attributes(of: id),
            known.isSameObject(as: now)
        else {
            index.report("the image changed under us: a file of \(path) is not what it was")
            throw .staleNFSFileHandle
        }
        if openOrder.count >= Self.openFilesMaximum {
            openFiles[openOrder.removeFirst()] = nil
        }
        openFiles[id] = file
        openOrder.append(id)
        return file
    }

    // MARK: Reaching objects

    private func openPath(
        of id: NodeID, _ index: some ObjectIndex, flags: UInt64
    ) throws(Errno) -> FileDescriptor {
        guard var path = index.path(of: id) else { throw .noSuchFileOrDirectory }
        if path.isEmpty { path = [UInt8(ascii: ".")] }
        path.append(0)
        let code = path.withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                clinux_openat2(
                    root.rawValue, text.baseAddress!, flags | UInt64(O_CLOEXEC), 0,
                    UInt64(CLINUX_RESOLVE_BENEATH | CLINUX_RESOLVE_NO_SYMLINKS))
            }
        }
        guard code >= 0 else { throw Errno(rawValue: -code) }
        return FileDescriptor(rawValue: code)
    }

    private func withDirectory<T>(
        _ id: NodeID, _ index: some ObjectIndex, _ body: (FileDescriptor) throws(Errno) -> T
    ) throws(Errno) -> T {
        let directory = try openPath(of: id, index, flags: CLINUX_O_PATH | UInt64(O_DIRECTORY))
        defer { try? directory.close() }
        return try body(directory)
    }

    private func entryIfPresent(
        _ directory: FileDescriptor, _ name: [UInt8]
    ) throws(Errno) -> MainEntry? {
        var stat = clinux_stat()
        let code = (name + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { text in
                clinux_fstatat(directory.rawValue, text.baseAddress!, AT_SYMLINK_NOFOLLOW, &stat)
            }
        }
        if code == -ENOENT { return nil }
        guard code == 0 else { throw Errno(rawValue: -code) }
        guard let attributes = NFS3.Attributes(stat) else { throw .ioError }
        return MainEntry(attributes: attributes, handle: nil)
    }

    // MARK: Fetches

    private func lookup(
        _ directory: NodeID, _ name: [UInt8], _ index: some ObjectIndex
    ) throws(Errno) -> FetchResult {
        try withDirectory(directory, index) { directory throws(Errno) in
            .entry(try entryIfPresent(directory, name))
        }
    }

    private func target(of id: NodeID, _ index: some ObjectIndex) throws(Errno) -> FetchResult {
        let link = try openPath(of: id, index, flags: CLINUX_O_PATH | UInt64(O_NOFOLLOW))
        defer { try? link.close() }
        var text = [UInt8](repeating: 0, count: NFS3.pathSizeMaximum)
        let count = text.withUnsafeMutableBytes { buffer in
            clinux_readlinkat(
                link.rawValue, "", buffer.assumingMemoryBound(to: CChar.self).baseAddress!,
                buffer.count)
        }
        guard count >= 0 else { throw Errno(rawValue: Int32(-count)) }
        return .target(Array(text[0..<count]))
    }

    private func page(of id: NodeID, _ index: some ObjectIndex) throws(Errno) -> FetchResult {
        let listing = try openListing(of: id, index)
        do {
            return try page(of: id, listing, index)
        } catch {
            // The entries of this page are lost, so the import has to start again.
            clinux_dir_close(listing)
            listings[id] = nil
            throw error
        }
    }

    private func page(
        of id: NodeID, _ listing: OpaquePointer, _ index: some ObjectIndex
    ) throws(Errno) -> FetchResult {
        try withDirectory(id, index) { directory throws(Errno) in
            var entries: [(name: [UInt8], entry: MainEntry)] = []
            var buffer = [CChar](repeating: 0, count: 256)
            var ino: UInt64 = 0
            var type: UInt32 = 0
            while entries.count < Self.pageCount {
                let code = clinux_dir_next(listing, &buffer, &ino, &type)
                guard code >= 0 else { throw Errno(rawValue: -code) }
                if code == 0 {
                    clinux_dir_close(listing)
                    listings[id] = nil
                    return .page(entries, isLast: true)
                }
                let name = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
                if name == [46] || name == [46, 46] { continue }
                if let entry = try entryIfPresent(directory, name) {
                    entries.append((name, entry))
                }
            }
            return .page(entries, isLast: false)
        }
    }

    private func openListing(
        of id: NodeID, _ index: some ObjectIndex
    ) throws(Errno) -> OpaquePointer {
        if let listing = listings[id] { return listing }
        if listings.count >= Self.listingsMaximum, let (other, listing) = listings.first {
            // Its import starts again when it is wanted; known names keep their cookies.
            clinux_dir_close(listing)
            listings[other] = nil
        }
        let directory = try openPath(of: id, index, flags: UInt64(O_RDONLY | O_DIRECTORY))
        guard let listing = clinux_dir_open(directory.rawValue) else {
            try? directory.close()
            throw .noMemory
        }
        listings[id] = listing
        return listing
    }
}

/// What must be known of objects to find them in a directory.
protocol ObjectIndex {
    /// The path in the image, without a leading slash.
    func path(of id: NodeID) -> [UInt8]?
    /// As they were when the object was first seen.
    func attributes(of id: NodeID) -> NFS3.Attributes?
    /// Tells the operator.
    func report(_ event: String)
}

extension ImageStore: ObjectIndex {
    func report(_ event: String) { onEvent(event) }
}

extension NFS3.Attributes {
    /// Nil for a type that NFS does not have.
    init?(_ stat: clinux_stat) {
        let type: NFS3.FileType
        switch mode_t(stat.type) {
        case S_IFREG: type = .regular
        case S_IFDIR: type = .directory
        case S_IFLNK: type = .symbolicLink
        case S_IFBLK: type = .blockDevice
        case S_IFCHR: type = .characterDevice
        case S_IFIFO: type = .fifo
        case S_IFSOCK: type = .socket
        default: return nil
        }
        func time(_ seconds: Int64, _ nanoseconds: UInt32) -> NFS3.Time {
            NFS3.Time(seconds: UInt32(truncatingIfNeeded: seconds), nanoseconds: nanoseconds)
        }
        self.init(
            type: type, mode: stat.mode & 0o7777, nlink: UInt32(clamping: stat.nlink),
            uid: stat.uid, gid: stat.gid, size: stat.size, used: stat.blocks * 512,
            rdev: NFS3.Device(major: stat.rdev_major, minor: stat.rdev_minor), fsid: stat.dev,
            fileid: stat.ino, atime: time(stat.atime_sec, stat.atime_nsec),
            mtime: time(stat.mtime_sec, stat.mtime_nsec),
            ctime: time(stat.ctime_sec, stat.ctime_nsec))
    }
}

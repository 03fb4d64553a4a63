import CLinux
import Glibc
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// Back-pressure for UNSTABLE WRITEs. They go into the page cache at once, but only so far ahead of the
/// disk: past one limit what was written is written out in the background, past another the replies of
/// WRITEs wait for that. So a client cannot fill the memory of this machine with dirty pages. A block
/// that is written again before it was written out takes no more memory and counts once.
///
/// Loop-confined.
final class DirtyBudget {
    /// A sixteenth of this machine's memory, within limits that let a burst through on a small machine
    /// and end within seconds of a disk's time on a large.
    static let holdBytesDefault: Int = {
        let memory = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return min(max(memory / 16, 192 << 20), 1 << 30)
    }()

    /// Bytes in blocks written to since the last write-out that hold replies back.
    private let holdBytes: Int
    /// Bytes in blocks written to since the last write-out that have the next one start.
    private let writeOutBytes: Int
    /// Files whose pages are written out one by one; of others the system takes care in its own time.
    private static let filesMaximum = 64
    private static let blockBytes: UInt64 = 4096
    /// Pages of all ``Dirty/blocks``, half a kilobyte each. What is written past them counts whenever
    /// it is.
    private static let pagesMaximum = 16_384

    private let commit: (@escaping () -> Void) -> Void
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private var dirtyBytes = 0
    private var isWritingOut = false
    private var waiting: [() -> Void] = []
    /// By file, what was written to since the last write-out began.
    private var dirty: [FileKey: Dirty] = [:]
    private var dirtyPages = 0

    private struct Dirty {
        /// Set when its pages must be written out one by one; only as long as the session has it open:
        /// a file that is removed takes no space from then on.
        weak var file: SparseFile?
        var blocks = BlockSet()
    }

    /// A file of one of the sessions.
    struct FileKey: Hashable {
        let session: UInt32
        let id: NodeID
    }

    /// - Parameter commit: makes all that was written durable, of those sessions that promise it; it
    ///   tells when it has ended.
    init(
        commit: @escaping (@escaping () -> Void) -> Void, holdBytes: Int, loop: any EventLoop,
        pool: NIOThreadPool
    ) {
        self.commit = commit
        self.holdBytes = holdBytes
        writeOutBytes = holdBytes / 3
        self.loop = loop
        self.pool = pool
    }

    /// Whether the reply of a WRITE must wait for ``whenRelieved(_:)``.
    var isExhausted: Bool { dirtyBytes >= holdBytes }

    /// Counts a write.
    /// - Parameter range: where in the file, bytes.
    /// - Parameter isDurable: whether a commit writes it out; else its pages are written out by
    ///   themselves.
    /// - Parameter file: the file written to; asked for only when its pages may have to be written out.
    func wrote(
        _ range: Range<UInt64>, to key: FileKey, isDurable: Bool, file: () -> SparseFile?
    ) {
        guard !range.isEmpty else { return }
        if dirty[key] == nil, dirty.count >= Self.filesMaximum {
            dirtyBytes += range.count
        } else {
            dirtyBytes += insert(range, into: &dirty[key, default: Dirty()])
            if !isDurable, dirty[key]?.file == nil { dirty[key]?.file = file() }
        }
        if dirtyBytes >= writeOutBytes { startWritingOut() }
    }

    /// - Returns: how much more there is to be written out, bytes.
    private func insert(_ range: Range<UInt64>, into dirty: inout Dirty) -> Int {
        guard dirtyPages < Self.pagesMaximum else { return range.count }
        let last = (range.upperBound - 1) / Self.blockBytes
        let pagesBefore = dirty.blocks.pageCount
        let added = dirty.blocks.insert(range.lowerBound / Self.blockBytes..<last + 1)
        dirtyPages += dirty.blocks.pageCount - pagesBefore
        return added * Int(Self.blockBytes)
    }

    /// Runs `then` when writing may go on.
    func whenRelieved(_ then: @escaping () -> Void) { waiting.append(then) }

    private func startWritingOut() {
        guard !isWritingOut else { return }
        isWritingOut = true
        let covered = dirtyBytes
        let ended = { self.wroteOut(covered) }
        let files = OpenFiles(list: dirty.values.compactMap(\.file))
        dirty = [:]
        dirtyPages = 0
        if files.list.isEmpty {
            commit(ended)
        } else {
            writePages(of: files) { self.commit(ended) }
        }
    }

    private func wroteOut(_ count: Int) {
        dirtyBytes -= count
        isWritingOut = false
        if dirtyBytes >= writeOutBytes { startWritingOut() }
        guard !isExhausted else { return }
        let relieved = waiting
        waiting = []
        for then in relieved { then() }
    }

    private func writePages(of files: OpenFiles, then: @escaping () -> Void) {
        let ended = NIOLoopBound(then, eventLoop: loop)
        pool.runIfActive(eventLoop: loop) {
            for file in files.list {
                // A failure shows in the sync that somebody asks for later.
                _ = clinux_sync_file_range(
                    file.descriptor.rawValue, 0, 0,
                    CLINUX_SYNC_WAIT_BEFORE | CLINUX_SYNC_WRITE | CLINUX_SYNC_WAIT_AFTER)
            }
        }.whenComplete { _ in ended.value() }
    }

    /// Files on their way to the pool.
    ///
    /// `@unchecked Sendable`: the pool uses nothing but their descriptors, which the references keep
    /// open.
    private struct OpenFiles: @unchecked Sendable {
        let list: [SparseFile]
    }
}

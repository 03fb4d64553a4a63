import CLinux
import Glibc
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// Back-pressure for UNSTABLE WRITEs. They go into the page cache at once, but only so far ahead of the
/// disk: past one limit what was written is written out in the background, past another the replies of
/// WRITEs wait for that. So a client cannot fill the memory of this machine with dirty pages.
///
/// Loop-confined.
final class DirtyBudget {
    /// A sixteenth of this machine's memory, less than the system itself lets be dirty; within limits
    /// that let a burst through on a small machine and end within seconds of a disk's time on a large.
    static let holdBytesDefault: Int = {
        let memory = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return min(max(memory / 16, 192 << 20), 1 << 30)
    }()

    /// Bytes written since the last write-out that hold replies back.
    private let holdBytes: Int
    /// Bytes written since the last write-out that have the next one start.
    private let writeOutBytes: Int
    /// Files whose pages are written out one by one; of others the system takes care in its own time.
    private static let filesMaximum = 64

    private let writeOut: WriteOut
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private var dirtyBytes = 0
    private var isWritingOut = false
    private var waiting: [() -> Void] = []
    private var files: [FileKey: SparseFile] = [:]

    /// A file of one of the sessions.
    struct FileKey: Hashable {
        let session: UInt32
        let id: NodeID
    }

    /// How dirty pages get to the disk.
    enum WriteOut {
        /// By an early commit of all that was written; the closure tells when it has ended.
        case commit((@escaping () -> Void) -> Void)
        /// By themselves, for sessions that promise nothing across a power failure.
        case pages
    }

    init(_ writeOut: WriteOut, holdBytes: Int, loop: any EventLoop, pool: NIOThreadPool) {
        self.writeOut = writeOut
        self.holdBytes = holdBytes
        writeOutBytes = min(64 << 20, holdBytes / 3)
        self.loop = loop
        self.pool = pool
    }

    /// Whether the reply of a WRITE must wait for ``whenRelieved(_:)``.
    var isExhausted: Bool { dirtyBytes >= holdBytes }

    /// Counts a write.
    /// - Parameter file: the file written to; asked for only when its pages may have to be written out.
    func wrote(_ count: Int, to key: FileKey, file: () -> SparseFile?) {
        dirtyBytes += count
        if case .pages = writeOut, files[key] == nil, files.count < Self.filesMaximum {
            files[key] = file()
        }
        if dirtyBytes >= writeOutBytes { startWritingOut() }
    }

    /// Runs `then` when writing may go on.
    func whenRelieved(_ then: @escaping () -> Void) { waiting.append(then) }

    private func startWritingOut() {
        guard !isWritingOut else { return }
        isWritingOut = true
        let covered = dirtyBytes
        let ended = { self.wroteOut(covered) }
        switch writeOut {
        case .commit(let commit): commit(ended)
        case .pages: writePages(then: ended)
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

    private func writePages(then: @escaping () -> Void) {
        let files = OpenFiles(list: Array(files.values))
        self.files = [:]
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

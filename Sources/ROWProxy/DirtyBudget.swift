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
    /// A sixteenth of this machine's memory, within limits that let a burst through on a small machine
    /// and end within seconds of a disk's time on a large.
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

    private let commit: (@escaping () -> Void) -> Void
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private var dirtyBytes = 0
    private var isWritingOut = false
    private var waiting: [() -> Void] = []
    private var files: [FileKey: Open] = [:]

    /// Only as long as the session has it open: a file that is removed takes no space from then on.
    private struct Open {
        weak var file: SparseFile?
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
        writeOutBytes = min(64 << 20, holdBytes / 3)
        self.loop = loop
        self.pool = pool
    }

    /// Whether the reply of a WRITE must wait for ``whenRelieved(_:)``.
    var isExhausted: Bool { dirtyBytes >= holdBytes }

    /// Counts a write.
    /// - Parameter isDurable: whether a commit writes it out; else its pages are written out by
    ///   themselves.
    /// - Parameter file: the file written to; asked for only when its pages may have to be written out.
    func wrote(_ count: Int, to key: FileKey, isDurable: Bool, file: () -> SparseFile?) {
        dirtyBytes += count
        if !isDurable, files[key]?.file == nil {
            if files.count >= Self.filesMaximum { files = files.filter { $1.file != nil } }
            if files.count < Self.filesMaximum { files[key] = Open(file: file()) }
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
        if files.isEmpty { commit(ended) } else { writePages { self.commit(ended) } }
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
        let files = OpenFiles(list: files.values.compactMap(\.file))
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

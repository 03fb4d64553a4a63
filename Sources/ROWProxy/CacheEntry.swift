import ROWCore
import SystemPackage

/// One cache file that is in use, and the jobs that are to be done to it, in order: those that read or
/// write blocks at the same time, those that make or remove the file or give blocks up alone.
///
/// What is known of it in memory must never be more than what is on disk: blocks are forgotten in
/// ``blocks`` when a job that gives them up begins, since those before it may still find them intact.
///
/// Loop-confined.
final class CacheEntry {
    struct Job {
        /// Asked when its turn has come: whether nothing else may be done to the file meanwhile.
        let isAlone: () -> Bool
        let begin: () -> Void
    }

    let layout: CacheLayout
    /// Nil when it is not open, or not there.
    var file: CacheFile?
    var blocks: CachedBlocks
    var lastUse: UInt64 = 0
    /// Who waits to know a page of the table.
    var learners: [UInt64: [() -> Void]] = [:]
    private var queue: [Job] = []
    private var running = 0
    private var runsAlone = false

    init(_ layout: CacheLayout, blocks: CachedBlocks) {
        self.layout = layout
        self.blocks = blocks
    }

    var isIdle: Bool { running == 0 && queue.isEmpty }

    /// - Parameter isUrgent: before all that waits.
    func add(_ job: Job, isUrgent: Bool) {
        queue.insert(job, at: isUrgent ? 0 : queue.count)
        beginJobs()
    }

    /// A job has been done; ``beginJobs()`` follows when what came of it has been taken in.
    func ended() {
        running -= 1
        runsAlone = false
    }

    func beginJobs() {
        while let job = queue.first, !runsAlone {
            let isAlone = job.isAlone()
            if isAlone, running > 0 { return }
            queue.removeFirst()
            running += 1
            runsAlone = isAlone
            job.begin()
        }
    }
}

/// An entry's file as a job on the pool has it: open already, or opened by the job.
struct JobFile: Sendable {
    private let open: CacheFile?
    private(set) var opened: CacheFile?
    private(set) var wasCutShort = false

    /// - Parameter entry: as it is when the job begins.
    init(of entry: CacheEntry) { open = entry.file }

    var file: CacheFile? { opened ?? open }

    mutating func openIfNeeded(
        in directory: CacheDirectory, _ layout: CacheLayout, create: Bool
    ) throws(Errno) {
        guard open == nil else { return }
        var wasCutShort = false
        defer { self.wasCutShort = wasCutShort }
        opened = try directory.open(layout, create: create) { wasCutShort = true }
    }
}

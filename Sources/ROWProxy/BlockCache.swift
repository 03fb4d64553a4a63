import NFSProtocol
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// Main's blocks on this machine's disk: shared by all sessions of the image, kept over restarts, and
/// checked before they are first used. What is damaged is fetched again; what a limit has no room for is
/// given up, by CLOCK. Nothing here is ever synced: a checksum tells what a crash left of a block.
///
/// Loop-confined. Disk is touched on the thread pool, but for reads of the page cache.
final class BlockCache {
    let directory: CacheDirectory
    /// Bytes of storage: what was wished, and what the disk has room for.
    private(set) var wishedLimit: UInt64
    var limit: UInt64
    let image: ImageStore
    let loop: any EventLoop
    let onEvent: (String) -> Void
    /// For tests.
    var now: () -> NIODeadline = { .now() }
    var index = CacheIndex()
    /// What waits to be written, and whose turn it is to be given up.
    var filling = Filling()
    var eviction = Eviction()
    /// Bytes that the checksum says are those that were written must be compared with the manifest, too,
    /// before they count as checked: see ``confirm(_:_:)``.
    private(set) var needsConfirmation = false
    /// Counts ``doubtAll()``: what was on its way to the disk then must be confirmed, too.
    private(set) var doubts = 0
    /// What was there at the start is in the index.
    private(set) var isScanned = false
    private var scanWaiters: [() -> Void] = []
    private let pool: NIOThreadPool
    private var entries: [NodeID: CacheEntry] = [:]
    private var useNumber: UInt64 = 0
    /// Blocks that were found not to be what was written, and files that were cut short.
    private var damagedCount = 0
    /// On the pool.
    private var jobsRunning = 0
    private var whenClosed: (() -> Void)?

    private static let entriesMaximum = 256

    /// - Parameter hasRoomForAll: the limit is raised to what is there at the start.
    init(
        directory: CacheDirectory, limit: UInt64, hasRoomForAll: Bool = false, image: ImageStore,
        loop: any EventLoop, pool: NIOThreadPool, onEvent: @escaping (String) -> Void
    ) {
        self.directory = directory
        wishedLimit = limit
        self.limit = limit
        self.image = image
        self.loop = loop
        self.pool = pool
        self.onEvent = onEvent
        run({ directory.scan() }) { found in
            for file in found where !self.index.contains(file.id) {
                self.index.set(file.id, allocated: file.allocated)
            }
            if hasRoomForAll {
                self.wishedLimit = max(self.wishedLimit, self.index.allocated)
                self.limit = self.wishedLimit
            }
            self.isScanned = true
            let waiters = self.scanWaiters
            self.scanWaiters = []
            for waiter in waiters { waiter() }
            self.proceed()
        }
    }

    /// Calls back when all that was there at the start is known.
    func whenScanned(_ then: @escaping () -> Void) {
        if isScanned { then() } else { scanWaiters.append(then) }
    }

    /// Ends it. `then` is called when nothing more is done to the files, which may be another process's
    /// from then on; what else was to be called back never is.
    func close(then: @escaping () -> Void) {
        if jobsRunning == 0 { then() }
        whenClosed = jobsRunning == 0 ? {} : then
        entries = [:]
        filling = Filling()
    }

    // MARK: Entries

    func layout(of id: NodeID) -> CacheLayout? {
        if let entry = entries[id] { return entry.layout }
        guard let attributes = image.attributes(of: id), attributes.type == .regular,
            attributes.size > 0
        else { return nil }
        return CacheLayout(id: id, attributes: attributes)
    }

    func entry(_ layout: CacheLayout) -> CacheEntry {
        useNumber += 1
        if let entry = entries[layout.id] {
            entry.lastUse = useNumber
            return entry
        }
        if entries.count >= Self.entriesMaximum { closeOldest() }
        // Most of main was never fetched: that is known without a look at the disk.
        let isMissing = isScanned && !index.contains(layout.id)
        let entry = CacheEntry(layout, blocks: CachedBlocks(isEmpty: isMissing))
        entry.lastUse = useNumber
        entries[layout.id] = entry
        return entry
    }

    private func closeOldest() {
        let idle = entries.values.filter(\.isIdle).sorted { $0.lastUse < $1.lastUse }
        for entry in idle.prefix(Self.entriesMaximum / 4) { entries[entry.layout.id] = nil }
    }

    /// Does something to a file on the pool when its turn has come.
    /// - Parameter isUrgent: before all that waits.
    /// - Parameter isAlone: whether nothing else may be done to it meanwhile.
    /// - Parameter prepare: called when it begins; what it returns is done on the pool.
    func schedule<Result: Sendable>(
        _ entry: CacheEntry, isUrgent: Bool = false, isAlone: @escaping () -> Bool,
        _ prepare: @escaping () -> @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        let job = CacheEntry.Job(isAlone: isAlone) {
            self.run(prepare()) { result in
                entry.ended()
                then(result)
                entry.beginJobs()
            }
        }
        entry.add(job, isUrgent: isUrgent)
    }

    func run<Result: Sendable>(
        _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        guard whenClosed == nil else { return }
        jobsRunning += 1
        let bound = NIOLoopBound((self, then), eventLoop: loop)
        pool.runIfActive(eventLoop: loop, work).whenComplete { result in
            let (cache, then) = bound.value
            cache.jobsRunning -= 1
            if let whenClosed = cache.whenClosed {
                if cache.jobsRunning == 0 { whenClosed() }
            } else if case .success(let result) = result {
                then(result)
            }
        }
    }

    /// Removes a cache file.
    func remove(_ entry: CacheEntry, isUrgent: Bool = false, then: @escaping () -> Void) {
        let (directory, id) = (directory, entry.layout.id)
        schedule(
            entry, isUrgent: isUrgent, isAlone: { true },
            {
                let file = entry.file
                entry.file = nil
                entry.blocks = CachedBlocks()
                return {
                    directory.remove(id)
                    file?.discard()
                }
            }
        ) {
            entry.blocks = CachedBlocks(isEmpty: true)
            self.index.remove(id)
            then()
        }
    }

    // MARK: Damage

    func damaged(_ id: NodeID, _ what: String) {
        damagedCount += 1
        let path = String(decoding: image.path(of: id) ?? [], as: UTF8.self)
        onEvent("the cache of /\(path) \(what): fetching it again")
    }

    /// A file that is in use was found to have been cut short: nothing in it counts.
    func lost(_ file: CacheFile) {
        // All that was under way finds that out; the first does something about it.
        guard let entry = entries[file.layout.id], entry.file === file else { return }
        damaged(file.layout.id, "was cut short")
        entry.file = nil
        entry.blocks = CachedBlocks()
        remove(entry, isUrgent: true) {}
    }

    // MARK: Finding

    /// The file that a range can be read from at once, if all of it is there and was checked.
    func checkedFile(_ id: NodeID, _ range: Range<UInt64>) -> CacheFile? {
        guard let entry = entries[id], let file = entry.file else { return nil }
        let blocks = entry.layout.blocks(of: range)
        guard entry.blocks.areChecked(blocks) else { return nil }
        use(entry, blocks)
        return file
    }

    private func use(_ entry: CacheEntry, _ blocks: Range<UInt64>) {
        useNumber += 1
        entry.lastUse = useNumber
        entry.blocks.use(blocks)
        index.use(entry.layout.id)
    }

    /// Tells which blocks are there, as far as the table knows.
    /// - Parameter then: hears of all blocks as they are when it is called, in their order.
    func find(
        _ layout: CacheLayout, _ blocks: [UInt64],
        then: @escaping (_ present: [UInt64], _ absent: [UInt64]) -> Void
    ) {
        if isScanned, entries[layout.id] == nil, !index.contains(layout.id) {
            return then([], blocks)
        }
        let entry = entry(layout)
        let unknown = blocks.filter { entry.blocks.state(of: $0) == .unknown }
        var pages: [UInt64] = []
        for block in unknown where pages.last != CachedBlocks.page(of: block) {
            pages.append(CachedBlocks.page(of: block))
        }
        var remaining = pages.count
        let tell = {
            var found: (present: [UInt64], absent: [UInt64]) = ([], [])
            for block in blocks {
                switch entry.blocks.state(of: block) {
                case .checked, .unchecked: found.present.append(block)
                case .absent, .unknown: found.absent.append(block)
                }
            }
            then(found.present, found.absent)
        }
        guard remaining > 0 else { return tell() }
        for page in pages {
            learn(entry, page) {
                remaining -= 1
                if remaining == 0 { tell() }
            }
        }
    }

    private struct Learned: Sendable {
        var file: JobFile
        var page: CacheFile.TablePage?
        var isMissing = false
    }

    /// Opens the cache file, if there is one, and reads a page of its table.
    func learn(_ entry: CacheEntry, _ page: UInt64, then: @escaping () -> Void) {
        guard entry.learners[page] == nil else {
            entry.learners[page]?.append(then)
            return
        }
        entry.learners[page] = [then]
        let (directory, layout) = (directory, entry.layout)
        schedule(
            entry, isAlone: { entry.file == nil },
            {
                let file = JobFile(of: entry)
                return {
                    var learned = Learned(file: file)
                    do throws(Errno) {
                        try learned.file.openIfNeeded(in: directory, layout, create: false)
                        learned.isMissing = learned.file.file == nil
                        learned.page = try learned.file.file?.tablePage(page)
                    } catch {
                        // Nothing is known then, and main is asked.
                    }
                    return learned
                }
            }
        ) { (learned: Learned) in
            self.finishLearning(entry, page, learned)
        }
    }

    private func finishLearning(_ entry: CacheEntry, _ page: UInt64, _ learned: Learned) {
        if learned.isMissing {
            entry.blocks = CachedBlocks(isEmpty: true)
            index.remove(entry.layout.id)
        }
        took(learned.file, entry)
        if let page = learned.page, entry.file === learned.file.file { entry.blocks.learn(page) }
        for then in entry.learners.removeValue(forKey: page) ?? [] { then() }
    }

    /// Takes in the file that a job, alone, may have opened for an entry.
    func took(_ job: JobFile, _ entry: CacheEntry) {
        if job.wasCutShort { damaged(entry.layout.id, "was cut short") }
        guard let file = job.opened else { return }
        entry.file = file
        if file.isNew { entry.blocks = CachedBlocks(isEmpty: true) }
    }

    // MARK: Reading

    /// Reads a block that is there, checks it, and hands it out; nil when it is not what was written.
    func read(_ layout: CacheLayout, _ block: UInt64, then: @escaping (ByteBuffer?) -> Void) {
        let entry = entry(layout)
        guard let file = entry.file else { return then(nil) }
        let count = layout.bytes(of: block).count
        schedule(
            entry, isAlone: { false },
            {
                {
                    var buffer = ByteBufferAllocator().buffer(capacity: count)
                    var outcome: CacheFile.BlockRead?
                    buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
                        outcome = try? file.read(
                            block, into: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]))
                        return count
                    }
                    return (buffer, outcome)
                }
            }
        ) { (read: (buffer: ByteBuffer, outcome: CacheFile.BlockRead?)) in
            guard entry.file === file else { return then(nil) }
            if read.outcome == .bytes {
                if !self.needsConfirmation { entry.blocks.checked(block..<block + 1) }
                self.use(entry, block..<block + 1)
                return then(read.buffer)
            }
            entry.blocks.remove(block)
            switch read.outcome {
            case .damaged: self.damaged(layout.id, "is damaged in block \(block)")
            case .lost: self.lost(file)
            case nil: self.damaged(layout.id, "cannot be read in block \(block)")
            case .absent, .bytes: break
            }
            then(nil)
        }
    }

    /// What is kept may be anything: from now on each block must be confirmed.
    func doubtAll() {
        needsConfirmation = true
        doubts += 1
        for entry in entries.values { entry.blocks = CachedBlocks() }
    }

    /// What was read of a block is what the image has there, or is not.
    func confirm(_ layout: CacheLayout, _ block: UInt64, isRight: Bool) {
        let entry = entry(layout)
        // It may have been given up meanwhile.
        guard entry.file != nil, entry.blocks.state(of: block) == .unchecked else { return }
        if isRight {
            entry.blocks.checked(block..<block + 1)
        } else {
            entry.blocks.remove(block)
            damaged(layout.id, "is not what the manifest says in block \(block)")
        }
    }

    /// Whether there is nothing on disk, or on its way there.
    var isEmpty: Bool { index.count == 0 && filling.isEmpty }

    // MARK: For operators

    var status: SessionStatus.Cache {
        SessionStatus.Cache(
            limit: limit, used: index.allocated, files: index.count,
            filledBlocks: filling.blocksDone, evictedBlocks: eviction.blocksDone,
            damaged: damagedCount)
    }
}

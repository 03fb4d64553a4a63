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
    /// One cache file that is in use, and the jobs that are to be done to it, in order: those that read
    /// or write blocks at the same time, those that make or remove the file or give blocks up alone.
    final class Entry {
        let layout: CacheLayout
        var file: CacheFile?
        var blocks = CachedBlocks()
        var lastUse: UInt64 = 0
        fileprivate var queue: [Job] = []
        fileprivate var running = 0
        fileprivate var runsAlone = false

        init(_ layout: CacheLayout) { self.layout = layout }

        fileprivate var isIdle: Bool { running == 0 && queue.isEmpty }
    }

    fileprivate struct Job {
        /// Asked when its turn has come.
        let isAlone: () -> Bool
        let begin: () -> Void
    }

    let directory: CacheDirectory
    /// Bytes of storage.
    private(set) var limit: UInt64
    let image: ImageStore
    var index = CacheIndex()
    /// Blocks that were found not to be what was written, and files that were cut short.
    private var damagedCount = 0
    private var filledBlocks = 0
    private var evictedBlocks = 0
    let onEvent: (String) -> Void
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    private var entries: [NodeID: Entry] = [:]
    private var useNumber: UInt64 = 0
    /// What was there at the start is in the index.
    private(set) var isScanned = false
    private var scanWaiters: [() -> Void] = []
    /// Fills that wait for room, and the bytes of those and of the ones on the pool.
    private var queuedFills: [Fill] = []
    private var queuedBytes: UInt64 = 0
    private var fillingBytes: UInt64 = 0
    private var isEvicting = false
    /// Where the sweep of the file under the clock's hand goes on.
    private var sweep: (id: NodeID, block: UInt64)?
    private var isFailing = false

    private struct Fill {
        let entry: Entry
        let block: UInt64
        let data: ByteBuffer
        let done: () -> Void
        var bytes: UInt64 { CacheLayout.blockBytes }
    }

    private static let entriesMaximum = 256
    /// More than this waits for the disk: what comes then is passed on and not kept.
    private static let queuedBytesMaximum: UInt64 = 32 << 20
    private static let victimsAtOnce = 64

    init(
        directory: CacheDirectory, limit: UInt64, image: ImageStore, loop: any EventLoop,
        pool: NIOThreadPool, onEvent: @escaping (String) -> Void
    ) {
        self.directory = directory
        self.limit = limit
        self.image = image
        self.loop = loop
        self.pool = pool
        self.onEvent = onEvent
        run({ directory.scan() }) { found in
            for file in found where !self.index.contains(file.id) {
                self.index.set(file.id, allocated: file.allocated)
            }
            self.isScanned = true
            let waiters = self.scanWaiters
            self.scanWaiters = []
            for waiter in waiters { waiter() }
            self.startFills()
        }
    }

    /// Calls back when all that was there at the start is known.
    func whenScanned(_ then: @escaping () -> Void) {
        if isScanned { then() } else { scanWaiters.append(then) }
    }

    // MARK: Entries

    func layout(of id: NodeID) -> CacheLayout? {
        if let entry = entries[id] { return entry.layout }
        guard let attributes = image.attributes(of: id), attributes.type == .regular,
            attributes.size > 0
        else { return nil }
        return CacheLayout(id: id, attributes: attributes)
    }

    private func entry(_ layout: CacheLayout) -> Entry {
        useNumber += 1
        if let entry = entries[layout.id] {
            entry.lastUse = useNumber
            return entry
        }
        if entries.count >= Self.entriesMaximum { closeOldest() }
        let entry = Entry(layout)
        entry.lastUse = useNumber
        entries[layout.id] = entry
        return entry
    }

    private func closeOldest() {
        let idle = entries.values.filter(\.isIdle).sorted { $0.lastUse < $1.lastUse }
        for entry in idle.prefix(Self.entriesMaximum / 4) { entries[entry.layout.id] = nil }
    }

    /// Does something to a file on the pool when its turn has come.
    /// - Parameter isAlone: whether nothing else may be done to it meanwhile.
    /// - Parameter prepare: called when it begins; what it returns is done on the pool.
    private func schedule<Result: Sendable>(
        _ entry: Entry, isAlone: @escaping () -> Bool,
        _ prepare: @escaping () -> @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        let job = Job(isAlone: isAlone) {
            self.run(prepare()) { result in
                entry.running -= 1
                entry.runsAlone = false
                then(result)
                self.beginJobs(of: entry)
            }
        }
        entry.queue.append(job)
        beginJobs(of: entry)
    }

    private func beginJobs(of entry: Entry) {
        while let job = entry.queue.first, !entry.runsAlone {
            let isAlone = job.isAlone()
            if isAlone, entry.running > 0 { return }
            entry.queue.removeFirst()
            entry.running += 1
            entry.runsAlone = isAlone
            job.begin()
        }
    }

    private func run<Result: Sendable>(
        _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        let then = NIOLoopBound(then, eventLoop: loop)
        pool.runIfActive(eventLoop: loop, work).whenSuccess { then.value($0) }
    }

    /// Removes a cache file that cannot be used, whatever is being done to it.
    private func forget(_ entry: Entry) {
        let id = entry.layout.id
        guard entries[id] === entry else { return }
        entries[id] = nil
        remove(self.entry(entry.layout)) {}
    }

    /// Removes a cache file.
    private func remove(_ entry: Entry, then: @escaping () -> Void) {
        let (directory, id) = (directory, entry.layout.id)
        entry.blocks = CachedBlocks()
        schedule(entry, isAlone: { true }, { { directory.remove(id) } }) {
            entry.file = nil
            entry.blocks = CachedBlocks()
            self.index.remove(id)
            then()
        }
    }

    private func damaged(_ id: NodeID, _ what: String) {
        damagedCount += 1
        let path = String(decoding: image.path(of: id) ?? [], as: UTF8.self)
        onEvent("the cache of /\(path) \(what): fetching it again")
    }

    // MARK: Reading

    /// The file that a range can be read from at once, if all of it is there and was checked.
    func checkedFile(_ id: NodeID, _ range: Range<UInt64>) -> CacheFile? {
        guard let entry = entries[id], let file = entry.file else { return nil }
        let blocks = entry.layout.blocks(of: range)
        guard entry.blocks.areChecked(blocks) else { return nil }
        use(entry, blocks)
        return file
    }

    private func use(_ entry: Entry, _ blocks: Range<UInt64>) {
        useNumber += 1
        entry.lastUse = useNumber
        entry.blocks.use(blocks)
        index.use(entry.layout.id)
    }

    /// Tells whether a block is there, as far as the table knows.
    func find(_ layout: CacheLayout, _ block: UInt64, then: @escaping (_ isThere: Bool) -> Void) {
        // Most of main was never fetched: that is known without a look at the disk.
        if isScanned, entries[layout.id] == nil, !index.contains(layout.id) {
            then(false)
            return
        }
        let entry = entry(layout)
        switch entry.blocks.state(of: block) {
        case .checked, .unchecked: then(true)
        case .absent: then(false)
        case .unknown: learn(entry, block) { then(self.isThere(entry, block)) }
        }
    }

    private func isThere(_ entry: Entry, _ block: UInt64) -> Bool {
        switch entry.blocks.state(of: block) {
        case .checked, .unchecked: true
        case .absent, .unknown: false
        }
    }

    private struct Learned: Sendable {
        var file: CacheFile?
        var page: CacheFile.TablePage?
        var isLost = false
    }

    /// Opens the cache file, if there is one, and reads the part of its table that tells of a block.
    private func learn(_ entry: Entry, _ block: UInt64, then: @escaping () -> Void) {
        let (directory, layout) = (directory, entry.layout)
        schedule(
            entry, isAlone: { entry.file == nil },
            {
                let open = entry.file
                return {
                    var learned = Learned(file: open)
                    if open == nil {
                        learned.file = try? directory.open(layout, create: false) {
                            learned.isLost = true
                        }
                    }
                    learned.page = try? learned.file?.tablePage(with: block)
                    return learned
                }
            }
        ) { (learned: Learned) in
            if learned.isLost { self.damaged(layout.id, "was cut short") }
            if entry.file == nil {
                entry.file = learned.file
                if learned.file == nil { self.index.remove(layout.id) }
            }
            if let page = learned.page, entry.file === learned.file { entry.blocks.learn(page) }
            then()
        }
    }

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
                entry.blocks.checked(block)
                self.use(entry, block..<block + 1)
                return then(read.buffer)
            }
            entry.blocks.remove(block)
            switch read.outcome {
            case .damaged: self.damaged(layout.id, "is damaged in block \(block)")
            case .lost:
                self.damaged(layout.id, "was cut short")
                self.forget(entry)
            case nil: self.damaged(layout.id, "cannot be read in block \(block)")
            case .absent, .bytes: break
            }
            then(nil)
        }
    }

    /// A file that a range was to be read from at once was cut short.
    func lost(_ file: CacheFile) {
        guard let entry = entries[file.layout.id], entry.file === file else { return }
        damaged(file.layout.id, "was cut short")
        forget(entry)
    }

    // MARK: Filling

    /// Keeps a block that main sent. Until `done` it is not to be read from here.
    func fill(
        _ layout: CacheLayout, _ block: UInt64, _ data: ByteBuffer, done: @escaping () -> Void
    ) {
        let fill = Fill(entry: entry(layout), block: block, data: data, done: done)
        guard !isFailing, queuedBytes < Self.queuedBytesMaximum else { return done() }
        queuedBytes += fill.bytes
        queuedFills.append(fill)
        startFills()
    }

    private func startFills() {
        while let fill = queuedFills.first {
            guard index.allocated + fillingBytes + fill.bytes <= limit || !isScanned else {
                evict()
                return
            }
            queuedFills.removeFirst()
            queuedBytes -= fill.bytes
            start(fill)
        }
    }

    private struct Filled: Sendable {
        var file: CacheFile?
        var wasCutShort = false
        /// nil: the file was cut short meanwhile.
        var allocated: UInt64?
        var failure: Errno?
    }

    private func start(_ fill: Fill) {
        let (entry, block, data) = (fill.entry, fill.block, fill.data)
        let (directory, layout) = (directory, entry.layout)
        guard entries[layout.id] ?? entry === entry else { return fill.done() }
        entries[layout.id] = entry
        fillingBytes += fill.bytes
        schedule(
            entry, isAlone: { entry.file == nil },
            {
                let open = entry.file
                return {
                    var filled = Filled(file: open)
                    do throws(Errno) {
                        if open == nil {
                            filled.file = try directory.open(layout, create: true) {
                                filled.wasCutShort = true
                            }
                        }
                        guard let file = filled.file else { return filled }
                        filled.allocated = try data.withBlock { bytes throws(Errno) in
                            try file.write(block, bytes)
                        }
                    } catch {
                        filled.failure = error
                    }
                    return filled
                }
            }
        ) { filled in
            self.fillingBytes -= fill.bytes
            self.finish(fill, filled)
            self.startFills()
        }
    }

    private func finish(_ fill: Fill, _ filled: Filled) {
        let entry = fill.entry
        if filled.wasCutShort { damaged(entry.layout.id, "was cut short") }
        if entry.file == nil { entry.file = filled.file }
        if let failure = filled.failure {
            failed(failure)
        } else if let allocated = filled.allocated {
            entry.blocks.checked(fill.block)
            if entries[entry.layout.id] === entry {
                index.set(entry.layout.id, allocated: allocated)
            }
            filledBlocks += 1
        } else {
            damaged(entry.layout.id, "was cut short")
            forget(entry)
        }
        fill.done()
    }

    private func failed(_ failure: Errno) {
        if failure == .noSpace || failure == .diskQuotaExceeded {
            // Somebody else needs the space.
            limit = index.allocated - min(index.allocated, Self.queuedBytesMaximum)
            onEvent("no space for the cache in \(directory.path): keeping it below \(limit) bytes")
        } else if !isFailing {
            isFailing = true
            onEvent(
                "the cache in \(directory.path) cannot be written to (\(failure)): keeping no more")
        }
    }

    // MARK: Giving up

    private func evict() {
        guard !isEvicting else { return }
        guard let id = index.candidate() else { return dropQueue() }
        isEvicting = true
        guard let layout = layout(of: id) else {
            // Of an image database that is lost.
            let directory = directory
            run({ directory.remove(id) }) {
                self.index.remove(id)
                self.evicted()
            }
            return
        }
        let entry = entry(layout)
        guard layout.blockCount > 1 else { return giveUp(entry) }
        let start = sweep?.id == id ? sweep?.block ?? 0 : 0
        learnIfUnknown(entry, start) { self.giveUpBlocks(of: entry, from: start) }
    }

    private func learnIfUnknown(_ entry: Entry, _ block: UInt64, then: @escaping () -> Void) {
        if entry.file != nil, entry.blocks.state(of: block) != .unknown { return then() }
        learn(entry, block, then: then)
    }

    private func giveUpBlocks(of entry: Entry, from start: UInt64) {
        let layout = entry.layout
        let page = start / CachedBlocks.pageBlocks
        let pageEnd = min((page + 1) * CachedBlocks.pageBlocks, layout.blockCount)
        let (victims, next) = entry.blocks.takeVictims(
            from: start, count: Self.victimsAtOnce, blockCount: pageEnd)
        for block in victims { entry.blocks.remove(block) }
        evictedBlocks += victims.count
        let isEnd = next == nil && pageEnd == layout.blockCount
        if isEnd, entry.blocks.isEmpty { return giveUp(entry) }
        sweep = isEnd ? nil : (layout.id, next ?? pageEnd)
        if isEnd { index.advance() }
        guard !victims.isEmpty, let file = entry.file else { return evicted() }
        schedule(entry, isAlone: { true }, { { try? file.drop(victims) } }) { allocated in
            if let allocated, entry.file === file {
                self.index.set(layout.id, allocated: allocated)
            }
            self.evicted()
        }
    }

    /// Gives up a whole file.
    private func giveUp(_ entry: Entry) {
        sweep = nil
        if entry.layout.blockCount == 1 { evictedBlocks += 1 }
        remove(entry) {
            self.index.advance()
            self.evicted()
        }
    }

    private func evicted() {
        isEvicting = false
        loop.assumeIsolated().execute { self.startFills() }
    }

    /// Nothing can be given up: all of it is pinned.
    private func dropQueue() {
        let dropped = queuedFills
        queuedFills = []
        queuedBytes = 0
        for fill in dropped { fill.done() }
    }

    // MARK: For operators

    var status: SessionStatus.Cache {
        SessionStatus.Cache(
            limit: limit, used: index.allocated, files: index.count, filledBlocks: filledBlocks,
            evictedBlocks: evictedBlocks, damaged: damagedCount)
    }

    /// Finds the first block from `start` on that is kept, as far as the table knows.
    func firstKept(
        _ layout: CacheLayout, from start: UInt64, then: @escaping (UInt64?) -> Void
    ) {
        guard start < layout.blockCount else { return then(nil) }
        let entry = entry(layout)
        learnIfUnknown(entry, start) {
            let page = start / CachedBlocks.pageBlocks
            let end = min((page + 1) * CachedBlocks.pageBlocks, layout.blockCount)
            if let kept = entry.blocks.firstPresent(from: start, limit: end) {
                then(kept)
            } else {
                self.loop.assumeIsolated().execute {
                    self.firstKept(layout, from: end, then: then)
                }
            }
        }
    }

    /// Gives up all blocks of a file.
    func drop(_ id: NodeID, then: @escaping () -> Void) {
        guard let layout = layout(of: id) else { return then() }
        remove(entry(layout), then: then)
    }
}

extension ByteBuffer {
    /// Calls `body` with the readable bytes.
    func withBlock<T>(
        _ body: (UnsafeRawBufferPointer) throws(Errno) -> T
    ) throws(Errno) -> T {
        let result: Result<T, Errno> = withUnsafeReadableBytes { bytes in
            do throws(Errno) { return .success(try body(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

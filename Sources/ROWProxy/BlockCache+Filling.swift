import NIOCore
import ROWCore
import SystemPackage

/// Keeping what main sent.
extension BlockCache {
    /// Blocks that came in one piece, to be written to their file.
    fileprivate struct Fill {
        let layout: CacheLayout
        let blocks: Range<UInt64>
        let data: ByteBuffer
        /// What ``BlockCache/doubts`` was when they came.
        let doubts: Int
        let done: (_ isKept: Bool) -> Void

        /// What of memory it holds: the buffer that a small file came in is larger than the file.
        var memoryBytes: Int { blocks.count * Int(CacheLayout.blockBytes) }
        /// What of storage it may take: its pages, and those of the table, which may straddle two.
        var storageBytes: UInt64 { (UInt64(data.readableBytes) + 4095) & ~4095 + 8192 }
    }

    struct Filling {
        fileprivate var queue: [Fill] = []
        /// Of the queue, and of what is being written.
        fileprivate var memoryBytes = 0
        /// What is being written.
        fileprivate var count = 0
        fileprivate var storageBytes: UInt64 = 0
        /// Nothing is written for now.
        fileprivate var hasFailed = false
        /// When the disk last had no room, or failed otherwise, if that still counts.
        fileprivate var lastFailure: NIODeadline?
        var isEmpty: Bool { queue.isEmpty && count == 0 }
        /// Blocks that were written.
        fileprivate(set) var blocksDone = 0

        /// More than this waits for the disk: what comes then is passed on and not kept.
        fileprivate static let memoryBytesMaximum = 16 << 20
        /// Few, so that those who read from the disk need not wait for all that is to be written.
        fileprivate static let countMaximum = 8
    }

    /// How long a failure of the disk counts: then it is taken to be as good as it was.
    static let failureCounts = TimeAmount.minutes(5)

    /// Keeps blocks that main sent. Until `done` they are not to be read from here; it hears whether
    /// they were kept.
    func fill(
        _ layout: CacheLayout, _ blocks: Range<UInt64>, _ data: ByteBuffer,
        done: @escaping (_ isKept: Bool) -> Void
    ) {
        let fill = Fill(layout: layout, blocks: blocks, data: data, doubts: doubts, done: done)
        forgetFailure()
        guard !filling.hasFailed,
            filling.memoryBytes + fill.memoryBytes <= Filling.memoryBytesMaximum
        else { return done(false) }
        filling.memoryBytes += fill.memoryBytes
        filling.queue.append(fill)
        proceed()
    }

    /// Begins what there is room for, and makes room.
    func proceed() {
        // Until the scan is done nobody knows whether there is room.
        while isScanned, let fill = filling.queue.first, filling.count < Filling.countMaximum {
            let wanted = index.allocated + filling.storageBytes + fill.storageBytes
            guard wanted <= limit else { return evict() }
            filling.queue.removeFirst()
            start(fill)
        }
        if index.allocated > limit { evict() }
    }

    /// Nothing can be given up.
    func cannotEvict() {
        // What is being written can be, when it has been.
        guard filling.count == 0 else { return }
        let dropped = filling.queue
        filling.queue = []
        for fill in dropped { finish(fill, isKept: false) }
    }

    private func finish(_ fill: Fill, isKept: Bool) {
        filling.memoryBytes -= fill.memoryBytes
        fill.done(isKept)
    }

    private struct Filled: Sendable {
        var file: JobFile
        /// Nil: the file was cut short meanwhile.
        var allocated: UInt64?
        var failure: Errno?
    }

    private func start(_ fill: Fill) {
        let (directory, layout, blocks, data) = (directory, fill.layout, fill.blocks, fill.data)
        let entry = entry(layout)
        filling.count += 1
        filling.storageBytes += fill.storageBytes
        schedule(
            entry, isAlone: { entry.file == nil },
            {
                let file = JobFile(of: entry)
                return {
                    var filled = Filled(file: file)
                    do throws(Errno) {
                        try filled.file.openIfNeeded(in: directory, layout, create: true)
                        guard let file = filled.file.file else { return filled }
                        filled.allocated = try data.withBlock { bytes throws(Errno) in
                            try file.write(blocks, bytes)
                        }
                    } catch {
                        filled.failure = error
                        filled.allocated = try? filled.file.file?.allocatedBytes
                    }
                    return filled
                }
            }
        ) { filled in
            self.filling.count -= 1
            self.filling.storageBytes -= fill.storageBytes
            self.finish(fill, isKept: self.take(filled, fill, entry))
            self.proceed()
        }
    }

    /// - Returns: whether the blocks are in the file now.
    private func take(_ filled: Filled, _ fill: Fill, _ entry: CacheEntry) -> Bool {
        let id = entry.layout.id
        took(filled.file, entry)
        if let failure = filled.failure {
            failed(failure)
            if let file = filled.file.file, entry.file === file {
                keepOrRemove(file, filled, entry)
            }
            return false
        }
        guard let file = filled.file.file, let allocated = filled.allocated else {
            if let file = filled.file.file { lost(file) }
            return false
        }
        // Otherwise the file was lost while this was written.
        guard entry.file === file else { return false }
        // What came before all was doubted is read, and confirmed, like anything else that was there.
        if fill.doubts == doubts {
            entry.blocks.checked(fill.blocks)
        } else {
            entry.blocks = CachedBlocks()
        }
        // Those who write at the same time may be heard of in another order, and only add to it.
        index.set(id, allocated: max(allocated, index.allocated(of: id)))
        filling.blocksDone += fill.blocks.count
        return true
    }

    /// A file that could not be written to takes up space all the same.
    private func keepOrRemove(_ file: CacheFile, _ filled: Filled, _ entry: CacheEntry) {
        let id = entry.layout.id
        guard index.contains(id) || !file.isNew else { return remove(entry) {} }
        if let allocated = filled.allocated {
            index.set(id, allocated: max(allocated, index.allocated(of: id)))
        }
    }

    /// After a while without a failure all is as it was wished again.
    private func forgetFailure() {
        guard let last = filling.lastFailure, now() - last >= Self.failureCounts else { return }
        filling.lastFailure = nil
        filling.hasFailed = false
        limit = wishedLimit
        onEvent("the cache in \(directory.path) is tried again: keeping up to \(limit) bytes")
    }

    private func failed(_ failure: Errno) {
        switch failure {
        case .noSpace, .diskQuotaExceeded:
            filling.lastFailure = now()
            // Somebody else needs the space. Others that failed at the same time say nothing new.
            guard index.allocated <= limit else { return }
            limit = index.allocated - index.allocated / 8
            onEvent("no space for the cache in \(directory.path): keeping it below \(limit) bytes")
        case .fileTooLarge, .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory:
            // Of this file or this moment.
            break
        default:
            filling.lastFailure = now()
            guard !filling.hasFailed else { return }
            filling.hasFailed = true
            onEvent(
                "the cache in \(directory.path) cannot be written to (\(failure)): "
                    + "keeping no more for a while")
        }
    }
}

extension ByteBuffer {
    /// Calls `body` with the readable bytes.
    fileprivate func withBlock<T>(
        _ body: (UnsafeRawBufferPointer) throws(Errno) -> T
    ) throws(Errno) -> T {
        let result: Result<T, Errno> = withUnsafeReadableBytes { bytes in
            do throws(Errno) { return .success(try body(bytes)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

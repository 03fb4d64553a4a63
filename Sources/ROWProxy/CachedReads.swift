import NFSProtocol
import NIOCore
import ROWCore

/// Reads of main through the cache: whole blocks, each fetched once however many want it, several in one
/// READ where they adjoin, and ahead of whoever reads in order.
///
/// Loop-confined.
final class CachedReads {
    typealias Completion = (Result<ByteBuffer, MainSource.ReadFailure>) -> Void

    let cache: BlockCache
    /// Knows what the blocks should be, if anybody does.
    weak var manifest: ImageManifest?
    private let remote: RemoteImage
    private let counters: Counters
    private var flights = BlockFlights()
    private var ahead = ReadAhead()

    /// How many blocks are fetched ahead of one reader at most: fewer where main takes long to send them,
    /// or clients' own misses, and the end of what was asked for, would wait behind them.
    private var aheadMaximum = ReadAhead.windowMaximum
    private static let aheadLeast: UInt64 = 4
    /// What is fetched ahead should come within this part of the time that clients wait.
    private static let aheadShare: Int64 = 10

    /// Blocks under way, or on their way to the disk, at which nothing is fetched ahead any more: less
    /// than what waits for the disk at most, so that what is fetched ahead is kept.
    private static let flightsMaximum = 192

    init(cache: BlockCache, remote: RemoteImage, counters: Counters) {
        self.cache = cache
        self.remote = remote
        self.counters = counters
    }

    /// Reads a range of a file.
    /// - Parameter range: not empty, below the file's size in the image.
    func read(_ id: NodeID, _ range: Range<UInt64>, then: @escaping Completion) {
        guard let layout = cache.layout(of: id) else {
            remote.read(id, range, then: then)
            return
        }
        let blocks = layout.blocks(of: range)
        let counters = counters
        let request = Request(range: range, remaining: blocks.count) { result, cachedBytes in
            counters.bytesFromCache += cachedBytes
            then(result)
        }
        var missing: [UInt64] = []
        for block in blocks {
            let key = BlockFlights.Key(id: id, block: block)
            if let piece = flights.inMemory(key) {
                request.take(.success(piece))
            } else if flights.wait(for: key, { request.take($0) }) {
                missing.append(block)
            }
        }
        get(layout, missing)
        readOn(layout, blocks: blocks)
    }

    /// A client has read a range that was there at once.
    func readOn(_ layout: CacheLayout, _ range: Range<UInt64>) {
        readOn(layout, blocks: layout.blocks(of: range))
    }

    private func readOn(_ layout: CacheLayout, blocks: Range<UInt64>) {
        // What is fetched ahead must not be given up before it is read.
        let windowMaximum = min(aheadMaximum, cache.limit / CacheLayout.blockBytes / 16)
        let next = ahead.read(
            blocks, of: layout.id, blockCount: layout.blockCount, windowMaximum: windowMaximum)
        let flightsMaximum = min(Self.flightsMaximum, Int(aheadMaximum) * 3 / 2)
        guard !next.isEmpty, flights.count < flightsMaximum else { return }
        let start = NIODeadline.now()
        fetchAhead(layout, next) { fetched in
            guard let arrival = fetched.arrival else { return }
            self.cameAhead(next.count, after: arrival - start)
        }
    }

    /// Blocks that were fetched ahead have come.
    private func cameAhead(_ count: Int, after time: TimeAmount) {
        let wanted = remote.settings.timeout / Self.aheadShare
        if time > wanted {
            aheadMaximum = max(Self.aheadLeast, min(aheadMaximum, UInt64(count)) / 2)
        } else if time < wanted / 2 {
            aheadMaximum = min(ReadAhead.windowMaximum, aheadMaximum * 2)
        }
    }

    /// What fetching ahead came to.
    struct FetchedAhead {
        /// Of those that main was asked for.
        var bytes = 0
        /// When the last of them came.
        var arrival: NIODeadline?
        /// Of the first that could not be had, or kept.
        var failure: NFS3.Status?
    }

    /// Gets blocks into the cache that nobody waits for yet.
    /// - Parameter then: called when all of them are on disk, or cannot be had: what main sends faster
    ///   than the disk takes it, the disk holds up.
    func fetchAhead(
        _ layout: CacheLayout, _ blocks: Range<UInt64>, then: @escaping (FetchedAhead) -> Void
    ) {
        var fetched = FetchedAhead()
        var toCome = 1
        let came = {
            toCome -= 1
            if toCome == 0 { then(fetched) }
        }
        let written = { (isKept: Bool) in
            if !isKept { fetched.failure = fetched.failure ?? .nospc }
            came()
        }
        cache.find(layout, Array(blocks)) { _, absent in
            let missing = absent.filter { block in
                let key = BlockFlights.Key(id: layout.id, block: block)
                toCome += 1
                if self.flights.inMemory(key) != nil {
                    self.flights.whenWritten(key, written)
                    return false
                }
                return self.flights.wait(for: key) { result in
                    switch result {
                    case .success(let piece):
                        if !piece.isFromCache {
                            fetched.bytes += layout.bytes(of: block).count
                            fetched.arrival = .now()
                        }
                        if self.flights.inMemory(key) != nil {
                            self.flights.whenWritten(key, written)
                        } else {
                            let bytes = layout.bytes(of: block)
                            written(self.cache.checkedFile(layout.id, bytes) != nil)
                        }
                    case .failure(let failure):
                        fetched.failure = fetched.failure ?? failure.status
                        came()
                    }
                }
            }
            self.fetch(layout, missing)
            came()
        }
    }

    // MARK: From disk or main

    /// Gets blocks that are waited for.
    private func get(_ layout: CacheLayout, _ blocks: [UInt64]) {
        guard !blocks.isEmpty else { return }
        cache.find(layout, blocks) { present, absent in
            for block in present { self.readFromDisk(layout, block) }
            self.fetch(layout, absent)
        }
    }

    private func readFromDisk(_ layout: CacheLayout, _ block: UInt64) {
        cache.read(layout, block) { data in
            guard let data else { return self.fetch(layout, [block]) }
            guard self.cache.needsConfirmation else {
                return self.land(layout, block, .success(data), isKept: false)
            }
            guard let manifest = self.manifest else {
                let failure = MainSource.ReadFailure(status: .jukebox)
                return self.land(layout, block, .failure(failure), isKept: false)
            }
            manifest.verify(layout.id, layout.bytes(of: block), data) { verdict in
                switch verdict {
                case .right:
                    self.cache.confirm(layout, block, isRight: true)
                    self.land(layout, block, .success(data), isKept: false)
                case .wrong:
                    self.cache.confirm(layout, block, isRight: false)
                    self.fetch(layout, [block])
                case .unavailable:
                    let failure = MainSource.ReadFailure(status: .jukebox)
                    self.land(layout, block, .failure(failure), isKept: false)
                }
            }
        }
    }

    /// A block was had on this machine, or cannot be had.
    /// - Parameter isKept: whether it is on its way to the disk, under its own name.
    private func land(
        _ layout: CacheLayout, _ block: UInt64, _ data: Result<ByteBuffer, MainSource.ReadFailure>,
        isKept: Bool
    ) {
        let key = BlockFlights.Key(id: layout.id, block: block)
        let range = layout.bytes(of: block)
        let piece = data.map {
            BlockFlights.Piece(range: range, data: $0, isFromCache: true)
        }
        let waiters = flights.land(key, piece, isKept: isKept)
        if isKept, case .success(let piece) = piece {
            keep(layout, block..<block + 1, piece, [key])
        }
        for waiter in waiters { waiter(piece) }
    }

    /// Gets blocks from elsewhere on this machine, or from main.
    /// - Parameter blocks: in order.
    private func fetch(_ layout: CacheLayout, _ blocks: [UInt64]) {
        guard let manifest, !blocks.isEmpty else { return fetchFromMain(layout, blocks) }
        manifest.findCopies(of: layout, blocks) { found in
            for (block, data) in found {
                self.land(layout, block, .success(data), isKept: true)
            }
            let found = Set(found.map(\.block))
            self.fetchFromMain(layout, blocks.filter { !found.contains($0) })
        }
    }

    /// READs blocks from main, those that adjoin together.
    /// - Parameter blocks: in order.
    private func fetchFromMain(_ layout: CacheLayout, _ blocks: [UInt64]) {
        let runMaximum = max(1, UInt64(remote.readBytesMaximum) / CacheLayout.blockBytes)
        var rest = blocks[...]
        while let first = rest.first {
            var end = first
            while let next = rest.first, next == end, end - first < runMaximum {
                rest.removeFirst()
                end += 1
            }
            fetch(layout, first..<end)
        }
    }

    private func fetch(_ layout: CacheLayout, _ run: Range<UInt64>) {
        let range = layout.bytes(of: run)
        remote.read(layout.id, range) { result in
            let piece = result.map { BlockFlights.Piece(range: range, data: Self.alone($0)) }
            let keys = run.map { BlockFlights.Key(id: layout.id, block: $0) }
            let waiters = keys.flatMap { self.flights.land($0, piece, isKept: true) }
            if case .success(let piece) = piece { self.keep(layout, run, piece, keys) }
            for waiter in waiters { waiter(piece) }
        }
    }

    /// What main sent came in a buffer with much else, which would stay until all of it is on disk. What
    /// is short is copied.
    private static func alone(_ data: ByteBuffer) -> ByteBuffer {
        data.readableBytes > copiedBytesMaximum ? data : ByteBuffer(bytes: data.readableBytesView)
    }

    private static let copiedBytesMaximum = 16 << 10

    /// Puts blocks that main sent on disk.
    private func keep(
        _ layout: CacheLayout, _ run: Range<UInt64>, _ piece: BlockFlights.Piece,
        _ keys: [BlockFlights.Key]
    ) {
        let forget = { (isKept: Bool) in
            if isKept { self.manifest?.kept(layout, run) }
            for waiter in keys.flatMap({ self.flights.forget($0) }) { waiter(isKept) }
        }
        // Main may have sent more than it was asked for.
        guard let data = piece.slice(piece.range) else { return forget(false) }
        cache.fill(layout, run, data, done: forget)
    }
}

extension BlockFlights.Piece {
    /// The bytes of a range of the file, if all of it is here.
    func slice(_ wanted: Range<UInt64>) -> ByteBuffer? {
        guard range.lowerBound <= wanted.lowerBound, wanted.upperBound <= range.upperBound
        else { return nil }
        return data.getSlice(
            at: data.readerIndex + Int(wanted.lowerBound - range.lowerBound), length: wanted.count)
    }
}

/// A read that waits for its blocks.
private final class Request {
    private let range: Range<UInt64>
    private var remaining: Int
    private var pieces: [BlockFlights.Piece] = []
    private var failure: MainSource.ReadFailure?
    /// Bytes of the range that were on this machine's disk.
    private var cachedBytes = 0
    private let then: (Result<ByteBuffer, MainSource.ReadFailure>, _ cachedBytes: Int) -> Void

    init(
        range: Range<UInt64>, remaining: Int,
        then: @escaping (Result<ByteBuffer, MainSource.ReadFailure>, _ cachedBytes: Int) -> Void
    ) {
        self.range = range
        self.remaining = remaining
        self.then = then
    }

    /// One more block has come, or will not.
    func take(_ result: Result<BlockFlights.Piece, MainSource.ReadFailure>) {
        remaining -= 1
        switch result {
        case .success(let piece):
            if piece.isFromCache { cachedBytes += range.clamped(to: piece.range).count }
            // Blocks that came together are one piece.
            if pieces.last?.range != piece.range { pieces.append(piece) }
        case .failure(let failure): self.failure = self.failure ?? failure
        }
        guard remaining == 0 else { return }
        then(failure.map { .failure($0) } ?? assembled(), cachedBytes)
    }

    private func assembled() -> Result<ByteBuffer, MainSource.ReadFailure> {
        if pieces.count == 1, let slice = pieces[0].slice(range) { return .success(slice) }
        var all = ByteBufferAllocator().buffer(capacity: range.count)
        var next = range.lowerBound
        for piece in pieces.sorted(by: { $0.range.lowerBound < $1.range.lowerBound }) {
            let end = min(piece.range.upperBound, range.upperBound)
            // What one piece has of the range another may have, too.
            guard next < end else { continue }
            guard var slice = piece.slice(next..<end) else { break }
            all.writeBuffer(&slice)
            next = end
        }
        return next == range.upperBound
            ? .success(all) : .failure(MainSource.ReadFailure(status: .io))
    }
}

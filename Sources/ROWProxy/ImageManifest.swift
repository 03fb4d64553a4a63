import Foundation
import NFSProtocol
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// The manifest of a remote image: found among its files, loaded in the background while it is in use already.
/// Names and attributes are answered from it, and every block that main sends is compared with it.
///
/// Loop-confined.
final class ImageManifest {
    private enum State {
        /// Whether there is one is being found out.
        case looking
        case absent
        case open(ManifestWorker, ManifestPieces)
        /// There is one that cannot be read.
        case unusable
    }

    let image: ImageStore
    let cache: BlockCache
    let remote: RemoteImage
    let reads: CachedReads
    let loop: any EventLoop
    let pool: NIOThreadPool
    private let events: EventLog
    private let directory: FilePath
    /// The root that a manifest must have; nil: that of the first that is found.
    private let expectedRoot: ContentHash?
    /// How long clients wait for it.
    private let timeout: TimeAmount
    private var state = State.looking
    private(set) var sums: ManifestSums?
    private var pathOfPieces: String?
    private var layout: CacheLayout?
    /// Fetches that wait until it is known whether there is one.
    private var waiting: [(Bool) -> Void] = []
    /// Fetches go to main meanwhile.
    private var isHolding: Bool
    private var hasLinksOfServers = false
    private var isClosed = false
    /// Blocks of main were used before it was known that there is a manifest.
    private var hasPassedUnchecked = false
    private var retry: Scheduled<Void>?
    let copies: ChunkCopies?
    var counts = SessionStatus.Manifest.Counts()
    /// Pieces that are known to be here, from the first on.
    private var piecesLoaded: UInt64 = 0

    private static let retryInterval = TimeAmount.seconds(2)
    private static let loadBlocks: UInt64 = 16
    /// Of linked names that came from a server and may be a name of the manifest's.
    private static let linkCandidatesMaximum = 64

    /// - Parameter copies: where blocks may be had from on this machine.
    init(
        of remote: RemoteImage, reads: CachedReads, directory: FilePath, expectedRoot: ContentHash?,
        copies: ChunkCopies?, pool: NIOThreadPool
    ) {
        image = remote.settings.image
        loop = remote.settings.loop
        events = remote.settings.events
        timeout = remote.settings.timeout
        cache = reads.cache
        self.remote = remote
        self.reads = reads
        self.directory = directory
        self.expectedRoot = expectedRoot
        self.copies = copies
        self.pool = pool
        let isNew = !image.isComplete(.root) && image.entriesKnown(of: .root) == 0
        isHolding = expectedRoot != nil || image.manifest != nil || isNew
    }

    // MARK: Finding it

    private var sumsPath: FilePath { directory.appending(ManifestPlace.sums) }

    func start() {
        if let known = image.manifest, let expectedRoot, expectedRoot != known.root {
            events.add(
                "the image was served with the manifest \(known.root) before, and is to have "
                    + "\(expectedRoot) now: it is not served")
            return enter(.unusable)
        }
        if let known = image.manifest, expectedRoot == nil || expectedRoot == known.root,
            let data = SmallFile.read(sumsPath),
            let sums = try? ManifestSums(bytes: Array(data)), sums.rootHash == known.root
        {
            open(sums)
        } else {
            look()
        }
    }

    private func look() {
        remote.findManifest(expecting: expectedRoot ?? image.manifest?.root) { result in
            guard !self.isClosed else { return }
            switch result {
            case .success(let found?): self.adopt(found)
            case .success(nil): self.enter(.absent)
            case .failure:
                // Whoever waits may try again; where nothing says that there is one, main is asked.
                let mustHave = self.expectedRoot != nil || self.image.manifest != nil
                if !mustHave { self.isHolding = false }
                self.tellWaiting(mayProceed: !mustHave)
                self.retry = self.loop.assumeIsolated().scheduleTask(in: Self.retryInterval) {
                    self.look()
                }
            }
        }
    }

    private func adopt(_ found: Replica.FoundManifest) {
        // What is fetched from now on waits, to be compared.
        isHolding = true
        func failed(_ why: String) {
            events.add("the image's manifest cannot be used: \(why)")
            enter(.unusable)
        }
        let path = sumsPath
        pool.runIfActive(eventLoop: loop) { [bytes = found.sumsBytes] in
            try SmallFile.write(Data(bytes), to: path)
        }.assumeIsolated().whenComplete { result in
            guard !self.isClosed else { return }
            if case .failure(let error) = result { return failed("\(path): \(error)") }
            self.cache.whenScanned {
                do {
                    try self.image.adopt(
                        manifest: found.sums.rootHash, directory: found.directory,
                        database: found.database, replica: found.replica,
                        isLate: self.hasPassedUnchecked || !self.cache.isEmpty)
                } catch {
                    return failed("\(error)")
                }
                self.image.commit { status in
                    guard !self.isClosed else { return }
                    if let status { return failed("\(status)") }
                    self.events.add("the image has a manifest: \(found.sums.rootHash)", .notice)
                    self.open(found.sums)
                }
            }
        }
    }

    private func open(_ sums: ManifestSums) {
        guard let known = image.manifest, let layout = cache.layout(of: known.database),
            layout.size == UInt64(sums.size)
        else {
            events.add("the image's manifest is not as long as its sums say")
            return enter(.unusable)
        }
        self.sums = sums
        self.layout = layout
        if isKeptWhole(layout) { cache.index.pinned.insert(known.database) }
        hasLinksOfServers = image.hasLinksOfServers()
        if known.isLate { cache.doubtAll() }
        let bound = NIOLoopBound(self, eventLoop: loop)
        let loop = loop
        let pieces = ManifestPieces(size: layout.size) { piece, then in
            loop.execute { bound.value.get(piece, then) }
        }
        let path = PiecewiseFiles.add(pieces)
        pathOfPieces = path
        enter(.open(ManifestWorker(path: path), pieces))
        load(from: 0)
    }

    private func get(_ piece: UInt64, _ then: @escaping @Sendable (ByteBuffer?) -> Void) {
        guard !isClosed, let layout else { return then(nil) }
        reads.read(layout.id, layout.bytes(of: piece)) { then(try? $0.get()) }
    }

    private func enter(_ state: State) {
        self.state = state
        isHolding = false
        remote.hasManifest = isOpen
        tellWaiting(mayProceed: true)
    }

    private func tellWaiting(mayProceed: Bool) {
        let waiting = waiting
        self.waiting = []
        for then in waiting { then(mayProceed) }
    }

    private var isOpen: Bool { if case .open = state { true } else { false } }

    /// Whether the cache has room for it, beside what clients need.
    private func isKeptWhole(_ layout: CacheLayout) -> Bool { layout.size < cache.limit / 2 }

    /// Gets all of it, a few pieces at a time, unless the cache is too small to keep it.
    private func load(from piece: UInt64) {
        guard !isClosed, let layout, piece < layout.blockCount, isKeptWhole(layout) else { return }
        let pieces = piece..<min(piece + Self.loadBlocks, layout.blockCount)
        reads.fetchAhead(layout, pieces) { fetched in
            guard !self.isClosed else { return }
            switch fetched.failure {
            case nil:
                self.piecesLoaded = max(self.piecesLoaded, pieces.upperBound)
                self.load(from: pieces.upperBound)
            case .nospc?: break
            case .some:
                self.retry = self.loop.assumeIsolated().scheduleTask(in: Self.retryInterval) {
                    self.load(from: piece)
                }
            }
        }
    }

    // MARK: Names

    /// Answers a fetch, if there is a manifest to do so.
    /// - Parameter then: hears nil when main is to be asked.
    func perform(_ fetch: Fetch, then: @escaping (FetchResult?) -> Void) {
        guard !isClosed else { return then(.failed(.jukebox)) }
        switch state {
        case .looking where isHolding:
            waiting.append { mayProceed in
                if mayProceed { self.perform(fetch, then: then) } else { then(.failed(.jukebox)) }
            }
        case .unusable where expectedRoot != nil:
            // Nothing can be compared with what its publisher signed.
            then(.failed(.io))
        case .looking, .absent, .unusable: then(nil)
        case .open(let worker, _):
            guard let path = image.path(of: fetch.subject) else { return then(.failed(.stale)) }
            ask(worker, { $0.perform(fetch, on: path) }) { answer in
                guard let result = answer else { return then(nil) }
                switch result {
                case .known(let result):
                    self.findLinks(in: result, worker) { then(result) }
                case .unavailable, .damaged: then(.failed(.jukebox))
                }
            }
        }
    }

    /// Finds out which of the manifest's objects with several names servers have told of by other names.
    private func findLinks(
        in result: FetchResult, _ worker: ManifestWorker, then: @escaping () -> Void
    ) {
        guard hasLinksOfServers else { return then() }
        let entries: [MainEntry] =
            switch result {
            case .entry(let entry): entry.map { [$0] } ?? []
            case .page(let entries, _): entries.map(\.entry)
            case .target, .failed: []
            }
        var candidates: [(id: NodeID, path: [UInt8])] = []
        for entry in entries
        where image.node(linkedAs: entry.attributes, replica: ImageStore.manifestReplica) == nil {
            for id in image.nodes(
                perhapsLinkedAs: entry.attributes, replica: ImageStore.manifestReplica,
                maximum: Self.linkCandidatesMaximum)
            where !candidates.contains(where: { $0.id == id }) {
                if let path = image.path(of: id) { candidates.append((id, path)) }
            }
        }
        guard !candidates.isEmpty else { return then() }
        let paths = candidates.map(\.path)
        ask(worker, { $0.numbers(of: paths) }) { answer in
            guard case .known(let numbers)? = answer else { return then() }
            for (candidate, number) in zip(candidates, numbers) {
                let entry = entries.first {
                    $0.attributes.fileid == number && $0.attributes.nlink > 1
                }
                guard let entry else { continue }
                self.image.feedLink(
                    entry.attributes, of: candidate.id, replica: ImageStore.manifestReplica)
            }
            then()
        }
    }

    /// Has the worker do something.
    /// - Parameter then: hears nil when the manifest is of no use any more.
    private func ask<Value: Sendable>(
        _ worker: ManifestWorker,
        _ job: @escaping @Sendable (ManifestWorker) -> ManifestWorker.Answer<Value>,
        then: @escaping (ManifestWorker.Answer<Value>?) -> Void
    ) {
        let back = NIOLoopBound((self, then), eventLoop: loop)
        let loop = loop
        worker.queue.async {
            let answer = job(worker)
            loop.execute {
                let (manifest, then) = back.value
                guard !manifest.isClosed else { return }
                if case .damaged(let why) = answer {
                    manifest.abandon(why)
                    return then(nil)
                }
                then(answer)
            }
        }
    }

    private func abandon(_ why: String) {
        guard isOpen else { return }
        events.add("the image's manifest is damaged, and not used any more: \(why)")
        if case .open(_, let pieces) = state { pieces.close() }
        retry?.cancel()
        if let pathOfPieces { PiecewiseFiles.remove(pathOfPieces) }
        pathOfPieces = nil
        layout = nil
        // What comes now is compared with nothing.
        image.doubtBlocks()
        image.commit { _ in }
        enter(.unusable)
    }

    // MARK: Blocks

    /// What blocks of a file should be.
    enum Hashes {
        case known(ManifestWorker.Hashes)
        /// There is no manifest to say so, or it has no such file.
        case none
        case notInImage
        case unavailable
    }

    func hashes(
        of id: NodeID, _ blocks: Range<UInt64>, then: @escaping (Hashes) -> Void
    ) {
        guard !isClosed else { return then(.unavailable) }
        guard case .open(let worker, _) = state, let sums else {
            // What is asked for before that is known must wait, or it would go unchecked.
            if case .looking = state, isHolding {
                waiting.append { mayProceed in
                    if mayProceed {
                        self.hashes(of: id, blocks, then: then)
                    } else {
                        then(.unavailable)
                    }
                }
                return
            }
            hasPassedUnchecked = true
            return then(expectedRoot == nil ? .none : .unavailable)
        }
        // The manifest's own pieces; its thread may be waiting for them.
        if id == layout?.id {
            let all = blocks.map { sums.hash(of: Int($0)) }
            return then(.known(ManifestWorker.Hashes(first: blocks.lowerBound, all: all)))
        }
        guard let path = image.path(of: id) else { return then(.notInImage) }
        ask(worker, { $0.hashes(of: path, blocks) }) { answer in
            switch answer {
            case nil: then(.none)
            case .known(let hashes?): then(.known(hashes))
            case .known(nil): then(Self.isManifests(path) ? .none : .notInImage)
            case .unavailable, .damaged: then(.unavailable)
            }
        }
    }

    /// Whether a path is that of a file of the manifest, which a client may have been shown before.
    private static func isManifests(_ path: [UInt8]) -> Bool {
        path.starts(with: Array("\(ManifestPlace.directory)/".utf8))
    }

    enum Verdict {
        case right
        /// The first block that is not what the manifest says.
        case wrong(block: UInt64)
        case unavailable
    }

    /// Compares bytes that a server sent with the manifest. Only whole blocks can be.
    func verify(
        _ id: NodeID, _ range: Range<UInt64>, _ data: ByteBuffer,
        then: @escaping (Verdict) -> Void
    ) {
        guard !range.isEmpty else { return then(.right) }
        guard let layout = cache.layout(of: id) else {
            // Too long to be kept, and so to be compared.
            return then(isOpen || expectedRoot != nil ? .wrong(block: 0) : .right)
        }
        let blocks = layout.blocks(of: range)
        guard layout.bytes(of: blocks) == range else { return then(.right) }
        hashes(of: id, blocks) { hashes in
            switch hashes {
            case .none: then(.right)
            case .notInImage: then(.wrong(block: blocks.lowerBound))
            case .unavailable: then(.unavailable)
            case .known(let hashes):
                self.pool.runIfActive(eventLoop: self.loop) {
                    ChunkHash.firstWrong(blocks, of: layout, in: data, hashes)
                }.assumeIsolated().whenComplete { result in
                    guard !self.isClosed else { return }
                    switch result {
                    case .failure: then(.unavailable)
                    case .success(let block?):
                        self.counts.wrong += 1
                        then(.wrong(block: block))
                    case .success(nil):
                        self.counts.verified += blocks.count
                        then(.right)
                    }
                }
            }
        }
    }

    /// Finds blocks that are kept on this machine for another image, or another file.
    /// - Parameter then: hears of those that were found.
    func findCopies(
        of layout: CacheLayout, _ blocks: [UInt64],
        then: @escaping ([(block: UInt64, data: ByteBuffer)]) -> Void
    ) {
        guard let copies, isOpen, let first = blocks.first, let last = blocks.last else {
            return then([])
        }
        hashes(of: layout.id, first..<last + 1) { hashes in
            guard case .known(let hashes) = hashes else { return then([]) }
            copies.find(layout, blocks, hashes) { found in
                self.counts.copied += found.count
                self.counts.copiedBytes += found.reduce(0) { $0 + $1.data.readableBytes }
                then(found)
            }
        }
    }

    /// Blocks are on disk now.
    func kept(_ layout: CacheLayout, _ blocks: Range<UInt64>) {
        guard let copies, isOpen else { return }
        hashes(of: layout.id, blocks) { hashes in
            guard case .known(let hashes) = hashes else { return }
            copies.add(layout, blocks, hashes)
        }
    }

    // MARK: Status and end

    var status: SessionStatus.Manifest? {
        switch state {
        case .absent: return nil
        case .looking:
            guard expectedRoot != nil || image.manifest != nil else { return nil }
            return SessionStatus.Manifest(
                root: (expectedRoot ?? image.manifest?.root).map { "\($0)" }, state: "looking",
                pieces: nil, piecesLoaded: nil, counts: counts)
        case .open:
            let isLoaded = layout.map { piecesLoaded >= $0.blockCount } ?? false
            return SessionStatus.Manifest(
                root: image.manifest.map { "\($0.root)" },
                state: isLoaded ? "loaded" : "loading",
                pieces: layout.map { Int($0.blockCount) }, piecesLoaded: Int(piecesLoaded),
                counts: counts)
        case .unusable:
            return SessionStatus.Manifest(
                root: image.manifest.map { "\($0.root)" }, state: "unusable", pieces: nil,
                piecesLoaded: nil, counts: counts)
        }
    }

    /// Ends it; what was to be called back never is.
    /// - Parameter then: told when its threads do nothing any more.
    func close(then: @escaping () -> Void) {
        isClosed = true
        retry?.cancel()
        if let pathOfPieces { PiecewiseFiles.remove(pathOfPieces) }
        pathOfPieces = nil
        var remaining = 1
        let finished = {
            remaining -= 1
            if remaining == 0 { then() }
        }
        if case .open(let worker, let pieces) = state {
            pieces.close()
            remaining += 1
            let back = NIOLoopBound((self, finished), eventLoop: loop)
            let loop = loop
            worker.queue.async {
                loop.execute {
                    let (manifest, finished) = back.value
                    // What gets pieces refers to this object.
                    manifest.state = .absent
                    finished()
                }
            }
        }
        if let copies {
            remaining += 1
            copies.close(then: finished)
        }
        finished()
    }
}

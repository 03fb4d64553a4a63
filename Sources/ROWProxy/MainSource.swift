import NFSProtocol
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// Main as the loop sees it: a local directory, or an NFS server. Identical fetches under way are made
/// once, however many operations wait for them.
final class MainSource {
    enum Kind {
        case directory(DirectoryImage)
        /// - Parameter reads: through the cache; nil without one.
        case remote(RemoteImage, reads: CachedReads?)
    }

    /// Why main gave no bytes.
    struct ReadFailure: Error {
        let status: NFS3.Status
    }

    let kind: Kind
    let image: ImageStore
    /// Asks a remote main for more than clients do.
    var namesAhead: NamesAhead?
    private let counters: Counters
    private let loop: any EventLoop
    private let pool: NIOThreadPool
    /// What fetches ahead of clients; nil without a cache.
    private(set) var prefetcher: Prefetcher?
    private(set) var filesAhead: FilesAhead?
    private var waiting: [Fetch: [(NFS3.Status?) -> Void]] = [:]
    /// Of a remote main.
    private var listings: ListingPace?

    init(
        kind: Kind, image: ImageStore, sessions: SessionTable, counters: Counters,
        loop: any EventLoop, pool: NIOThreadPool
    ) {
        self.kind = kind
        self.image = image
        self.counters = counters
        self.loop = loop
        self.pool = pool
        if case .remote = kind {
            listings = ListingPace { sessions.all.reduce(0) { $0 + $1.counters.dataCalls } }
        }
        if case .remote(_, let reads?) = kind {
            let prefetcher = Prefetcher(main: self, reads: reads, loop: loop)
            self.prefetcher = prefetcher
            filesAhead = FilesAhead(image: image, cache: reads.cache, prefetcher: prefetcher)
        }
    }

    /// Gets what an operation needs into the image store; `then` hears nil, or the status to answer.
    func fetch(_ fetch: Fetch, then: @escaping (NFS3.Status?) -> Void) {
        guard waiting[fetch] == nil else {
            waiting[fetch]?.append(then)
            return
        }
        waiting[fetch] = [then]
        switch kind {
        case .directory(let directory):
            counters.countMain(fetch.procedure)
            finish(fetch, directory.perform(fetch, in: image), replica: 0)
        case .remote(let remote, _):
            let askMain = {
                remote.perform(fetch) { self.finish(fetch, $0, replica: $1) }
            }
            guard let manifest = remote.manifest else { return ask(fetch, askMain) }
            manifest.perform(fetch) { result in
                guard let result else { return self.ask(fetch, askMain) }
                self.finish(fetch, result, replica: ImageStore.manifestReplica)
            }
        }
    }

    private func ask(_ fetch: Fetch, _ body: @escaping () -> Void) {
        guard case .listing = fetch, let time = listings?.delay(at: .now()) else { return body() }
        loop.assumeIsolated().scheduleTask(deadline: time, body)
    }

    private func finish(_ fetch: Fetch, _ result: FetchResult, replica: Int) {
        let begun = NIODeadline.now()
        do {
            try image.feed(fetch, result, replica: replica)
        } catch {
            wake(fetch, error.status)
            return
        }
        image.commit { status in
            // Those of a manifest do not wait.
            if case .listing = fetch, replica != ImageStore.manifestReplica {
                self.listings?.took(in: begun, .now())
            }
            self.wake(fetch, status)
            if status == nil, case .listing(let directory) = fetch {
                self.wakeLookups(in: directory)
            }
        }
    }

    /// A page of a listing may have what a LOOKUP is still under way for.
    private func wakeLookups(in listed: NodeID) {
        for fetch in waiting.keys {
            guard case .lookup(listed, _) = fetch, image.has(fetch) else { continue }
            wake(fetch, nil)
        }
    }

    private func wake(_ fetch: Fetch, _ status: NFS3.Status?) {
        for then in waiting.removeValue(forKey: fetch) ?? [] { then(status) }
    }

    /// The file itself, where main is on this machine.
    func localFile(_ id: NodeID) throws(Interrupt) -> SparseFile? {
        guard case .directory(let directory) = kind else { return nil }
        do {
            return try directory.file(id, in: image)
        } catch {
            throw .status(NFS3.Status(error))
        }
    }

    /// Main's blocks that are kept here.
    var cache: BlockCache? {
        if case .remote(_, let reads?) = kind { reads.cache } else { nil }
    }

    /// The cache's file of a range that can be read at once, if all of it is there and was checked.
    func checkedFile(_ id: NodeID, _ range: Range<UInt64>) -> CacheFile? {
        guard case .remote(_, let reads?) = kind else { return nil }
        return reads.cache.checkedFile(id, range)
    }

    /// A client was answered from ``checkedFile(_:_:)``.
    func countHit(_ file: CacheFile, _ range: Range<UInt64>) {
        counters.bytesFromCache += range.count
        if case .remote(_, let reads?) = kind { reads.readOn(file.layout, range) }
    }

    /// Counts a read of ``localFile(_:)``.
    func countRead(_ range: Range<UInt64>) {
        counters.countMain(.read)
        counters.bytesFromMain += Int(range.upperBound - range.lowerBound)
    }

    /// Reads a range of a file of main; all of it lies below the file's size in the image.
    func read(
        _ id: NodeID, _ range: Range<UInt64>,
        then: @escaping (Result<ByteBuffer, ReadFailure>) -> Void
    ) {
        switch kind {
        case .directory(let directory):
            do {
                let file = try directory.file(id, in: image)
                countRead(range)
                readOffLoop(file, range) { result in
                    then(result.mapError { ReadFailure(status: NFS3.Status($0)) })
                }
            } catch {
                then(.failure(ReadFailure(status: NFS3.Status(error))))
            }
        case .remote(_, let reads?): reads.read(id, range, then: then)
        case .remote(let remote, nil): remote.read(id, range, then: then)
        }
    }

    /// Reads a file on the thread pool, for what the page cache does not hold.
    func readOffLoop(
        _ file: SparseFile, _ range: Range<UInt64>,
        then: @escaping (Result<ByteBuffer, Errno>) -> Void
    ) {
        let count = Int(range.upperBound - range.lowerBound)
        let shared = SharedFile(file: file)
        let completion = NIOLoopBound(then, eventLoop: loop)
        pool.runIfActive(eventLoop: loop) { () -> Result<ByteBuffer, Errno> in
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            var failure: Errno?
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
                do throws(Errno) {
                    try shared.file.read(
                        into: UnsafeMutableRawBufferPointer(rebasing: memory[..<count]),
                        at: range.lowerBound)
                    return count
                } catch {
                    failure = error
                    return 0
                }
            }
            return failure.map { .failure($0) } ?? .success(buffer)
        }.whenComplete { result in
            switch result {
            case .success(let read): completion.value(read)
            case .failure: completion.value(.failure(.ioError))
            }
        }
    }
}

/// A file on its way to the pool and back.
///
/// `@unchecked Sendable`: the pool only calls `read(into:at:)`, which uses nothing but the descriptor,
/// and the reference keeps that open.
private struct SharedFile: @unchecked Sendable {
    let file: SparseFile
}

extension Fetch {
    fileprivate var procedure: NFS3.Procedure {
        switch self {
        case .lookup: .lookup
        case .listing: .readdirplus
        case .target: .readlink
        }
    }
}

extension Interrupt {
    fileprivate var status: NFS3.Status {
        if case .status(let status) = self { status } else { .serverFault }
    }
}

import NFSProtocol
import NIOCore
import ROWCore

/// Carries an ``ImageTask`` out, a little in each turn of the loop.
///
/// Loop-confined; kept by what it waits for.
final class ImageTaskRun {
    private let main: MainSource
    private let reads: CachedReads
    private let prefetcher: Prefetcher
    private let loop: any EventLoop
    private let report: (ImageReport) -> Void
    private let then: (StateError?) -> Void
    private var sum = ImageReport()
    private var prefetch: Prefetcher.Run?
    private var isCancelled = false
    private var lastReport = NIODeadline.now()

    private var image: ImageStore { main.image }
    private var cache: BlockCache { reads.cache }

    private static let reportInterval = TimeAmount.seconds(1)
    private static let filesInTurn = 128
    private static let blocksAtOnce: UInt64 = 4

    /// - Returns: nil where nothing is kept of the image.
    init?(
        main: MainSource, loop: any EventLoop, report: @escaping (ImageReport) -> Void,
        then: @escaping (StateError?) -> Void
    ) {
        guard case .remote(_, let reads?) = main.kind, let prefetcher = main.prefetcher else {
            return nil
        }
        self.main = main
        self.reads = reads
        self.prefetcher = prefetcher
        self.loop = loop
        self.report = report
        self.then = then
    }

    /// Does no more than what is under way.
    func cancel() {
        isCancelled = true
        if let prefetch { prefetcher.stop(prefetch) }
    }

    func start(_ task: ImageTask) {
        cache.whenScanned {
            switch task {
            case .prefetch(let paths, let rate): self.find(paths) { self.fetch($0, rate) }
            case .pin(let paths): self.find(paths) { self.pin($0) }
            case .unpin(let paths): self.find(paths) { self.unpin($0) }
            case .drop(let paths): self.find(paths) { self.drop(below: $0) }
            case .list: self.list(self.cache.index.ids[...])
            case .verify: self.verify(self.cache.index.ids[...])
            }
        }
    }

    private func finish(_ error: StateError? = nil) {
        if error == nil { report(sum) }
        then(error)
    }

    private func reportNowAndThen() {
        guard NIODeadline.now() - lastReport >= Self.reportInterval else { return }
        lastReport = .now()
        report(sum)
    }

    /// Goes on in the next turn of the loop.
    private func later(_ work: @escaping () -> Void) {
        loop.assumeIsolated().execute(work)
    }

    // MARK: Paths

    /// Finds what paths name, asking main for what is not known.
    private func find(
        _ paths: [String], found: [NodeID] = [], then: @escaping ([NodeID]) -> Void
    ) {
        guard let path = paths.first else { return then(found) }
        do throws(Interrupt) {
            guard let id = try image.find(Array(path.utf8)) else {
                return finish(StateError(.notFound, "the image has no '\(path)'"))
            }
            find(Array(paths.dropFirst()), found: found + [id], then: then)
        } catch {
            guard case .need(let fetch) = error else {
                return finish(StateError(.io, "'\(path)' cannot be looked up: \(error)"))
            }
            main.fetch(fetch) { status in
                if let status {
                    self.finish(StateError(.io, "main answers \(status) for '\(path)'"))
                } else {
                    self.find(paths, found: found, then: then)
                }
            }
        }
    }

    /// Steps on files, and on all that are known below directories, a few in each turn.
    private func forEachFile(
        below ids: ArraySlice<NodeID>, _ body: @escaping (NodeID) -> Void,
        then: @escaping () -> Void
    ) {
        guard let id = ids.first, !isCancelled else { return then() }
        let rest = { self.forEachFile(below: ids.dropFirst(), body, then: then) }
        guard image.attributes(of: id)?.type == .directory else {
            body(id)
            return rest()
        }
        forEachFile(of: ImageWalk(below: id), body, then: rest)
    }

    private func forEachFile(
        of walk: ImageWalk, _ body: @escaping (NodeID) -> Void, then: @escaping () -> Void
    ) {
        var walk = walk
        for _ in 0..<Self.filesInTurn {
            switch try? walk.next(in: image) {
            case .object(let id, let attributes) where attributes.type == .regular:
                body(id)
            case .needsListing: walk.skip()
            case .object, .directory: break
            case .end, nil: return then()
            }
        }
        let rest = walk
        later { self.isCancelled ? then() : self.forEachFile(of: rest, body, then: then) }
    }

    // MARK: Fetching

    private func fetch(
        _ ids: [NodeID], _ rate: UInt64?, each: @escaping (NodeID) -> Void = { _ in }
    ) {
        var roots = ids[...]
        var walk: ImageWalk?
        /// What the walk waits for.
        var needed: Fetch?
        var file: (layout: CacheLayout, rest: Range<UInt64>)?
        let open = { (id: NodeID, attributes: NFS3.Attributes) in
            guard attributes.type == .regular else { return }
            each(id)
            self.sum.files += 1
            if attributes.size > 0, let layout = CacheLayout(id: id, attributes: attributes) {
                file = (layout, 0..<layout.blockCount)
            }
        }
        let next = { () -> Prefetcher.Next in
            for _ in 0..<Prefetcher.stepsInTurn {
                if let (layout, rest) = file {
                    let end = min(rest.lowerBound + Self.blocksAtOnce, rest.upperBound)
                    file = end < rest.upperBound ? (layout, end..<rest.upperBound) : nil
                    return .item(.blocks(layout, rest.lowerBound..<end))
                }
                guard walk != nil else {
                    guard let id = roots.popFirst() else { return .end }
                    guard let attributes = self.image.attributes(of: id) else { continue }
                    if attributes.type == .directory {
                        walk = ImageWalk(below: id)
                    } else {
                        open(id, attributes)
                    }
                    continue
                }
                switch try? walk?.next(in: self.image) {
                case .object(let id, let attributes):
                    if attributes.type == .symbolicLink, !self.image.has(.target(id)) {
                        return .item(.target(id))
                    }
                    open(id, attributes)
                case .directory: continue
                case .needsListing(let id):
                    let listing = Fetch.listing(directory: id)
                    needed = listing
                    return .need(listing, with: walk?.listingsAhead(in: self.image) ?? [])
                case .end, nil: walk = nil
                }
            }
            return .goOn
        }
        sum.bytesTotal = total(of: ids)
        let run = Prefetcher.Run(
            rate: rate, next: next,
            failed: { fetch, status in
                if status != .jukebox, fetch != nil, fetch == needed { walk?.skip() }
                return true
            },
            progressed: { progress in
                self.add(progress)
                self.reportNowAndThen()
            },
            ended: { progress in
                self.prefetch = nil
                self.add(progress)
                self.image.commit { _ in self.finish() }
            })
        prefetch = run
        prefetcher.start(run)
    }

    /// Of files; nil when there are directories, which are gone through as they are fetched.
    private func total(of ids: [NodeID]) -> UInt64? {
        var total: UInt64 = 0
        for id in ids {
            guard let attributes = image.attributes(of: id), attributes.type == .regular else {
                return nil
            }
            // Sizes are what servers say.
            let (sum, isTooLarge) = total.addingReportingOverflow(attributes.size)
            guard !isTooLarge else { return nil }
            total = sum
        }
        return total
    }

    private func add(_ progress: Prefetcher.Progress) {
        sum.bytes = progress.bytes
        sum.fetched = progress.fetched
        sum.failures = progress.failures
    }

    private func pin(_ ids: [NodeID]) {
        fetch(ids, nil) { id in
            self.image.setPinned(id, true)
            self.cache.index.pinned.insert(id)
        }
    }

    private func unpin(_ ids: [NodeID]) {
        forEachFile(below: ids[...]) { id in
            guard self.cache.index.pinned.remove(id) != nil else { return }
            self.sum.files += 1
            self.image.setPinned(id, false)
        } then: {
            self.image.commit { self.finish($0.map { StateError(.io, "not recorded: \($0)") }) }
        }
    }

    // MARK: Looking through what is there

    private func drop(below ids: [NodeID]) {
        guard ids != [.root] else { return drop(cache.index.ids[...]) }
        var dropped: [NodeID] = []
        forEachFile(below: ids[...], { dropped.append($0) }, then: { self.drop(dropped[...]) })
    }

    private func drop(_ ids: ArraySlice<NodeID>) {
        guard let id = ids.first, !isCancelled else { return finish() }
        reportNowAndThen()
        guard cache.index.contains(id) else { return later { self.drop(ids.dropFirst()) } }
        sum.bytes += cache.index.allocated(of: id)
        cache.drop(id) {
            self.sum.files += 1
            self.drop(ids.dropFirst())
        }
    }

    private func list(_ ids: ArraySlice<NodeID>) {
        let some = ids.prefix(Self.filesInTurn)
        var part = ImageReport()
        part.listed = some.map { id in
            ImageReport.File(
                path: String(decoding: image.path(of: id) ?? [], as: UTF8.self),
                size: image.attributes(of: id)?.size ?? 0, kept: cache.index.allocated(of: id),
                isPinned: cache.index.pinned.contains(id))
        }
        sum.files += some.count
        sum.bytes += part.listed?.reduce(0) { $0 + $1.kept } ?? 0
        report(part)
        guard some.count < ids.count, !isCancelled else { return finish() }
        later { self.list(ids.dropFirst(some.count)) }
    }

    private func verify(_ ids: ArraySlice<NodeID>) {
        let before = cache.status.damaged
        sum.bytesTotal = ids.reduce(0) { $0 + cache.index.allocated(of: $1) }
        verifyNext(ids) {
            self.sum.damaged = self.cache.status.damaged - before
            self.finish()
        }
    }

    private func verifyNext(_ ids: ArraySlice<NodeID>, then: @escaping () -> Void) {
        guard let id = ids.first, !isCancelled else { return then() }
        guard let layout = cache.layout(of: id) else {
            return later { self.verifyNext(ids.dropFirst(), then: then) }
        }
        verify(layout, from: 0) {
            self.sum.files += 1
            self.verifyNext(ids.dropFirst(), then: then)
        }
    }

    private func verify(_ layout: CacheLayout, from block: UInt64, then: @escaping () -> Void) {
        reportNowAndThen()
        guard block < layout.blockCount, !isCancelled else { return then() }
        cache.firstKept(layout, from: block) { kept in
            guard let kept else { return then() }
            self.cache.read(layout, kept) { data in
                self.sum.bytes += UInt64(data?.readableBytes ?? 0)
                self.verify(layout, from: kept + 1, then: then)
            }
        }
    }
}

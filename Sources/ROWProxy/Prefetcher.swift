import NFSProtocol
import NIOCore
import ROWCore

/// Fetches what clients will want before they do: several runs, each in its own order, that share what the
/// link can carry.
///
/// Loop-confined.
final class Prefetcher {
    enum Item {
        case target(NodeID)
        case blocks(CacheLayout, Range<UInt64>)
    }

    enum Next {
        case item(Item)
        /// Main must be asked first; the run goes on when it has answered. What is going to be needed
        /// next is asked for with it: whether that fails is of no account before it is needed.
        case need(Fetch, with: [Fetch])
        /// Nothing for now; see ``resume(_:)``.
        case pause
        /// Much was gone through that need not be fetched; the run goes on in the next turn of the loop.
        case goOn
        case end
    }

    /// What a run came to so far.
    struct Progress: Codable, Sendable, Equatable {
        /// Bytes that came from main, and those of the items that are done.
        var fetched: UInt64 = 0
        var bytes: UInt64 = 0
        var items = 0
        var failures = 0
    }

    final class Run {
        fileprivate let next: () -> Next
        /// Main cannot do something: whether to go on without it, or, where main is away, to try again.
        fileprivate let failed: (Fetch?, NFS3.Status) -> Bool
        fileprivate let progressed: (Progress) -> Void
        fileprivate let ended: (Progress) -> Void
        fileprivate var underWay = 0
        fileprivate var isWaiting = false
        fileprivate var isOver = false
        /// There is nothing after what is under way, and ``again``.
        fileprivate var isAtEnd = false
        /// What main was away for.
        fileprivate var again: [Item] = []
        /// Bytes a second; nil for what the link carries.
        fileprivate let rate: UInt64?
        fileprivate var notBefore = NIODeadline.uptimeNanoseconds(0)
        fileprivate(set) var progress = Progress()

        init(
            rate: UInt64? = nil, next: @escaping () -> Next,
            failed: @escaping (Fetch?, NFS3.Status) -> Bool,
            progressed: @escaping (Progress) -> Void = { _ in },
            ended: @escaping (Progress) -> Void = { _ in }
        ) {
            self.rate = rate
            self.next = next
            self.failed = failed
            self.progressed = progressed
            self.ended = ended
        }
    }

    /// Has this.
    private unowned let main: MainSource
    private let reads: CachedReads
    private let loop: any EventLoop
    private var window = PrefetchWindow()
    private var runs: [Run] = []
    private var isPumping = false
    private var isClosed = false

    /// How long to wait for a main that is away.
    private static let pause = TimeAmount.seconds(1)
    /// What a call costs beside its bytes.
    private static let callBytes = 4096
    /// What is here already is done at once: that much of it in a turn of the loop.
    static let stepsInTurn = 256

    init(main: MainSource, reads: CachedReads, loop: any EventLoop) {
        self.main = main
        self.reads = reads
        self.loop = loop
    }

    /// Begins nothing more.
    func close() {
        isClosed = true
        for run in runs { stop(run) }
    }

    func start(_ run: Run) {
        guard !isClosed else { return }
        runs.append(run)
        resume(run)
    }

    /// There may be more to fetch.
    func resume(_ run: Run) {
        guard !run.isOver else { return }
        pump()
    }

    /// Begins nothing more of a run.
    func stop(_ run: Run) {
        guard !run.isOver else { return }
        run.isOver = true
        finishIfDone(run)
    }

    // MARK: At work

    /// Begins what there is room for, a piece of each run in turn.
    private func pump() {
        guard !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        var steps = 0
        var isIdle = false
        while !isIdle, window.hasRoom {
            guard steps < Self.stepsInTurn else { return later(.zero) { self.pump() } }
            isIdle = true
            for run in runs where window.hasRoom && step(run) {
                isIdle = false
                steps += 1
            }
        }
    }

    /// - Returns: whether something was begun.
    private func step(_ run: Run) -> Bool {
        guard !run.isOver, !run.isWaiting, isDue(run) else { return false }
        guard run.again.isEmpty else {
            begin(run.again.removeFirst(), run)
            return true
        }
        switch run.isAtEnd ? .end : run.next() {
        case .pause: return false
        case .goOn:
            run.isWaiting = true
            later(.zero) {
                run.isWaiting = false
                self.pump()
            }
            return false
        case .end:
            run.isAtEnd = true
            // What is under way may have to be tried again.
            guard run.underWay == 0 else { return false }
            run.isOver = true
            finishIfDone(run)
            return false
        case .need(let fetch, let others):
            run.isWaiting = true
            for other in others { ask(other, run) { _ in } }
            ask(fetch, run) { status in
                if let status { self.failed(run, fetch, status) }
                run.isWaiting = false
            }
            return true
        case .item(let item):
            begin(item, run)
            return true
        }
    }

    private func begin(_ item: Item, _ run: Run) {
        switch item {
        case .target(let id):
            ask(.target(id), run) { status in
                if let status { self.failed(run, .target(id), status, item) }
            }
        case .blocks(let layout, let blocks): fetch(layout, blocks, run)
        }
    }

    private func isDue(_ run: Run) -> Bool {
        let now = NIODeadline.now()
        guard run.notBefore > now else { return true }
        if !run.isWaiting {
            run.isWaiting = true
            later(run.notBefore - now) {
                run.isWaiting = false
                self.pump()
            }
        }
        return false
    }

    private func ask(_ fetch: Fetch, _ run: Run, then: @escaping (NFS3.Status?) -> Void) {
        begin(run, Self.callBytes)
        main.fetch(fetch) { status in
            self.end(run, Self.callBytes, nil)
            if status == nil { run.progress.items += 1 }
            then(status)
            self.ended(run)
        }
    }

    private func fetch(_ layout: CacheLayout, _ blocks: Range<UInt64>, _ run: Run) {
        let bytes = layout.bytes(of: blocks).count
        let cost = bytes + Self.callBytes
        begin(run, cost)
        let started = NIODeadline.now()
        reads.fetchAhead(layout, blocks) { fetched in
            self.end(run, cost, fetched.arrival.map { $0 - started })
            run.progress.fetched += UInt64(fetched.bytes)
            if let rate = run.rate, fetched.bytes > 0 {
                let pause = Int64(Double(fetched.bytes) / Double(rate) * 1e9)
                run.notBefore = max(run.notBefore, started) + .nanoseconds(pause)
            }
            if let failure = fetched.failure {
                self.failed(run, nil, failure, .blocks(layout, blocks))
            } else {
                run.progress.items += 1
                run.progress.bytes += UInt64(bytes)
            }
            self.ended(run)
        }
    }

    private func begin(_ run: Run, _ cost: Int) {
        run.underWay += 1
        window.begin(cost)
    }

    private func end(_ run: Run, _ cost: Int, _ time: TimeAmount?) {
        run.underWay -= 1
        window.end(cost, after: time, at: .now())
    }

    /// - Parameter item: what is to be tried again where main is away.
    private func failed(
        _ run: Run, _ fetch: Fetch?, _ status: NFS3.Status, _ item: Item? = nil
    ) {
        if !run.failed(fetch, status) {
            run.progress.failures += 1
            run.isOver = true
        } else if status == .jukebox {
            if let item { run.again.append(item) }
            run.notBefore = .now() + Self.pause
        } else {
            run.progress.failures += 1
        }
    }

    private func ended(_ run: Run) {
        run.progressed(run.progress)
        finishIfDone(run)
        // A new turn of the loop: what is there already ends at once, and would pile up.
        later(.zero) { self.pump() }
    }

    private func finishIfDone(_ run: Run) {
        guard run.isOver, run.underWay == 0, let index = runs.firstIndex(where: { $0 === run })
        else { return }
        runs.remove(at: index)
        run.ended(run.progress)
    }

    private func later(_ time: TimeAmount, _ work: @escaping () -> Void) {
        let work = NIOLoopBound(work, eventLoop: loop)
        loop.scheduleTask(in: time) { work.value() }
    }
}

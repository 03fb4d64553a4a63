import NFSProtocol
import ROWCore

/// Fetches the beginnings of files ahead of clients that read one after the other in the order of their
/// directories, into the directories that follow: else a tree of small files costs a round trip for each.
///
/// What clients do not come to was fetched for nothing: there is credit for so much of it, which those who read
/// what they were expected to read raise.
///
/// Loop-confined.
final class FilesAhead {
    /// One client on its way through the tree.
    private final class Walk {
        var walk: ImageWalk
        /// Files that have been asked for and not read yet, in order, and the bytes that were fetched of
        /// them.
        var expected: [(id: NodeID, bytes: Int)] = []
        var window = 8
        var run: Prefetcher.Run?

        init(_ walk: ImageWalk) { self.walk = walk }
    }

    private let image: ImageStore
    private let cache: BlockCache
    private let prefetcher: Prefetcher
    /// The most recent last.
    private var walks: [Walk] = []
    /// Of directories in which files were read lately: the last one's place, and how many came in order.
    private var recent: [NodeID: (cookie: UInt64, inOrder: Int)] = [:]

    /// Bytes that may be fetched and that no client has come to yet.
    private var credit = 1 << 20

    private static let creditMaximum = 64 << 20
    /// What a file that nobody had fetched ahead adds, so that there is some after it has been used up.
    private static let creditOfMiss = 8 << 10
    private static let walksMaximum = 8
    private static let recentMaximum = 256
    private static let windowMaximum = 512
    /// Files may be left out by a client that goes through a directory.
    private static let gapMaximum: UInt64 = 8
    private static let inOrderMinimum = 2
    /// Files that were expected and passed over, until they are not expected any more.
    private static let passedOverMaximum = 32
    /// Of each file: what is longer, reading ahead within it goes on with.
    private static let blocksMaximum: UInt64 = 4

    init(image: ImageStore, cache: BlockCache, prefetcher: Prefetcher) {
        self.image = image
        self.cache = cache
        self.prefetcher = prefetcher
    }

    /// A client has begun to read a file of main.
    func began(_ id: NodeID) {
        for (place, walk) in walks.enumerated().reversed() {
            guard let index = walk.expected.firstIndex(where: { $0.id == id }) else { continue }
            let bytes = walk.expected.remove(at: index).bytes
            credit = min(credit + bytes + bytes / 4, Self.creditMaximum)
            walk.expected.removeFirst(max(0, index - Self.passedOverMaximum))
            walk.window = min(walk.window + walk.window / 4, Self.windowMaximum)
            walks.append(walks.remove(at: place))
            if let run = walk.run { prefetcher.resume(run) }
            return
        }
        // Whoever reads what is here already waits for nothing.
        guard !cache.index.contains(id), let (directory, cookie) = image.place(of: id) else { return }
        credit = min(credit + Self.creditOfMiss, Self.creditMaximum)
        var seen = recent[directory] ?? (cookie, 0)
        let isNext = cookie > seen.cookie && cookie - seen.cookie <= Self.gapMaximum
        seen = (cookie, isNext ? seen.inOrder + 1 : 0)
        if recent.count >= Self.recentMaximum { recent.removeAll(keepingCapacity: true) }
        recent[directory] = seen
        if seen.inOrder >= Self.inOrderMinimum { begin(after: id) }
    }

    private func begin(after id: NodeID) {
        guard let cursor = try? ImageWalk(after: id, in: image) else { return }
        let walk = Walk(cursor)
        if walks.count == Self.walksMaximum, let run = walks.removeFirst().run {
            prefetcher.stop(run)
        }
        walks.append(walk)
        let run = Prefetcher.Run(
            next: { [unowned self, unowned walk] in next(walk) },
            failed: { _, _ in false })
        walk.run = run
        prefetcher.start(run)
    }

    private func next(_ walk: Walk) -> Prefetcher.Next {
        var steps = 0
        while walk.expected.count < walk.window, credit > 0 {
            // Directories, links and empty files are not waited for.
            steps += 1
            guard steps <= Prefetcher.stepsInTurn else { return .goOn }
            guard let step = try? walk.walk.next(in: image) else { return .end }
            switch step {
            case .end: return .end
            case .needsListing(let id):
                return .need(.listing(directory: id), with: walk.walk.listingsAhead(in: image))
            case .directory: continue
            case .object(let id, let attributes):
                if attributes.type == .symbolicLink, !image.has(.target(id)) {
                    return .item(.target(id))
                }
                guard attributes.type == .regular, attributes.size > 0,
                    let layout = CacheLayout(id: id, attributes: attributes)
                else { continue }
                // A file of one block that has a cache file has all of it, most likely.
                if layout.blockCount == 1, cache.index.contains(id) {
                    walk.expected.append((id, 0))
                    continue
                }
                let blocks = 0..<min(layout.blockCount, Self.blocksMaximum)
                let bytes = layout.bytes(of: blocks).count
                walk.expected.append((id, bytes))
                credit -= bytes
                return .item(.blocks(layout, blocks))
            }
        }
        return .pause
    }
}

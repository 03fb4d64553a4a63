import NFSProtocol
import Synchronization

@testable import ROWCore

/// A tree in memory as an image, by the protocol that any importer can implement.
final class PlainSource: ImageSource {
    let name: String
    private let tree: PlainTree
    private let pageCount: Int
    private let state = Mutex(State())

    private struct State {
        var positions: [NodeID: Int] = [:]
        var fetches: [Fetch] = []
        var reads: [Range<UInt64>] = []
        var released: [UInt64] = []
        /// What every answer is instead.
        var failure: NFS3.Status?
    }

    init(_ tree: PlainTree, pageCount: Int = 3, name: String = "test:plain") {
        self.tree = tree
        self.pageCount = pageCount
        self.name = name
    }

    var fetches: [Fetch] { state.withLock { $0.fetches } }
    var reads: [Range<UInt64>] { state.withLock { $0.reads } }
    var released: [UInt64] { state.withLock { $0.released } }

    func fail(with status: NFS3.Status?) { state.withLock { $0.failure = status } }

    func rootEntry() async throws(ROWError) -> MainEntry {
        if let failure = state.withLock({ $0.failure }) { throw ROWError(failure) }
        return entry(PlainTree.root)
    }

    func perform(_ fetch: Fetch, on object: ImageObject) async -> FetchResult {
        let failure = state.withLock { state in
            state.fetches.append(fetch)
            return state.failure
        }
        // Others get their turn, as they would while a server thinks.
        await Task.yield()
        if let failure { return .failed(failure) }
        guard let found = tree.find(String(decoding: object.path, as: UTF8.self)) else {
            return .failed(.stale)
        }
        switch fetch {
        case .lookup(_, let name):
            return .entry(tree[found].children[String(decoding: name, as: UTF8.self)].map(entry))
        case .target: return .target(tree[found].target)
        case .listing(let directory):
            let names = tree[found].children.sorted { $0.key < $1.key }
            let start = state.withLock { $0.positions[directory] ?? 0 }
            let page = names.dropFirst(start).prefix(pageCount)
            let isLast = start + page.count == names.count
            state.withLock { $0.positions[directory] = isLast ? nil : start + page.count }
            return .page(page.map { (Array($0.key.utf8), entry($0.value)) }, isLast: isLast)
        }
    }

    func read(_ object: ImageObject, _ range: Range<UInt64>) async throws(ROWError) -> [UInt8] {
        let failure = state.withLock { state in
            state.reads.append(range)
            return state.failure
        }
        await Task.yield()
        if let failure { throw ROWError(failure) }
        guard let found = tree.find(String(decoding: object.path, as: UTF8.self)) else {
            throw ROWError(.stale)
        }
        return Array(tree[found].data[Int(range.lowerBound)..<Int(range.upperBound)])
    }

    func release(image: UInt64) async { state.withLock { $0.released.append(image) } }

    private func entry(_ id: Int) -> MainEntry {
        MainEntry(attributes: tree[id].attributes, handle: nil)
    }
}

import NFSProtocol
import SystemPackage

@testable import ROWCore

/// What stands behind the image in a test, and answers at once.
protocol TestMain: AnyObject {
    var source: String { get }
    func rootEntry() throws -> MainEntry
    func perform(_ fetch: Fetch, in store: ImageStore) -> FetchResult
    /// The bytes of a file of the image; as many as there are.
    func read(_ id: NodeID, _ range: Range<UInt64>, in store: ImageStore) throws -> [UInt8]
}

/// A main in memory that hands out listings a few entries at a time.
final class PlainMain: TestMain {
    let tree: PlainTree
    let source: String
    let pageCount: Int
    /// What was asked, in order.
    private(set) var fetches: [Fetch] = []
    /// Every READ: which file, and which bytes.
    private(set) var reads: [Range<UInt64>] = []
    private var positions: [NodeID: Int] = [:]

    init(_ tree: PlainTree, pageCount: Int = 3, source: String = "test:plain") {
        self.tree = tree
        self.pageCount = pageCount
        self.source = source
    }

    func rootEntry() -> MainEntry { entry(PlainTree.root) }

    private func entry(_ id: Int) -> MainEntry {
        MainEntry(attributes: tree[id].attributes, handle: nil)
    }

    private func object(_ id: NodeID, _ store: ImageStore) -> PlainTree.Object? {
        guard let path = store.path(of: id) else { return nil }
        return tree.find(String(decoding: path, as: UTF8.self)).map { tree[$0] }
    }

    func perform(_ fetch: Fetch, in store: ImageStore) -> FetchResult {
        fetches.append(fetch)
        switch fetch {
        case .lookup(let directory, let name):
            guard let object = object(directory, store) else { return .failed(.stale) }
            return .entry(object.children[String(decoding: name, as: UTF8.self)].map(entry))
        case .listing(let directory):
            guard let object = object(directory, store) else { return .failed(.stale) }
            let names = object.children.sorted { $0.key < $1.key }
            let start = positions[directory] ?? 0
            let page = names.dropFirst(start).prefix(pageCount)
            let isLast = start + page.count == names.count
            positions[directory] = isLast ? nil : start + page.count
            return .page(page.map { (Array($0.key.utf8), entry($0.value)) }, isLast: isLast)
        case .target(let id):
            guard let object = object(id, store) else { return .failed(.stale) }
            return .target(object.target)
        }
    }

    func read(_ id: NodeID, _ range: Range<UInt64>, in store: ImageStore) -> [UInt8] {
        reads.append(range)
        let data = object(id, store)?.data ?? []
        let range = Int(range.lowerBound)..<Int(range.upperBound)
        return Array(data[range.clamped(to: 0..<data.count)])
    }
}

/// A directory of this host as main.
final class DirectoryMain: TestMain {
    let directory: DirectoryImage
    var source: String { directory.path.string }

    init(path: String) throws { directory = try DirectoryImage(path: FilePath(path)) }

    func rootEntry() throws -> MainEntry { try directory.rootEntry() }

    func perform(_ fetch: Fetch, in store: ImageStore) -> FetchResult {
        directory.perform(fetch, in: store)
    }

    func read(_ id: NodeID, _ range: Range<UInt64>, in store: ImageStore) throws -> [UInt8] {
        let file = try directory.file(id, in: store)
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: range.lowerBound) }
        return bytes
    }
}

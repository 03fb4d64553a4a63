import Dispatch
import NFSProtocol
import ROWCore

/// Reads a manifest, on a thread that may wait for pieces of it.
///
/// `@unchecked Sendable`: all but ``queue`` is used on that alone.
final class ManifestWorker: @unchecked Sendable {
    /// An answer, or why there is none.
    enum Answer<Value: Sendable>: Sendable {
        case known(Value)
        /// Pieces of the manifest that it takes cannot be had now.
        case unavailable
        /// The manifest is not what it should be.
        case damaged(String)
    }

    /// SHA-256 of blocks of a file.
    struct Hashes: Sendable {
        let first: UInt64
        /// Of the blocks from ``first`` on.
        let all: [ContentHash]

        func hash(of block: UInt64) -> ContentHash? {
            block >= first && block - first < all.count ? all[Int(block - first)] : nil
        }
    }

    let queue = DispatchQueue(label: "rowfs.manifest")
    private let path: String
    private var reader: ManifestReader?
    /// How far the listing of a directory of the image has come.
    private var positions: [NodeID: Position] = [:]

    private struct Position {
        let directory: UInt64
        let last: [UInt8]
    }

    private static let positionsMaximum = 256
    private static let pageCount = 1024

    /// - Parameter path: of the database, see ``PiecewiseFiles``.
    init(path: String) { self.path = path }

    /// Answers a fetch.
    /// - Parameter object: the path of what it is about.
    func perform(_ fetch: Fetch, on object: [UInt8]) -> Answer<FetchResult> {
        answer { reader in
            switch fetch {
            case .lookup(_, let name):
                guard let directory = try reader.find(path: object) else { return .failed(.stale) }
                return .entry(
                    try reader.entry(in: directory, named: name).map {
                        MainEntry(attributes: $0.attributes, handle: nil)
                    })
            case .target:
                guard let link = try reader.find(path: object),
                    let target = try reader.target(of: link)
                else { return .failed(.stale) }
                return .target(target)
            case .listing(let directory):
                return try self.page(of: directory, at: object, reader)
            }
        }
    }

    private func page(
        of id: NodeID, at path: [UInt8], _ reader: ManifestReader
    ) throws -> FetchResult {
        let known = positions[id]
        guard let directory = try known?.directory ?? reader.find(path: path) else {
            return .failed(.stale)
        }
        // Should this fail, the listing begins again.
        positions[id] = nil
        let page = try reader.page(
            of: directory, after: known?.last ?? [], count: Self.pageCount)
        if !page.isLast, let last = page.entries.last?.name {
            if positions.count >= Self.positionsMaximum, let other = positions.keys.first {
                positions[other] = nil
            }
            positions[id] = Position(directory: directory, last: last)
        }
        return .page(
            page.entries.map {
                ($0.name, MainEntry(attributes: $0.entry.attributes, handle: nil))
            }, isLast: page.isLast)
    }

    /// What the blocks of a file should be.
    /// - Returns: nil when the manifest has no such file, or the file no such blocks.
    func hashes(of path: [UInt8], _ blocks: Range<UInt64>) -> Answer<Hashes?> {
        answer { reader in
            guard let file = try reader.find(path: path) else { return nil }
            var all: [ContentHash] = []
            all.reserveCapacity(blocks.count)
            var page: (number: UInt64, hashes: [UInt8])?
            for block in blocks {
                let number = block / ManifestReader.pageBlocks
                if page?.number != number {
                    guard let hashes = try reader.hashes(of: file, page: number) else { return nil }
                    page = (number, hashes)
                }
                let start = Int(block % ManifestReader.pageBlocks) * ContentHash.byteCount
                guard let hashes = page?.hashes, start + ContentHash.byteCount <= hashes.count
                else { return nil }
                all.append(
                    hashes[start..<start + ContentHash.byteCount].withUnsafeBytes {
                        ContentHash(bytes: $0)
                    })
            }
            return Hashes(first: blocks.lowerBound, all: all)
        }
    }

    /// The numbers that objects have in the manifest.
    func numbers(of paths: [[UInt8]]) -> Answer<[UInt64?]> {
        answer { reader in try paths.map { try reader.find(path: $0) } }
    }

    private func answer<Value>(_ body: (ManifestReader) throws -> Value) -> Answer<Value> {
        do {
            let reader = try reader ?? ManifestReader(path: path, vfs: PiecewiseFiles.vfs)
            self.reader = reader
            return .known(try body(reader))
        } catch let error as StateError where error.code == .io {
            return .unavailable
        } catch {
            return .damaged("\(error)")
        }
    }
}

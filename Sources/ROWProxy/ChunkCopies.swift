import Dispatch
import NIOCore
import ROWCore

/// Blocks that are on this machine for another image, or elsewhere in the same one, by the hash of their bytes.
///
/// Loop-confined; the disk is touched on a thread of its own.
final class ChunkCopies {
    /// `@unchecked Sendable`: the index is used on ``queue`` alone.
    private final class Shelf: @unchecked Sendable {
        let queue = DispatchQueue(label: "rowfs.chunks")
        let index: ChunkIndex
        var willFlush = false

        init(_ index: ChunkIndex) { self.index = index }
    }

    typealias Found = [(block: UInt64, data: ByteBuffer)]

    private let shelf: Shelf
    private let image: String
    private let loop: any EventLoop
    private var isClosed = false

    private static let flushInterval = DispatchTimeInterval.seconds(1)

    /// - Parameter image: the last part of the image's directory.
    init(_ index: ChunkIndex, image: String, loop: any EventLoop) {
        shelf = Shelf(index)
        self.image = image
        self.loop = loop
    }

    /// Reads the blocks of a file that are here under another name.
    func find(
        _ layout: CacheLayout, _ blocks: [UInt64], _ hashes: ManifestWorker.Hashes,
        then: @escaping (Found) -> Void
    ) {
        let back = NIOLoopBound((self, then), eventLoop: loop)
        let (shelf, loop) = (shelf, loop)
        shelf.queue.async {
            var found: Found = []
            for block in blocks {
                guard let hash = hashes.hash(of: block) else { continue }
                let count = layout.bytes(of: block).count
                var data = ByteBufferAllocator().buffer(capacity: count)
                var isFound = false
                data.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { memory in
                    let memory = UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
                    isFound =
                        shelf.index.read(hash, into: memory)
                        && ChunkHash.isRight(UnsafeRawBufferPointer(memory), hash)
                    return count
                }
                if isFound { found.append((block, data)) }
            }
            let result = found
            loop.execute {
                let (copies, then) = back.value
                if !copies.isClosed { then(result) }
            }
        }
    }

    /// Blocks of a file are on disk now.
    func add(_ layout: CacheLayout, _ blocks: Range<UInt64>, _ hashes: ManifestWorker.Hashes) {
        let (shelf, image) = (shelf, image)
        shelf.queue.async {
            for block in blocks {
                guard let hash = hashes.hash(of: block) else { continue }
                shelf.index.add(
                    hash, at: ChunkIndex.Place(image: image, layout: layout, block: block))
            }
            guard !shelf.willFlush else { return }
            shelf.willFlush = true
            shelf.queue.asyncAfter(deadline: .now() + Self.flushInterval) {
                shelf.willFlush = false
                shelf.index.flush()
            }
        }
    }

    /// - Parameter then: told when nothing is done any more.
    func close(then: @escaping () -> Void) {
        isClosed = true
        let back = NIOLoopBound(then, eventLoop: loop)
        let (shelf, loop) = (shelf, loop)
        shelf.queue.async {
            shelf.index.flush()
            loop.execute { back.value() }
        }
    }
}

/// Entries of one directory of the image whose cookies lie in one range of ``span``, in order. The
/// directory's listing is complete, so they never change.
final class ListingChunk {
    static let span: UInt64 = 1024

    private var cookies: [UInt64] = []
    private var children: [NodeID] = []
    /// Where each name ends in ``names``.
    private var nameEnds: [UInt32] = []
    private var names: [UInt8] = []
    /// The cookie of the first entry after the range; nil at the end of the directory.
    var next: UInt64?

    /// Which range a cookie is in.
    static func index(of cookie: UInt64) -> UInt64 { cookie / span }

    func append(cookie: UInt64, name: UnsafeRawBufferPointer, child: NodeID) {
        cookies.append(cookie)
        children.append(child)
        names.append(contentsOf: name)
        nameEnds.append(UInt32(names.count))
    }

    /// About what it takes, bytes.
    var memory: Int { cookies.capacity * 20 + names.capacity + 128 }

    /// Calls `body` with the entries after `cookie` until it answers false.
    /// - Returns: whether it never did.
    func forEach(
        after cookie: UInt64,
        _ body: (UInt64, UnsafeRawBufferPointer, NodeID) throws(Interrupt) -> Bool
    ) throws(Interrupt) -> Bool {
        let first = firstIndex(after: cookie)
        return try names.withBytes { bytes throws(Interrupt) in
            for index in first..<cookies.count {
                let start = index == 0 ? 0 : Int(nameEnds[index - 1])
                let name = UnsafeRawBufferPointer(rebasing: bytes[start..<Int(nameEnds[index])])
                guard try body(cookies[index], name, children[index]) else { return false }
            }
            return true
        }
    }

    private func firstIndex(after cookie: UInt64) -> Int {
        var range = 0..<cookies.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range =
                cookies[middle] > cookie
                ? range.lowerBound..<middle : middle + 1..<range.upperBound
        }
        return range.lowerBound
    }
}

/// The chunks of listings that were read last, within a limit of memory.
struct ListingCache {
    struct Key: Hashable {
        let directory: NodeID
        let index: UInt64
    }

    private var chunks: [Key: ListingChunk] = [:]
    /// In the order in which they came; those before ``oldest`` are gone.
    private var order: [Key] = []
    private var oldest = 0
    private var memory = 0

    private static let memoryMaximum = 6 << 20

    subscript(key: Key) -> ListingChunk? { chunks[key] }

    /// - Precondition: there is none with this key.
    mutating func insert(_ chunk: ListingChunk, _ key: Key) {
        chunks[key] = chunk
        order.append(key)
        memory += chunk.memory
        while memory > Self.memoryMaximum, oldest < order.count - 1 {
            memory -= chunks.removeValue(forKey: order[oldest])?.memory ?? 0
            oldest += 1
        }
        if oldest > order.count / 2 {
            order.removeFirst(oldest)
            oldest = 0
        }
    }
}

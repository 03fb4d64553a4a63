public import NFSProtocol

/// A walk through a tree of the image in the order of its listings, each directory's contents right
/// behind it: the order in which `tar`, `cp -r` and `grep -r` read.
public struct ImageWalk {
    public enum Step {
        case directory(NodeID)
        case object(NodeID, NFS3.Attributes)
        /// The listing of this directory must go on first; ``skip()`` if it cannot.
        case needsListing(NodeID)
        case end
    }

    /// The directories on the way down, and the last entry of each that was stepped on.
    private var stack: [(directory: NodeID, cookie: UInt64)]

    /// Walks through all that is below a directory.
    public init(below directory: NodeID) { stack = [(directory, 2)] }

    /// Walks on from an object, to the end of the image.
    public init(after id: NodeID, in image: ImageStore) throws(Interrupt) {
        stack = []
        var current = id
        while let (parent, name) = image.location(of: current), stack.count < 4096 {
            guard let cookie = try image.cookie(of: name, in: parent) else { break }
            stack.append((parent, cookie))
            current = parent
        }
        stack.reverse()
    }

    public mutating func next(in image: ImageStore) throws(Interrupt) -> Step {
        while let (directory, last) = stack.last {
            var found: (cookie: UInt64, id: NodeID)?
            try image.forEachEntry(of: directory, after: last) { cookie, _, child in
                found = (cookie, child)
                return false
            }
            if let found {
                stack[stack.count - 1].cookie = found.cookie
                guard let record = try image.record(of: found.id) else { continue }
                guard record.attributes.type == .directory else {
                    return .object(found.id, record.attributes)
                }
                stack.append((found.id, 2))
                return .directory(found.id)
            }
            guard try image.record(of: directory)?.isComplete == true else {
                return .needsListing(directory)
            }
            stack.removeLast()
        }
        return .end
    }

    /// The directories that come next and are not listed yet, as far as is known.
    public func listingsAhead(in image: ImageStore) -> [Fetch] {
        var ahead: [Fetch] = []
        var entries = 0
        // A walk comes back to what it passed on the way down.
        for (directory, cookie) in stack.reversed() {
            try? image.forEachEntry(of: directory, after: cookie) { _, _, child throws(Interrupt) in
                if let record = try image.record(of: child), !record.isComplete,
                    record.attributes.type == .directory
                {
                    ahead.append(.listing(directory: child))
                }
                entries += 1
                return ahead.count < Self.listingsAheadMaximum
                    && entries < Self.entriesAheadMaximum
            }
            if ahead.count >= Self.listingsAheadMaximum || entries >= Self.entriesAheadMaximum {
                break
            }
        }
        return ahead
    }

    private static let listingsAheadMaximum = 32
    /// Entries that are gone through for that: the loop waits for it.
    private static let entriesAheadMaximum = 512

    /// Leaves the directory that the walk is in, if it is in one.
    public mutating func skip() { _ = stack.popLast() }
}

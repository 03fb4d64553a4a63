/// One object of a tree: 64 bits, never reused, and the `fileid` that clients see.
///
/// Main's objects are numbered by the image database when first seen, starting at ``root``. Objects
/// that a session makes have bit 62 set, so the two can never meet.
public struct NodeID: RawRepresentable, Hashable, Sendable, Comparable {
    public let rawValue: UInt64

    @inlinable
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The root directory of every image.
    public static let root = NodeID(rawValue: 1)

    static let sessionBit: UInt64 = 1 << 62

    /// Whether a session made this object; main knows nothing of it.
    public var isSessionMade: Bool { rawValue & Self.sessionBit != 0 }

    @inlinable
    public static func < (lhs: NodeID, rhs: NodeID) -> Bool { lhs.rawValue < rhs.rawValue }

    /// The id as SQLite stores it.
    var row: Int64 { Int64(bitPattern: rawValue) }

    init(row: Int64) { rawValue = UInt64(bitPattern: row) }
}

extension NodeID: CustomStringConvertible {
    public var description: String {
        isSessionMade ? "session#\(rawValue & ~Self.sessionBit)" : "image#\(rawValue)"
    }
}

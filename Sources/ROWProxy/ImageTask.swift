import ROWCore

/// What an operator can have done to what is kept of an image, whether or not a process serves it.
public enum ImageTask: Codable, Sendable {
    /// Fetches files, and all that is below directories.
    /// - Parameter paths: in the image; the root's is empty.
    /// - Parameter bytesPerSecond: nil for what the link carries.
    case prefetch(paths: [String], bytesPerSecond: UInt64?)
    /// The same, and never gives them up for others.
    case pin(paths: [String])
    case unpin(paths: [String])
    /// Gives the blocks of files up, of all below directories; names and ids stay.
    case drop(paths: [String])
    case list
    /// Reads all blocks and checks them.
    case verify

    /// Whether blocks are fetched for it.
    var fills: Bool {
        switch self {
        case .prefetch, .pin: true
        case .unpin, .drop, .list, .verify: false
        }
    }
}

/// What comes of a task: lines while it is at work, the last of which says what it came to.
public struct ImageReport: Codable, Sendable {
    /// A file that something of is kept.
    public struct File: Codable, Sendable {
        public var path: String
        public var size: UInt64
        /// Bytes of storage.
        public var kept: UInt64
        public var isPinned: Bool

        enum CodingKeys: String, CodingKey {
            case path, size, kept
            case isPinned = "pinned"
        }
    }

    public init() {}

    /// Files that are done, and bytes of them.
    public var files = 0
    public var bytes: UInt64 = 0
    /// What ``bytes`` will be at the end; nil where that is not known.
    public var bytesTotal: UInt64?
    /// Bytes that came from main.
    public var fetched: UInt64 = 0
    /// Files, or pieces of them, that main did not give.
    public var failures = 0
    /// Blocks that were not what was written, and files that were cut short.
    public var damaged = 0
    /// For ``ImageTask/list``, some at a time.
    public var listed: [File]?
}

public import NFSProtocol

/// What an operation needs from main before it can go on.
public enum Fetch: Hashable, Sendable {
    /// LOOKUP of a name in a directory of the image.
    case lookup(directory: NodeID, name: [UInt8])
    /// The next page of a directory's listing, from wherever its import stands.
    case listing(directory: NodeID)
    /// READLINK.
    case target(NodeID)
}

/// Why an operation stopped short of an answer.
///
/// Operations plan first and change nothing until nothing can stop them, so one that needs main is
/// simply run again when what it needs has come.
public enum Interrupt: Error, Sendable, Equatable {
    /// The answer is this NFS status.
    case status(NFS3.Status)
    /// Main must be asked; then run the operation again.
    case need(Fetch)
    /// A commit in flight touches what the answer would show; run the operation again after it.
    case wait
    /// The shadow server is at work on this file; run the operation again after that, see
    /// ``SessionState/waitForShadow(_:then:)``.
    case busy(NodeID)
}

/// One object as main describes it.
public struct MainEntry: Sendable {
    /// Attributes as main reports them: its own fsid and fileid.
    public var attributes: NFS3.Attributes
    /// Main's handle; nil where the source has none (a local directory).
    public var handle: NFS3.FileHandle?

    public init(attributes: NFS3.Attributes, handle: NFS3.FileHandle?) {
        self.attributes = attributes
        self.handle = handle
    }
}

/// What main answered to a ``Fetch``.
public enum FetchResult: Sendable {
    /// `lookup`: the object, or nil when main has no such name.
    case entry(MainEntry?)
    /// `listing`: some entries, without `.` and `..`; and whether they were the last.
    case page([(name: [UInt8], entry: MainEntry)], isLast: Bool)
    /// `target`: the symbolic link's text.
    case target([UInt8])
    /// Main could not answer; the status is what the client is told.
    case failed(NFS3.Status)
}

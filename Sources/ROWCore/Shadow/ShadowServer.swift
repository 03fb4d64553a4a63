public import NFSProtocol

/// An NFS server that keeps the sparse files of one session. The shell implements it.
///
/// Loop-confined. Every method returns at once, and calls `then` later, on the loop. An answer that does
/// not come is a failure with JUKEBOX, except where a late effect would destroy data: those calls wait
/// until the server has answered, however long.
public protocol ShadowServer: AnyObject {
    /// The same for the same export, however it is reached.
    var name: String { get }
    /// How it is reached.
    var url: String { get }

    /// Gets the session's directory ready, and lists the names in it.
    /// - Parameter mayExist: false for a session that never used it: what is there then is another's.
    func prepare(mayExist: Bool, then: @escaping (Result<[[UInt8]], ShadowFailure>) -> Void)
    /// Finds a file, or makes it, and cuts it when it is longer than `size`: what a lost cut or write
    /// left there is on no record. Nothing else may be under way on the file.
    /// - Parameter isExpected: whether there is data in it; one that is missing is then a failure.
    func open(
        _ file: LayerID, size: UInt64, isExpected: Bool,
        then: @escaping (Result<ShadowOpened, ShadowFailure>) -> Void)
    /// COMMIT of the whole file.
    func commit(
        _ file: LayerID, then: @escaping (Result<ShadowCommitted, ShadowFailure>) -> Void)
    /// Cuts a file; waits until the server has answered.
    func cut(_ file: LayerID, to size: UInt64, then: @escaping (ShadowFailure?) -> Void)
    /// Removes a file; one that is missing is no failure.
    func remove(_ file: LayerID, then: @escaping (ShadowFailure?) -> Void)
}

/// Why the shadow server did not do what it was asked.
public struct ShadowFailure: Error, Sendable, Hashable {
    /// What a client is told.
    public let status: NFS3.Status

    public init(_ status: NFS3.Status) { self.status = status }
}

/// What ``ShadowServer/open(_:size:isExpected:then:)`` did.
public struct ShadowOpened: Sendable {
    public let isNew: Bool

    public init(isNew: Bool) { self.isNew = isNew }
}

/// What a COMMIT at the shadow server answered.
public struct ShadowCommitted: Sendable {
    public let verifier: UInt64
    /// Bytes of storage that the file takes up, where the server says so.
    public let allocatedBytes: UInt64?

    public init(verifier: UInt64, allocatedBytes: UInt64?) {
        self.verifier = verifier
        self.allocatedBytes = allocatedBytes
    }
}

/// What the WRITEs that carried one write to the shadow server answered.
public struct ShadowWritten: Sendable {
    /// Of those that the server may still lose; different ones when it lost some meanwhile.
    public var verifiers: [UInt64] = []
    /// Bytes of storage that the file takes up, where the server says so.
    public var allocatedBytes: UInt64?

    public init() {}

    /// Takes one answer up.
    /// - Parameter verifier: nil when the data is on stable storage already.
    public mutating func add(verifier: UInt64?, allocatedBytes: UInt64?) {
        if let verifier, verifiers.last != verifier { verifiers.append(verifier) }
        self.allocatedBytes = allocatedBytes ?? self.allocatedBytes
    }
}

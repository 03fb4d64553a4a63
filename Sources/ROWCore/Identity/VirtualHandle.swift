public import NFSProtocol
import XDR

/// What clients hold in place of main's handles: 32 bytes that name a session and a node and that
/// nobody else can make.
///
///     byte 0      version, 1
///     byte 1      kind, 1 = node
///     bytes 2-3   zero
///     bytes 4-7   session tag
///     bytes 8-15  node id
///     bytes 16-31 keyed code over the first 16 (SipHash-2-4-128, secret of the session)
///
/// It depends on nothing but the session's secret, so it survives restarts, redirection and
/// fail-over.
public struct VirtualHandle: Sendable, Equatable {
    public static let byteCount = 32
    /// Where the session's tag lies in a handle, bytes.
    public static let tagOffset = 4
    static let version: UInt8 = 1
    static let kind: UInt8 = 1

    /// What the bytes of a handle say before anybody checks the code.
    public enum Parsed: Sendable, Equatable {
        /// Not a handle of ours: answer BADHANDLE.
        case malformed
        case node(tag: UInt32, id: NodeID, code: Code)
    }

    /// The keyed code.
    public struct Code: Sendable, Equatable {
        var low: UInt64
        var high: UInt64
    }

    /// Reads a handle's fields; ``SessionState/node(of:)`` says whether they are genuine.
    @inlinable
    public static func parse(_ handle: borrowing RawSpan) -> Parsed {
        guard handle.byteCount == byteCount else { return .malformed }
        return parseWords(
            handle.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self),
            handle.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt64.self),
            handle.unsafeLoadUnaligned(fromByteOffset: 16, as: UInt64.self),
            handle.unsafeLoadUnaligned(fromByteOffset: 24, as: UInt64.self))
    }

    @usableFromInline
    static func parseWords(_ head: UInt64, _ id: UInt64, _ low: UInt64, _ high: UInt64) -> Parsed {
        let head = UInt64(bigEndian: head)
        guard head >> 32 == headWord else { return .malformed }
        return .node(
            tag: UInt32(truncatingIfNeeded: head), id: NodeID(rawValue: UInt64(bigEndian: id)),
            code: Code(low: UInt64(bigEndian: low), high: UInt64(bigEndian: high)))
    }

    static let headWord = UInt64(version) << 24 | UInt64(kind) << 16
}

/// The secret of one session, with which its handles are made and checked.
public struct HandleKey: Sendable {
    let secret: SipHash.Key
    /// Tells the sessions of a process apart; random.
    public let tag: UInt32

    init(secret: SipHash.Key, tag: UInt32) {
        self.secret = secret
        self.tag = tag
    }

    private var head: UInt64 { VirtualHandle.headWord << 32 | UInt64(tag) }

    func code(of id: NodeID) -> VirtualHandle.Code {
        let code = SipHash.code(secret, head, id.rawValue)
        return VirtualHandle.Code(low: code.0, high: code.1)
    }

    /// The handle of a node.
    public func handle(of id: NodeID) -> NFS3.FileHandle {
        handle(of: id, code: code(of: id))
    }

    func handle(of id: NodeID, code: VirtualHandle.Code) -> NFS3.FileHandle {
        let words: InlineArray<4, UInt64> = [
            head.bigEndian, id.rawValue.bigEndian, code.low.bigEndian, code.high.bigEndian,
        ]
        return NFS3.FileHandle(words.span.bytes)
    }

    /// Whether this session made the handle.
    func verify(id: NodeID, code: VirtualHandle.Code) -> Bool { self.code(of: id) == code }
}

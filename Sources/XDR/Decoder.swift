/// A bounded cursor over one XDR record (RFC 4506). It never reads past the record, never allocates,
/// and copies nothing: variable-length items come back as a view or as a byte range of the record.
public struct Decoder: ~Escapable {
    @usableFromInline let bytes: RawSpan
    /// The next byte to read, counted from the start of the record.
    @inlinable public var offset: Int { cursor }
    @usableFromInline var cursor: Int

    /// - Parameter bytes: the whole record.
    /// - Parameter offset: where to begin, in 0...bytes.byteCount.
    @_lifetime(copy bytes)
    @inlinable
    public init(_ bytes: RawSpan, at offset: Int = 0) {
        precondition(offset >= 0 && offset <= bytes.byteCount)
        self.bytes = bytes
        self.cursor = offset
    }

    /// Bytes not read yet.
    @inlinable
    public var remaining: Int { bytes.byteCount - cursor }

    /// `unsigned int` (RFC 4506 §4.2).
    @_lifetime(self: copy self)
    @inlinable
    @inline(__always)
    public mutating func decodeUInt32() throws(XDRError) -> UInt32 {
        let at = try advance(4)
        return UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    /// `int` (RFC 4506 §4.1).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func decodeInt32() throws(XDRError) -> Int32 {
        Int32(bitPattern: try decodeUInt32())
    }

    /// `unsigned hyper` (RFC 4506 §4.5).
    @_lifetime(self: copy self)
    @inlinable
    @inline(__always)
    public mutating func decodeUInt64() throws(XDRError) -> UInt64 {
        let at = try advance(8)
        return UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// `bool` (RFC 4506 §4.4); anything but 0 and 1 is an error.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func decodeBool() throws(XDRError) -> Bool {
        let start = cursor
        switch try decodeUInt32() {
        case 0: return false
        case 1: return true
        case let other: throw XDRError(.badBoolean, at: start, found: UInt64(other))
        }
    }

    /// Fixed-length `opaque[count]` (RFC 4506 §4.9), as a view of the record.
    @_lifetime(copy self)
    @inlinable
    public mutating func decodeFixedOpaque(count: Int) throws(XDRError) -> RawSpan {
        let at = try advance(paddedCount(count))
        return bytes.extracting(at..<(at + count))
    }

    /// Variable-length `opaque<maximum>` or `string<maximum>` (RFC 4506 §4.10, §4.11), as a view.
    @_lifetime(copy self)
    @inlinable
    public mutating func decodeOpaque(maximum: Int) throws(XDRError) -> RawSpan {
        let range = try decodeOpaqueRange(maximum: maximum)
        return bytes.extracting(range)
    }

    /// Variable-length `opaque<maximum>`, as the byte range of the record that holds it. For payloads
    /// which are sliced out of the receive buffer rather than copied.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func decodeOpaqueRange(maximum: Int) throws(XDRError) -> Range<Int> {
        let count = try decodeCount(maximum: maximum)
        let at = try advance(paddedCount(count))
        return at..<(at + count)
    }

    /// The count that precedes a variable-length array (RFC 4506 §4.13), checked against `maximum`.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func decodeCount(maximum: Int) throws(XDRError) -> Int {
        let start = cursor
        let count = try decodeUInt32()
        guard Int(count) <= maximum else {
            throw XDRError(.tooLong, at: start, found: UInt64(count))
        }
        return Int(count)
    }

    /// Variable-length opaque copied into an array. Not for the data path.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func decodeBytes(maximum: Int) throws(XDRError) -> [UInt8] {
        let view = try decodeOpaque(maximum: maximum)
        return [UInt8](copying: view)
    }

    /// Optional data, the `*` of the XDR language (RFC 4506 §4.19).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func decodeOptional<T: XDRDecodable>(_: T.Type) throws(XDRError) -> T? {
        guard try decodeBool() else { return nil }
        return try T(from: &self)
    }

    /// Throws unless the record has been read to its end.
    @inlinable
    public func finish() throws(XDRError) {
        guard remaining == 0 else {
            throw XDRError(.trailingBytes, at: cursor, found: UInt64(remaining))
        }
    }

    @_lifetime(self: copy self)
    @inlinable
    @inline(__always)
    mutating func advance(_ count: Int) throws(XDRError) -> Int {
        let at = cursor
        guard count <= bytes.byteCount - at else { throw XDRError(.truncated, at: at) }
        cursor = at + count
        return at
    }
}

/// `count` rounded up to the four-byte unit of XDR (RFC 4506 §3).
@inlinable
public func paddedCount(_ count: Int) -> Int { (count + 3) & ~3 }

extension Array where Element == UInt8 {
    /// The bytes of `span`, copied.
    @inlinable
    public init(copying span: RawSpan) {
        self = span.withUnsafeBytes { Array($0) }
    }
}

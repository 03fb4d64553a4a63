/// XDR encoding (RFC 4506) appends to an `OutputRawSpan`: memory the caller made room for. A type
/// says its size first (``XDREncodable/encodedSize``), so a reply is written once, into its place.
extension OutputRawSpan {
    /// `unsigned int` (RFC 4506 §4.2).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encode(_ value: UInt32) {
        append(value.bigEndian, as: UInt32.self)
    }

    /// `int` (RFC 4506 §4.1).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encode(_ value: Int32) {
        encode(UInt32(bitPattern: value))
    }

    /// `unsigned hyper` (RFC 4506 §4.5).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encode(_ value: UInt64) {
        append(value.bigEndian, as: UInt64.self)
    }

    /// `bool` (RFC 4506 §4.4).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encode(_ value: Bool) {
        encode(value ? UInt32(1) : 0)
    }

    /// `opaque<>` or `string<>`: length, bytes, zero padding (RFC 4506 §4.10).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encodeOpaque(_ bytes: RawSpan) {
        encode(UInt32(bytes.byteCount))
        encodeFixedOpaque(bytes)
    }

    /// `opaque<>` from an array.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encodeOpaque(_ bytes: [UInt8]) {
        encodeOpaque(bytes.span.bytes)
    }

    /// `opaque[n]`: bytes and zero padding, no length (RFC 4506 §4.9).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encodeFixedOpaque(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { source in
            withUnsafeMutableBytes { memory, initializedCount in
                precondition(source.count <= memory.count - initializedCount)
                if let base = source.baseAddress {
                    (memory.baseAddress! + initializedCount).copyMemory(
                        from: base, byteCount: source.count)
                }
                initializedCount += source.count
            }
        }
        encodePadding(after: bytes.byteCount)
    }

    /// The zero bytes that follow `count` bytes of opaque data.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encodePadding(after count: Int) {
        for _ in count..<paddedCount(count) { append(0) }
    }

    /// Any encodable value.
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encode<T: XDREncodable>(_ value: T) {
        value.encode(into: &self)
    }

    /// Optional data, the `*` of the XDR language (RFC 4506 §4.19).
    @_lifetime(self: copy self)
    @inlinable
    public mutating func encodeOptional<T: XDREncodable>(_ value: T?) {
        encode(value != nil)
        if let value { value.encode(into: &self) }
    }
}

extension Optional where Wrapped: XDREncodable {
    /// The size of optional data: its boolean and, when present, the value.
    @inlinable
    public var optionalEncodedSize: Int { 4 + (self?.encodedSize ?? 0) }
}

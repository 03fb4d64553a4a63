/// A value that can be written as XDR (RFC 4506).
public protocol XDREncodable {
    /// The bytes that ``encode(into:)`` appends; a multiple of four.
    var encodedSize: Int { get }
    /// Appends exactly ``encodedSize`` bytes. The caller has made room for them.
    func encode(into output: inout OutputRawSpan)
}

/// A value that can be read from XDR (RFC 4506). Reading checks every length before it copies.
public protocol XDRDecodable {
    init(from decoder: inout Decoder) throws(XDRError)
}

/// A value that goes both ways.
public typealias XDRCodable = XDREncodable & XDRDecodable

extension XDREncodable {
    /// The encoded bytes as an array. Not for the data path.
    public func encoded() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: encodedSize) { memory, count in
            var output = OutputRawSpan(
                buffer: UnsafeMutableRawBufferPointer(memory), initializedCount: 0)
            encode(into: &output)
            count = output.finalize(for: UnsafeMutableRawBufferPointer(memory))
        }
    }
}

extension XDRDecodable {
    /// Reads one value that must take up all of `bytes`.
    public init(decoding bytes: [UInt8]) throws(XDRError) {
        var decoder = Decoder(bytes.span.bytes)
        self = try Self(from: &decoder)
        try decoder.finish()
    }
}

/// The `void` of the XDR language: no bytes.
public struct XDRVoid: XDREncodable, XDRDecodable, Equatable, Sendable {
    @inlinable public init() {}
    @inlinable public init(from decoder: inout Decoder) throws(XDRError) {}
    @inlinable public var encodedSize: Int { 0 }
    @inlinable public func encode(into output: inout OutputRawSpan) {}
}

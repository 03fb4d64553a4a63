public import XDR

/// A value of a protocol type that tests can make at random.
public protocol Wire: XDREncodable, XDRDecodable, Equatable, Sendable {
    static func random(using random: inout SeededGenerator) -> Self

    /// For types whose data travels beside them: where in the record it is. Nil for all others.
    var payload: Range<Int>? { get set }
}

extension Wire {
    public var payload: Range<Int>? {
        get { nil }
        set { precondition(newValue == nil, "\(Self.self) has no payload") }
    }
}

/// One random value: its bytes, and whether other bytes decode to the same value.
public struct Sample: Sendable {
    public let bytes: [UInt8]
    /// What the value said its size would be, payload and padding included.
    public let sizeSaid: Int
    /// Decodes bytes as the sample's type and compares the result with the sample.
    public let isDecoded: @Sendable (_ from: [UInt8]) throws(XDRError) -> Bool
}

/// A protocol type, with its C counterpart's name where it has one.
public struct WireType: Sendable, CustomStringConvertible {
    /// As the RFC writes it.
    public let name: String
    public let libraries: [CLibrary]
    /// A random value, encoded.
    public let sample: @Sendable (inout SeededGenerator) -> Sample
    /// Decodes all of the bytes, and encodes the result.
    public let recode: @Sendable ([UInt8]) throws(XDRError) -> [UInt8]

    public init<T: Wire>(_ name: String, _: T.Type, in libraries: [CLibrary] = [.libnfs]) {
        self.name = name
        self.libraries = libraries
        sample = { random in
            let value = T.random(using: &random)
            let payload = value.payload.map { random.bytes(count: $0.count) }
            let size = value.encodedSize + paddedCount(payload?.count ?? 0)
            return Sample(bytes: value.record(payload: payload), sizeSaid: size) {
                bytes throws(XDRError) in
                var decoded = try T(decoding: bytes)
                if let payload {
                    guard let range = decoded.payload, Array(bytes[range]) == payload else {
                        return false
                    }
                    decoded.payload = value.payload
                }
                return decoded == value
            }
        }
        recode = { bytes throws(XDRError) in
            let value = try T(decoding: bytes)
            return value.record(payload: value.payload.map { Array(bytes[$0]) })
        }
    }

    public var description: String { name }
}

extension Wire {
    /// The encoded value, followed by its payload and the payload's padding.
    func record(payload: [UInt8]?) -> [UInt8] {
        guard let payload else { return encoded() }
        let padding = paddedCount(payload.count) - payload.count
        return encoded() + payload + [UInt8](repeating: 0, count: padding)
    }
}

import CodecTestKit
import XDR

/// The primitives of the XDR language as types of their own, under libtirpc's names.
enum PrimitiveTypes {
    static let all: [WireType] = [
        WireType("int", SignedValue.self, in: [.tirpc]),
        WireType("unsigned int", UnsignedValue.self, in: [.tirpc]),
        WireType("unsigned hyper", HyperValue.self, in: [.tirpc]),
        WireType("bool", BooleanValue.self, in: [.tirpc]),
        WireType("opaque<>", OpaqueValue.self, in: [.tirpc]),
        WireType("opaque[33]", FixedOpaqueValue.self, in: [.tirpc]),
        WireType("string<>", StringValue.self, in: [.tirpc]),
        WireType("unsigned int<>", ArrayValue.self, in: [.tirpc]),
        WireType("unsigned hyper *", OptionalValue.self, in: [.tirpc]),
        WireType("opaque_auth", Authenticator.self, in: [.tirpc]),
        WireType("call_body", CallHeader.self, in: [.tirpc]),
        WireType("reply_body", ReplyHeader.self, in: [.tirpc]),
        WireType("authsys_parms", SystemCredential.self, in: [.tirpc]),
    ]
}

struct SignedValue: Wire {
    var value: Int32

    var encodedSize: Int { 4 }
    func encode(into output: inout OutputRawSpan) { output.encode(value) }

    init(from decoder: inout Decoder) throws(XDRError) { value = try decoder.decodeInt32() }

    init(_ value: Int32) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(Int32(bitPattern: random.edgy()))
    }
}

struct UnsignedValue: Wire {
    var value: UInt32

    var encodedSize: Int { 4 }
    func encode(into output: inout OutputRawSpan) { output.encode(value) }

    init(from decoder: inout Decoder) throws(XDRError) { value = try decoder.decodeUInt32() }

    init(_ value: UInt32) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self { Self(random.edgy()) }
}

struct HyperValue: Wire {
    var value: UInt64

    var encodedSize: Int { 8 }
    func encode(into output: inout OutputRawSpan) { output.encode(value) }

    init(from decoder: inout Decoder) throws(XDRError) { value = try decoder.decodeUInt64() }

    init(_ value: UInt64) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self { Self(random.edgy()) }
}

struct BooleanValue: Wire {
    var value: Bool

    var encodedSize: Int { 4 }
    func encode(into output: inout OutputRawSpan) { output.encode(value) }

    init(from decoder: inout Decoder) throws(XDRError) { value = try decoder.decodeBool() }

    init(_ value: Bool) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(.random(using: &random))
    }
}

/// `opaque value<64>`.
struct OpaqueValue: Wire {
    static let maximum = 64
    var value: [UInt8]

    var encodedSize: Int { 4 + paddedCount(value.count) }
    func encode(into output: inout OutputRawSpan) { output.encodeOpaque(value) }

    init(from decoder: inout Decoder) throws(XDRError) {
        value = try decoder.decodeBytes(maximum: Self.maximum)
    }

    init(_ value: [UInt8]) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(random.bytes(upTo: maximum))
    }
}

/// `opaque value[33]`: three bytes of padding.
struct FixedOpaqueValue: Wire {
    static let count = 33
    var value: [UInt8]

    var encodedSize: Int { 36 }
    func encode(into output: inout OutputRawSpan) { output.encodeFixedOpaque(value.span.bytes) }

    init(from decoder: inout Decoder) throws(XDRError) {
        value = [UInt8](copying: try decoder.decodeFixedOpaque(count: Self.count))
    }

    init(_ value: [UInt8]) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(random.bytes(count: count))
    }
}

/// `string value<100>`.
struct StringValue: Wire {
    static let maximum = 100
    var value: [UInt8]

    var encodedSize: Int { 4 + paddedCount(value.count) }
    func encode(into output: inout OutputRawSpan) { output.encodeOpaque(value) }

    init(from decoder: inout Decoder) throws(XDRError) {
        value = try decoder.decodeBytes(maximum: Self.maximum)
    }

    init(_ value: [UInt8]) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(random.text(upTo: maximum))
    }
}

/// `unsigned int values<16>`.
struct ArrayValue: Wire {
    static let maximum = 16
    var values: [UInt32]

    var encodedSize: Int { 4 + 4 * values.count }

    func encode(into output: inout OutputRawSpan) {
        output.encode(UInt32(values.count))
        for value in values { output.encode(value) }
    }

    init(from decoder: inout Decoder) throws(XDRError) {
        values = []
        let count = try decoder.decodeCount(maximum: Self.maximum)
        for _ in 0..<count { values.append(try decoder.decodeUInt32()) }
    }

    init(_ values: [UInt32]) { self.values = values }

    static func random(using random: inout SeededGenerator) -> Self {
        Self((0..<Int.random(in: 0...maximum, using: &random)).map { _ in random.edgy() })
    }
}

/// `unsigned hyper *value`.
struct OptionalValue: Wire {
    var value: HyperValue?

    var encodedSize: Int { value.optionalEncodedSize }
    func encode(into output: inout OutputRawSpan) { output.encodeOptional(value) }

    init(from decoder: inout Decoder) throws(XDRError) {
        value = try decoder.decodeOptional(HyperValue.self)
    }

    init(_ value: HyperValue?) { self.value = value }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(random.maybe { .random(using: &$0) })
    }
}

/// authsys_parms (RFC 5531 appendix A).
struct SystemCredential: Wire {
    var stamp: UInt32
    var machine: StringValue
    var uid: UInt32
    var gid: UInt32
    var gids: ArrayValue

    var encodedSize: Int { 12 + machine.encodedSize + gids.encodedSize }

    func encode(into output: inout OutputRawSpan) {
        output.encode(stamp)
        machine.encode(into: &output)
        output.encode(uid)
        output.encode(gid)
        gids.encode(into: &output)
    }

    init(from decoder: inout Decoder) throws(XDRError) {
        stamp = try decoder.decodeUInt32()
        machine = try StringValue(from: &decoder)
        uid = try decoder.decodeUInt32()
        gid = try decoder.decodeUInt32()
        gids = try ArrayValue(from: &decoder)
    }

    init(stamp: UInt32, machine: StringValue, uid: UInt32, gid: UInt32, gids: ArrayValue) {
        self.stamp = stamp
        self.machine = machine
        self.uid = uid
        self.gid = gid
        self.gids = gids
    }

    static func random(using random: inout SeededGenerator) -> Self {
        Self(
            stamp: random.edgy(), machine: .random(using: &random), uid: random.edgy(),
            gid: random.edgy(), gids: .random(using: &random))
    }
}

public import XDR

/// opaque_auth (RFC 5531 §8.2): a flavor and up to 400 bytes.
public struct Authenticator: Wire {
    public var flavor: UInt32
    public var body: [UInt8]

    public init(flavor: UInt32, body: [UInt8]) {
        self.flavor = flavor
        self.body = body
    }

    public var encodedSize: Int { 8 + paddedCount(body.count) }

    public func encode(into output: inout OutputRawSpan) {
        output.encode(flavor)
        output.encodeOpaque(body)
    }

    public init(from decoder: inout Decoder) throws(XDRError) {
        flavor = try decoder.decodeUInt32()
        body = try decoder.decodeBytes(maximum: 400)
    }

    public static func random(using random: inout SeededGenerator) -> Self {
        Self(flavor: .random(in: 0...6, using: &random), body: random.bytes(upTo: 40))
    }
}

/// What precedes a call's arguments (RFC 5531 §9), as little as tests need: the product's own types
/// are in ONCRPC, and captured records are read without them.
public struct CallHeader: Wire {
    public var xid: UInt32
    public var program: UInt32
    public var version: UInt32
    public var procedure: UInt32
    public var credential: Authenticator
    public var verifier: Authenticator

    public var encodedSize: Int { 24 + credential.encodedSize + verifier.encodedSize }

    public func encode(into output: inout OutputRawSpan) {
        output.encode(xid)
        output.encode(UInt32(0))
        output.encode(UInt32(2))
        output.encode(program)
        output.encode(version)
        output.encode(procedure)
        credential.encode(into: &output)
        verifier.encode(into: &output)
    }

    public init(from decoder: inout Decoder) throws(XDRError) {
        xid = try decoder.decodeUInt32()
        try decoder.expect(0)
        try decoder.expect(2)
        program = try decoder.decodeUInt32()
        version = try decoder.decodeUInt32()
        procedure = try decoder.decodeUInt32()
        credential = try Authenticator(from: &decoder)
        verifier = try Authenticator(from: &decoder)
    }

    init(
        xid: UInt32, program: UInt32, version: UInt32, procedure: UInt32, credential: Authenticator,
        verifier: Authenticator
    ) {
        self.xid = xid
        self.program = program
        self.version = version
        self.procedure = procedure
        self.credential = credential
        self.verifier = verifier
    }

    public static func random(using random: inout SeededGenerator) -> Self {
        Self(
            xid: random.edgy(), program: random.edgy(), version: random.edgy(),
            procedure: random.edgy(), credential: .random(using: &random),
            verifier: .random(using: &random))
    }
}

/// What precedes the results in an accepted reply (RFC 5531 §9).
public struct ReplyHeader: Wire {
    public var xid: UInt32
    public var verifier: Authenticator
    /// accept_stat: 0 when results follow.
    public var status: UInt32

    init(xid: UInt32, verifier: Authenticator, status: UInt32) {
        self.xid = xid
        self.verifier = verifier
        self.status = status
    }

    public var encodedSize: Int { 16 + verifier.encodedSize }

    public func encode(into output: inout OutputRawSpan) {
        output.encode(xid)
        output.encode(UInt32(1))
        output.encode(UInt32(0))
        verifier.encode(into: &output)
        output.encode(status)
    }

    public init(from decoder: inout Decoder) throws(XDRError) {
        xid = try decoder.decodeUInt32()
        try decoder.expect(1)
        try decoder.expect(0)
        verifier = try Authenticator(from: &decoder)
        status = try decoder.decodeUInt32()
    }

    /// Not PROG_MISMATCH (2), which two version numbers follow.
    public static func random(using random: inout SeededGenerator) -> Self {
        let statuses: [UInt32] = [0, 1, 3, 4, 5]
        return Self(
            xid: random.edgy(), verifier: .random(using: &random),
            status: statuses[Int.random(in: 0..<statuses.count, using: &random)])
    }
}

extension Decoder {
    @_lifetime(self: copy self)
    fileprivate mutating func expect(_ value: UInt32) throws(XDRError) {
        let at = offset
        let found = try decodeUInt32()
        guard found == value else { throw XDRError(.badDiscriminant, at: at, found: UInt64(found)) }
    }
}

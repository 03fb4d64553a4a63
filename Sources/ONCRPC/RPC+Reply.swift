public import XDR

extension RPC {
    /// accept_stat other than SUCCESS (RFC 5531 §9): the call was understood but not carried out.
    public enum AcceptError: Hashable, Sendable, Error {
        /// PROG_UNAVAIL.
        case progUnavail
        /// PROG_MISMATCH, with the versions that are there.
        case progMismatch(low: UInt32, high: UInt32)
        /// PROC_UNAVAIL.
        case procUnavail
        /// GARBAGE_ARGS.
        case garbageArgs
        /// SYSTEM_ERR.
        case systemErr

        /// The bytes of the whole reply, without a record mark.
        @inlinable
        public var encodedSize: Int {
            if case .progMismatch = self { 32 } else { 24 }
        }
    }

    /// rejected_reply (RFC 5531 §9): the call was turned away before its program was looked at.
    public enum Rejection: Hashable, Sendable, Error {
        /// RPC_MISMATCH, with the RPC versions that are spoken.
        case rpcMismatch(low: UInt32, high: UInt32)
        /// AUTH_ERROR, with an ``AuthStatus``.
        case authError(UInt32)

        /// The bytes of the whole reply, without a record mark.
        @inlinable
        public var encodedSize: Int {
            switch self {
            case .rpcMismatch: 24
            case .authError: 20
            }
        }
    }

    /// What a client makes of a record.
    public struct ParsedReply: Hashable, Sendable {
        public enum Outcome: Hashable, Sendable {
            /// The results start this many bytes from the start of the record.
            case success(resultsOffset: Int)
            case acceptError(AcceptError)
            case rejection(Rejection)
        }

        public var xid: UInt32
        public var outcome: Outcome

        @inlinable
        public init(xid: UInt32, outcome: Outcome) {
            self.xid = xid
            self.outcome = outcome
        }
    }

    /// The bytes that ``encodeSuccess(xid:into:)`` appends.
    public static let successHeaderSize = 24

    /// Appends the header of a successful reply; the results follow it.
    @inlinable
    public static func encodeSuccess(xid: UInt32, into output: inout OutputRawSpan) {
        encodeAccepted(xid: xid, status: 0, into: &output)
    }

    /// Appends a whole reply of `error.encodedSize` bytes.
    @inlinable
    public static func encode(
        error: AcceptError, xid: UInt32, into output: inout OutputRawSpan
    ) {
        switch error {
        case .progUnavail: encodeAccepted(xid: xid, status: 1, into: &output)
        case .progMismatch(let low, let high):
            encodeAccepted(xid: xid, status: 2, into: &output)
            output.encode(low)
            output.encode(high)
        case .procUnavail: encodeAccepted(xid: xid, status: 3, into: &output)
        case .garbageArgs: encodeAccepted(xid: xid, status: 4, into: &output)
        case .systemErr: encodeAccepted(xid: xid, status: 5, into: &output)
        }
    }

    /// Appends a whole reply of `error.encodedSize` bytes.
    @inlinable
    public static func encode(error: Rejection, xid: UInt32, into output: inout OutputRawSpan) {
        output.encode(xid)
        output.encode(MessageType.reply)
        output.encode(UInt32(1))
        switch error {
        case .rpcMismatch(let low, let high):
            output.encode(UInt32(0))
            output.encode(low)
            output.encode(high)
        case .authError(let status):
            output.encode(UInt32(1))
            output.encode(status)
        }
    }

    /// MSG_ACCEPTED with a verifier of AUTH_NONE.
    @usableFromInline
    static func encodeAccepted(xid: UInt32, status: UInt32, into output: inout OutputRawSpan) {
        output.encode(xid)
        output.encode(MessageType.reply)
        output.encode(UInt32(0))
        output.encode(Flavor.none)
        output.encode(UInt32(0))
        output.encode(status)
    }

    /// Reads the header of a reply (RFC 5531 §9). Never allocates.
    /// - Parameter record: one whole record without its record mark.
    /// - Throws: `XDRError` when the record is no reply or ends too early.
    @inlinable
    public static func parseReply(_ record: RawSpan) throws(XDRError) -> ParsedReply {
        var decoder = Decoder(record)
        let xid = try decoder.decodeUInt32()
        try decoder.expect(MessageType.reply)
        let at = decoder.offset
        switch try decoder.decodeUInt32() {
        case 0:
            return ParsedReply(xid: xid, outcome: try parseAccepted(&decoder))
        case 1:
            let rejection = try parseRejection(&decoder)
            try decoder.finish()
            return ParsedReply(xid: xid, outcome: .rejection(rejection))
        case let other:
            throw XDRError(.badDiscriminant, at: at, found: UInt64(other))
        }
    }

    @_lifetime(decoder: copy decoder)
    @usableFromInline
    static func parseAccepted(_ decoder: inout Decoder) throws(XDRError) -> ParsedReply.Outcome {
        _ = try decoder.decodeUInt32()
        _ = try decoder.decodeOpaqueRange(maximum: authenticationBodySizeMaximum)
        let at = decoder.offset
        let error: AcceptError
        switch try decoder.decodeUInt32() {
        case 0: return .success(resultsOffset: decoder.offset)
        case 1: error = .progUnavail
        case 2:
            error = .progMismatch(
                low: try decoder.decodeUInt32(), high: try decoder.decodeUInt32())
        case 3: error = .procUnavail
        case 4: error = .garbageArgs
        case 5: error = .systemErr
        case let other: throw XDRError(.badDiscriminant, at: at, found: UInt64(other))
        }
        try decoder.finish()
        return .acceptError(error)
    }

    @_lifetime(decoder: copy decoder)
    @usableFromInline
    static func parseRejection(_ decoder: inout Decoder) throws(XDRError) -> Rejection {
        let at = decoder.offset
        switch try decoder.decodeUInt32() {
        case 0:
            return .rpcMismatch(low: try decoder.decodeUInt32(), high: try decoder.decodeUInt32())
        case 1:
            return .authError(try decoder.decodeUInt32())
        case let other:
            throw XDRError(.badDiscriminant, at: at, found: UInt64(other))
        }
    }
}

extension Decoder {
    /// Reads a number that must be `value`.
    @_lifetime(self: copy self)
    @usableFromInline
    mutating func expect(_ value: UInt32) throws(XDRError) {
        let at = offset
        let found = try decodeUInt32()
        guard found == value else { throw XDRError(.badDiscriminant, at: at, found: UInt64(found)) }
    }
}

import XDR

/// How a client asks for TLS on a connection (RFC 9289 §4.1): a call of NULL with the flavor AUTH_TLS, to which
/// a server that has it answers with a verifier that says so.
extension RPC {
    /// The body of the verifier.
    private static let startTLSToken = Array("STARTTLS".utf8)

    /// The bytes that ``encodeStartTLS(xid:into:)`` appends.
    public static let startTLSReplySize = successHeaderSize + startTLSToken.count

    /// Appends the whole reply that says that the handshake may begin.
    public static func encodeStartTLS(xid: UInt32, into output: inout OutputRawSpan) {
        output.encode(xid)
        output.encode(MessageType.reply)
        output.encode(UInt32(0))
        output.encode(Flavor.none)
        output.encodeOpaque(startTLSToken)
        output.encode(UInt32(0))
    }

    /// Whether a record is the reply to the probe with this xid and says that the handshake may begin. Whether
    /// the program is there does not matter for that.
    public static func isStartTLS(_ record: RawSpan, xid: UInt32) -> Bool {
        var decoder = Decoder(record)
        do throws(XDRError) {
            guard try decoder.decodeUInt32() == xid,
                try decoder.decodeUInt32() == MessageType.reply,
                try decoder.decodeUInt32() == 0, try decoder.decodeUInt32() == Flavor.none
            else { return false }
            let body = try decoder.decodeOpaqueRange(maximum: authenticationBodySizeMaximum)
            return record.extracting(body).withUnsafeBytes { $0.elementsEqual(startTLSToken) }
        } catch {
            return false
        }
    }
}

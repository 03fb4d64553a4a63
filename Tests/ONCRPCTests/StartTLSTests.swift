import ONCRPC
import Testing

/// RFC 9289 §4.1.
@Suite struct StartTLSTests {
    private func reply(xid: UInt32) -> [UInt8] {
        written(count: RPC.startTLSReplySize) { RPC.encodeStartTLS(xid: xid, into: &$0) }
    }

    private func isStartTLS(_ record: [UInt8], xid: UInt32 = 7) -> Bool {
        RPC.isStartTLS(record.span.bytes, xid: xid)
    }

    @Test func theReplyIsWhatTheStandardSays() {
        #expect(
            reply(xid: 7) == [
                // The xid, REPLY, MSG_ACCEPTED, AUTH_NONE, the token's length, STARTTLS, SUCCESS.
                0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8,
                0x53, 0x54, 0x41, 0x52, 0x54, 0x54, 0x4C, 0x53, 0, 0, 0, 0,
            ])
        #expect(isStartTLS(reply(xid: 7)))
    }

    @Test func anyAcceptStatusWillDo() {
        var unavailable = reply(xid: 7)
        unavailable[31] = 1
        #expect(isStartTLS(unavailable))
    }

    @Test func nothingElseIsTakenForIt() {
        let good = reply(xid: 7)
        #expect(!isStartTLS(good, xid: 8))
        for count in 0..<28 { #expect(!isStartTLS(Array(good.prefix(count)))) }
        // The xid, a call, a denial, another flavor, another length, another token.
        for index in [0, 7, 11, 15, 19, 20, 27] {
            var other = good
            other[index] ^= 1
            #expect(!isStartTLS(other), "byte \(index)")
        }
        let plain = written(count: RPC.successHeaderSize) { RPC.encodeSuccess(xid: 7, into: &$0) }
        #expect(!isStartTLS(plain))
    }

    private func parsed(procedure: UInt32, body: [UInt8] = []) -> RPC.ParsedCall {
        let record =
            words(7, 0, 2, 100003, 3, procedure, RPC.Flavor.tls, UInt32(body.count)) + body
            + words(0, 0)
        return RPC.parseCall(record.span.bytes)
    }

    @Test func theFlavorIsForNullAlone() {
        guard case .call(let header) = parsed(procedure: 0) else {
            Issue.record("not a call")
            return
        }
        #expect(header.credential == .other(flavor: RPC.Flavor.tls))
        let bad = RPC.ParsedCall.reject(xid: 7, .authError(RPC.AuthStatus.badCredential))
        #expect(parsed(procedure: 1) == bad)
        #expect(parsed(procedure: 0, body: [1, 2, 3, 4]) == bad)
    }
}

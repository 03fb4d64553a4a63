import ONCRPC
import Testing
import XDR

@Suite struct ReplyTests {
    /// Every kind of reply, as bytes and as what it means.
    static let samples: [(bytes: [UInt8], outcome: RPC.ParsedReply.Outcome)] = [
        // xid, REPLY, accepted, verifier, accept_stat, body
        (words(9, 1, 0, 0, 0, 0), .success(resultsOffset: 24)),
        (words(9, 1, 0, 0, 0, 1), .acceptError(.progUnavail)),
        (words(9, 1, 0, 0, 0, 2, 2, 4), .acceptError(.progMismatch(low: 2, high: 4))),
        (words(9, 1, 0, 0, 0, 3), .acceptError(.procUnavail)),
        (words(9, 1, 0, 0, 0, 4), .acceptError(.garbageArgs)),
        (words(9, 1, 0, 0, 0, 5), .acceptError(.systemErr)),
        // xid, REPLY, denied, reject_stat, body
        (words(9, 1, 1, 0, 2, 2), .rejection(.rpcMismatch(low: 2, high: 2))),
        (words(9, 1, 1, 1, 5), .rejection(.authError(5))),
    ]

    private func parse(_ bytes: [UInt8]) throws(XDRError) -> RPC.ParsedReply {
        try RPC.parseReply(bytes.span.bytes)
    }

    @Test(arguments: samples.indices)
    func everyKindOfReplyIsReadAndWritten(index: Int) throws {
        let (bytes, outcome) = Self.samples[index]
        #expect(try parse(bytes) == RPC.ParsedReply(xid: 9, outcome: outcome))
        let rewritten: [UInt8]
        switch outcome {
        case .success:
            rewritten = written(count: RPC.successHeaderSize) {
                RPC.encodeSuccess(xid: 9, into: &$0)
            }
        case .acceptError(let error):
            rewritten = written(count: error.encodedSize) {
                RPC.encode(error: error, xid: 9, into: &$0)
            }
        case .rejection(let error):
            rewritten = written(count: error.encodedSize) {
                RPC.encode(error: error, xid: 9, into: &$0)
            }
        }
        #expect(rewritten == bytes)
    }

    @Test(arguments: samples.indices)
    func aReplyCutAtAnyByteIsTruncated(index: Int) {
        let bytes = Self.samples[index].bytes
        for count in bytes.indices {
            #expect(throws: XDRError(.truncated, at: 0), "cut at \(count)") {
                try parse(Array(bytes[..<count]))
            }
        }
    }

    @Test func resultsStartBehindAVerifierOfAnyLength() throws {
        // An AUTH_SHORT verifier of 5 bytes and their padding.
        let bytes = words(9, 1, 0, 2, 5, 0x0102_0304, 0x0500_0000, 0, 0xFFFF_FFFF)
        #expect(try parse(bytes).outcome == .success(resultsOffset: 32))
    }

    @Test func wrongDiscriminantsAreErrors() {
        let bad = [
            words(9, 0, 0, 0, 0, 0),  // a call
            words(9, 1, 2, 0, 0, 0),  // neither accepted nor denied
            words(9, 1, 0, 0, 0, 6),  // no such accept_stat
            words(9, 1, 1, 2, 0, 0),  // no such reject_stat
        ]
        for bytes in bad {
            #expect(throws: XDRError(.badDiscriminant, at: 0)) { try parse(bytes) }
        }
    }

    @Test func bytesBehindAnErrorAndLongVerifiersAreErrors() {
        #expect(throws: XDRError(.trailingBytes, at: 0)) {
            try parse(words(9, 1, 0, 0, 0, 4, 0))
        }
        #expect(throws: XDRError(.trailingBytes, at: 0)) { try parse(words(9, 1, 1, 1, 5, 0)) }
        #expect(throws: XDRError(.tooLong, at: 0)) { try parse(words(9, 1, 0, 0, 401, 0)) }
    }
}

import ONCRPC
import ROWTestKit
import XDR

/// Headers of calls and replies (RFC 5531 §9): what is understood means the same when it is written again.
final class HeadersTarget: FuzzTarget {
    func seeds() -> [[UInt8]] {
        let groups = RPC.Groups([1, 2, 3])
        let credentials: [RPC.Credential] = [
            .none, .sys(RPC.AuthSys(uid: 1000, gid: 100, groups: groups)),
        ]
        let calls = credentials.map { Message.call(xid: 7, procedure: 1, credential: $0) }
        let rejections: [RPC.Rejection] = [.rpcMismatch(low: 2, high: 2), .authError(1)]
        let errors: [RPC.AcceptError] = [.progMismatch(low: 1, high: 3), .garbageArgs]
        let success = Message.encoded(RPC.successHeaderSize) {
            RPC.encodeSuccess(xid: 7, into: &$0)
        }
        return calls + rejections.map(Self.reply) + errors.map(Self.reply) + [
            success + [0, 0, 0, 1]
        ]
    }

    func take(_ bytes: [UInt8]) {
        switch RPC.parseCall(bytes.span.bytes) {
        case .notACall: break
        case .reject(let xid, let rejection):
            let reply = Self.reply(rejection, xid)
            must(
                Self.parse(reply)
                    == RPC.ParsedReply(xid: xid, outcome: .rejection(rejection)),
                "our refusal \(rejection) is not understood")
        case .call(let header):
            must(header.argumentsOffset <= bytes.count, "the arguments begin behind the end")
            checkAgain(header)
        }
        guard let reply = try? RPC.parseReply(bytes.span.bytes) else { return }
        let again: [UInt8]
        switch reply.outcome {
        case .success(let offset):
            must(offset <= bytes.count, "the results begin behind the end")
            again = Message.encoded(RPC.successHeaderSize) {
                RPC.encodeSuccess(xid: reply.xid, into: &$0)
            }
            must(Self.parse(again)?.xid == reply.xid, "another xid")
            return
        case .acceptError(let error): again = Self.reply(error, reply.xid)
        case .rejection(let rejection): again = Self.reply(rejection, reply.xid)
        }
        must(Self.parse(again) == reply, "\(reply) is read otherwise")
    }

    private static func parse(_ reply: [UInt8]) -> RPC.ParsedReply? {
        try? RPC.parseReply(reply.span.bytes)
    }

    private func checkAgain(_ header: RPC.CallHeader) {
        // Flavors that are not ours are not kept.
        switch header.credential {
        case .none, .sys: break
        default: return
        }
        let again = Message.call(
            xid: header.xid, program: header.program, version: header.version,
            procedure: header.procedure, credential: header.credential)
        guard case .call(var other) = RPC.parseCall(again.span.bytes) else {
            must(false, "\(header) is not understood")
            return
        }
        other.argumentsOffset = header.argumentsOffset
        must(other == header, "\(header) is read as \(other)")
    }

    private static func reply(_ rejection: RPC.Rejection) -> [UInt8] { reply(rejection, 7) }
    private static func reply(_ error: RPC.AcceptError) -> [UInt8] { reply(error, 7) }

    private static func reply(_ rejection: RPC.Rejection, _ xid: UInt32) -> [UInt8] {
        Message.encoded(rejection.encodedSize) { RPC.encode(error: rejection, xid: xid, into: &$0) }
    }

    private static func reply(_ error: RPC.AcceptError, _ xid: UInt32) -> [UInt8] {
        Message.encoded(error.encodedSize) { RPC.encode(error: error, xid: xid, into: &$0) }
    }
}

import NFSProtocol
import NIOCore
import ONCRPC
import ROWTestKit

@testable import ROWProxy

/// The port mapper's types, and its answers to whatever comes in a datagram.
final class PortmapTarget: FuzzTarget {
    private let codecs = CodecTarget(Codecs.portmap)
    private let service = PortmapService(port: 2049, portmapPort: 111)

    func seeds() -> [[UInt8]] {
        let calls = Portmap.Procedure.allCases.map { procedure in
            [0]
                + Message.call(
                    xid: 7, program: Portmap.program, version: Portmap.version,
                    procedure: procedure.rawValue, credential: .none, Codecs.plain)
        }
        return calls + codecs.seeds().map { [1] + $0 }
    }

    func take(_ bytes: [UInt8]) {
        var input = Input(bytes)
        guard input.byte() == 0 else { return codecs.take(input.all()) }
        let record = input.all()
        guard let answer = service.reply(to: record.span.bytes) else { return }
        let reply = Array(answer.readableBytesView)
        must(
            (try? RPC.parseReply(reply.span.bytes))?.xid == Self.xid(record),
            "\(reply) answers nobody")
        // Nobody can have others flooded with what they have not asked for.
        must(reply.count <= 24 + 5 * 20 + 4, "a reply of \(reply.count) bytes")
    }

    private static func xid(_ record: [UInt8]) -> UInt32 {
        record.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}

import NIOCore
import ONCRPC
import ROWCore
import XDR

/// Replies of calls that must not be executed twice, for clients that send them again: in memory with
/// the calls still in progress, and stored by the session in the transaction of the effect, so that a
/// retry after a crash is replayed too (DESIGN: rules of durability).
///
/// Entries go by count, never by age; the count per client exceeds what a connection may have parked.
final class ReplyCache {
    /// What makes two calls the same one: the client's address without its port, xid, procedure, and
    /// a checksum of all arguments and credentials.
    struct Key: Hashable {
        let client: [UInt8]
        let xid: UInt32
        let procedure: UInt32
        let checksum: UInt64

        init(_ call: RPCCall) {
            client = call.connection.clientAddress
            xid = call.header.xid
            procedure = call.header.procedure
            checksum = call.record.withUnsafeReadableBytes { bytes in
                // FNV-1a over all that follows the xid. It tells retries from reused xids; nobody is
                // kept out by it.
                bytes.dropFirst(4).reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
                    ($0 ^ UInt64($1)) &* 0x100_0000_01b3
                }
            }
        }

        init(_ reply: StoredReply) {
            client = reply.client
            xid = reply.xid
            procedure = reply.procedure
            checksum = reply.checksum
        }

        func stored(_ record: [UInt8]) -> StoredReply {
            StoredReply(
                client: client, xid: xid, procedure: procedure, checksum: checksum, body: record)
        }
    }

    enum Found {
        case new
        case inProgress
        case replay([UInt8])
    }

    private enum State {
        case inProgress
        case done([UInt8])
    }

    private var states: [Key: State] = [:]
    /// Keys of finished calls by client, oldest first.
    private var finished: [[UInt8]: [Key]] = [:]
    private static let countPerClient = StoredReply.countPerClient

    /// Takes in what a session stored before a restart.
    func load(_ replies: [StoredReply]) {
        for reply in replies { finish(Key(reply), reply.body) }
    }

    func look(up key: Key) -> Found {
        switch states[key] {
        case nil: .new
        case .inProgress: .inProgress
        case .done(let record): .replay(record)
        }
    }

    func begin(_ key: Key) { states[key] = .inProgress }

    func finish(_ key: Key, _ record: [UInt8]) {
        states[key] = .done(record)
        finished[key.client, default: []].append(key)
        guard let count = finished[key.client]?.count, count >= 2 * Self.countPerClient else {
            return
        }
        for old in finished[key.client]?.prefix(count - Self.countPerClient) ?? [] {
            states[old] = nil
        }
        finished[key.client]?.removeFirst(count - Self.countPerClient)
    }

    /// The call had no effect and may be tried again.
    func forget(_ key: Key) { states[key] = nil }

    /// The RPC record that answers a call with `result`.
    static func record<T: XDREncodable>(of result: T, xid: UInt32) -> [UInt8] {
        let size = RPC.successHeaderSize + result.encodedSize
        return [UInt8](unsafeUninitializedCapacity: size) { memory, count in
            let raw = UnsafeMutableRawBufferPointer(memory)
            var output = OutputRawSpan(buffer: raw, initializedCount: 0)
            RPC.encodeSuccess(xid: xid, into: &output)
            result.encode(into: &output)
            count = output.finalize(for: raw)
        }
    }
}

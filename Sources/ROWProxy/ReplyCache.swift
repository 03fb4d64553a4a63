import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// A call that must not be executed twice, while it is being worked on.
final class CallInProgress {
    let key: ReplyCache.Key
    /// Where the answer goes: the connection over which the client asked last.
    fileprivate(set) var connection: RPCHandler

    init(_ key: ReplyCache.Key, _ connection: RPCHandler) {
        self.key = key
        self.connection = connection
    }
}

/// Replies of calls that must not be executed twice, for clients that send them again: in memory with
/// the calls still in progress, and stored by the session in the transaction of the effect, so that a
/// retry after a crash is replayed too (DESIGN: rules of durability).
///
/// Entries go by count, never by age; the count per client exceeds what a connection may have parked.
/// WRITEs are here only while they are parked: their replies are not kept, since a WRITE may be
/// repeated until the client has seen the answer.
final class ReplyCache {
    /// What makes two calls the same one: session, the client's address without its port, xid,
    /// procedure, and a checksum of all arguments and credentials.
    struct Key: Hashable {
        let owner: Owner
        let xid: UInt32
        let procedure: UInt32
        let checksum: UInt64

        init(_ call: RPCCall) {
            owner = Owner(client: call.origin.client.bytes, session: call.sessionTag ?? 0)
            xid = call.header.xid
            procedure = call.header.procedure
            // All that follows the xid.
            checksum = call.record.withUnsafeReadableBytes { checksumOf(bytes: $0.dropFirst(4)) }
        }

        init(_ reply: StoredReply, session: UInt32) {
            owner = Owner(client: reply.client, session: session)
            xid = reply.xid
            procedure = reply.procedure
            checksum = reply.checksum
        }

        var isWrite: Bool { procedure == NFS3.Procedure.write.rawValue }

        func stored(_ record: [UInt8]) -> StoredReply {
            StoredReply(
                client: owner.client, xid: xid, procedure: procedure, checksum: checksum,
                body: record)
        }
    }

    /// Whose calls are counted together: a client of several sessions is one of each.
    struct Owner: Hashable {
        /// The client's address without its port.
        let client: [UInt8]
        /// The tag of the session's handles.
        let session: UInt32
    }

    enum Found {
        case new
        /// It will be answered, over the connection that asked last.
        case inProgress
        case replay([UInt8])
    }

    private enum State {
        case inProgress(CallInProgress)
        case done([UInt8])
    }

    /// The finished calls of one client.
    private struct Finished {
        /// Oldest first.
        var keys: [Key] = []
        /// When the last one was added, counted in calls.
        var lastUse: UInt64 = 0
    }

    private var states: [Key: State] = [:]
    private var finished: [Owner: Finished] = [:]
    private var uses: UInt64 = 0
    /// WRITEs among `states`, by xid: a fresh WRITE then need not be summed up to know that it is new.
    private var writesInProgress: [UInt32: Int] = [:]
    private static let countPerClient = StoredReply.countPerClient
    static let clientsMaximum = 1024

    /// Told whose replies go because there are too many clients.
    var onForget: (Owner) -> Void = { _ in }

    /// Takes in what a session stored before it was last let go of.
    func load(_ replies: [StoredReply], session: UInt32) {
        for reply in replies {
            let key = Key(reply, session: session)
            if states[key] == nil { keep(reply.body, key) }
        }
    }

    /// Looks for an earlier copy of a call. One that is in progress answers to this copy's connection.
    func look(up key: Key, from connection: RPCHandler) -> Found {
        switch states[key] {
        case nil: return .new
        case .inProgress(let call):
            call.connection = connection
            return .inProgress
        case .done(let record): return .replay(record)
        }
    }

    func begin(_ key: Key, from connection: RPCHandler) -> CallInProgress {
        let call = CallInProgress(key, connection)
        states[key] = .inProgress(call)
        return call
    }

    /// The call had its effect, or none that anything could change.
    func finish(_ call: CallInProgress, _ record: [UInt8]) { keep(record, call.key) }

    /// The call had no effect and may be tried again; or it is a WRITE that has been answered.
    func forget(_ call: CallInProgress) {
        states[call.key] = nil
        if let count = writesInProgress[call.key.xid], call.key.isWrite {
            writesInProgress[call.key.xid] = count > 1 ? count - 1 : nil
        }
    }

    private func keep(_ record: [UInt8], _ key: Key) {
        states[key] = .done(record)
        uses += 1
        if finished[key.owner] == nil, finished.count >= Self.clientsMaximum { dropClient() }
        finished[key.owner, default: Finished()].keys.append(key)
        finished[key.owner]?.lastUse = uses
        guard let count = finished[key.owner]?.keys.count, count >= 2 * Self.countPerClient else {
            return
        }
        for old in finished[key.owner]?.keys.prefix(count - Self.countPerClient) ?? [] {
            states[old] = nil
        }
        finished[key.owner]?.keys.removeFirst(count - Self.countPerClient)
    }

    /// Forgets the client that has been quiet for longest.
    private func dropClient() {
        guard let quiet = finished.min(by: { $0.value.lastUse < $1.value.lastUse }) else { return }
        for key in quiet.value.keys { states[key] = nil }
        finished[quiet.key] = nil
        onForget(quiet.key)
    }

    // MARK: WRITE

    /// Whether an earlier copy of this WRITE is still in progress; it then answers to this copy's
    /// connection.
    func isInProgress(write call: RPCCall) -> Bool {
        guard writesInProgress[call.header.xid] != nil else { return false }
        if case .inProgress = look(up: Key(call), from: call.origin) { return true }
        return false
    }

    /// A WRITE is about to wait for something; ``forget(_:)`` when it is answered.
    func begin(write call: RPCCall) -> CallInProgress {
        writesInProgress[call.header.xid, default: 0] += 1
        return begin(Key(call), from: call.origin)
    }

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

/// Tells retries from reused xids; nobody is kept out by it. Eight bytes at a time, since
/// a WRITE is up to a megabyte.
private func checksumOf(bytes: Slice<UnsafeRawBufferPointer>) -> UInt64 {
    let bytes = UnsafeRawBufferPointer(rebasing: bytes)
    var sum: UInt64 = 0xcbf2_9ce4_8422_2325 ^ UInt64(bytes.count)
    func mix(_ word: UInt64) {
        sum = (sum ^ word) &* 0x9e37_79b9_7f4a_7c15
        sum ^= sum >> 29
    }
    let whole = bytes.count & ~7
    for offset in stride(from: 0, to: whole, by: 8) {
        mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
    }
    for byte in bytes[whole...] { mix(UInt64(byte)) }
    return sum
}

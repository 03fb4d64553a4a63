import NIOCore
import ONCRPC
import ROWCore
import XDR

/// One call, kept for as long as it is being worked on.
struct RPCCall {
    let header: RPC.CallHeader
    /// The whole record; offsets in ``header`` and in decoded arguments count from its start.
    let record: ByteBuffer
    /// Where it came from.
    let origin: RPCHandler
    /// When it was looked at first.
    let started: NIODeadline
    /// The tag of the session whose handle the arguments begin with, as those of all procedures of NFS
    /// but NULL do; not checked yet.
    let sessionTag: UInt32?
    /// Where a call that must not be executed twice is known by; nil for others.
    var progress: CallInProgress?

    init(header: RPC.CallHeader, record: ByteBuffer, origin: RPCHandler) {
        self.header = header
        self.record = record
        self.origin = origin
        started = origin.times.started
        sessionTag = record.getInteger(
            at: record.readerIndex + header.argumentsOffset + 4 + VirtualHandle.tagOffset)
    }

    private init(_ call: RPCCall, record: ByteBuffer) {
        header = call.header
        self.record = record
        origin = call.origin
        started = call.started
        sessionTag = call.sessionTag
        progress = call.progress
    }

    /// Where the answer goes: to whoever asked last, when the client sent the call again.
    var connection: RPCHandler { progress?.connection ?? origin }

    /// Nobody waits for the answer any more.
    var isAbandoned: Bool { connection.isClosed }

    /// Reads the arguments, which must take up the rest of the record.
    func arguments<T: XDRDecodable>(_: T.Type) throws(XDRError) -> T {
        var decoder = Decoder(record.readableBytesSpan, at: header.argumentsOffset)
        let value = try T(from: &decoder)
        try decoder.finish()
        return value
    }

    /// The same call without a hold on the receive buffer, for parking.
    func detached() -> RPCCall {
        RPCCall(self, record: ByteBuffer(bytes: record.readableBytesView))
    }

    /// The call without its record: enough to answer it.
    func detachedHeader() -> RPCCall {
        RPCCall(self, record: ByteBuffer())
    }

    /// Counts the call among those that wait for something, until the answer's ``Parking/end()``.
    /// - Parameter bytes: what it holds meanwhile, or will answer with.
    func park(holding bytes: Int = 0) -> Parking {
        let parking = Parking(connection: origin, bytes: bytes + record.readableBytes)
        origin.parked(parking)
        return parking
    }

    /// A call that waits.
    struct Parking {
        fileprivate let connection: RPCHandler
        let bytes: Int

        func end() { connection.unparked(self) }
    }

    /// Answers with a result of the procedure.
    func reply<T: XDREncodable>(_ result: T) {
        let xid = header.xid
        connection.write(size: RPC.successHeaderSize + result.encodedSize) { output in
            RPC.encodeSuccess(xid: xid, into: &output)
            result.encode(into: &output)
        }
        answered()
    }

    /// Answers with a whole record that was encoded before.
    /// - Parameter connection: where to.
    func reply(record: [UInt8], over connection: RPCHandler) {
        connection.write(record: record)
        answered()
    }

    /// The answer has been written.
    func answered() { origin.times.answered(self) }

    /// Answers that the call cannot be carried out at all.
    func reject(_ error: RPC.AcceptError) {
        let xid = header.xid
        connection.write(size: error.encodedSize) { output in
            RPC.encode(error: error, xid: xid, into: &output)
        }
    }
}

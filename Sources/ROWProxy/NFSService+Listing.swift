import NFSProtocol
import ONCRPC
import ROWCore
import XDR

/// READDIR and READDIRPLUS (RFC 1813 §3.3.16, §3.3.17).
extension NFSService {
    /// Our cookies never lose their meaning, so the verifier never changes.
    private static let cookieVerifier: UInt64 = 1
    /// Results of at most this many bytes, whatever the client asks for.
    private static let resultBytesMaximum = 1 << 20
    /// The least that a reply with one entry of the longest name may need is above this; asking for
    /// less is asking for nothing.
    private static let resultBytesMinimum = 128

    func readdir(_ call: RPCCall, _ arguments: NFS3.Readdir.Arguments) {
        let limit = min(Int(arguments.count), Self.resultBytesMaximum)
        list(
            call, arguments.directory, after: arguments.cookie, limit: limit, entrySize: 24,
            again: { call in self.readdir(call, arguments) }
        ) { _, cookie, name, child, output throws(Interrupt) in
            Self.encode(cookie, name, child, into: &output)
        }
    }

    func readdirplus(_ call: RPCCall, _ arguments: NFS3.Readdirplus.Arguments) {
        let limit = min(Int(arguments.maxcount), Self.resultBytesMaximum)
        let size = 24 + 4 + NFS3.Attributes.encodedSize + 4 + 4 + VirtualHandle.byteCount
        list(
            call, arguments.directory, after: arguments.cookie, limit: limit, entrySize: size,
            again: { call in self.readdirplus(call, arguments) }
        ) { session, cookie, name, child, output throws(Interrupt) in
            let (attributes, handle) = try session.listed(child)
            Self.encode(cookie, name, child, into: &output)
            output.encode(true)
            attributes.encode(into: &output)
            output.encode(true)
            handle.encode(into: &output)
        }
    }

    /// What entry3 and entryplus3 begin with, after the boolean that precedes them.
    private static func encode(
        _ cookie: UInt64, _ name: UnsafeRawBufferPointer, _ child: NodeID,
        into output: inout OutputRawSpan
    ) {
        output.encode(true)
        output.encode(child.rawValue)
        output.encodeOpaque(name.bytes)
        output.encode(cookie)
    }

    /// - Parameter entrySize: bytes of an entry without those of its name and their padding.
    private func list(
        _ call: RPCCall, _ handle: NFS3.FileHandle, after cookie: UInt64, limit: Int,
        entrySize: Int, again: @escaping (RPCCall) -> Void,
        encode: (
            SessionState, _ cookie: UInt64, _ name: UnsafeRawBufferPointer, _ child: NodeID,
            inout OutputRawSpan
        ) throws(Interrupt) -> Void
    ) {
        var resolved: (SessionState, NodeID)?
        do throws(Interrupt) {
            let (session, id) = try resolve(handle, for: call)
            resolved = (session, id)
            recorder(of: session)?.listed(id)
            guard limit >= Self.resultBytesMinimum else { throw Interrupt.status(.tooSmall) }
            main.namesAhead?.lists(id, after: cookie)
            let header = NFS3.ListingHeader(
                attributes: try session.attributes(of: id), cookieVerifier: Self.cookieVerifier)
            let credential = credential(call)
            let xid = call.header.xid
            try call.connection.write(atMost: RPC.successHeaderSize + limit) {
                output throws(Interrupt) in
                RPC.encodeSuccess(xid: xid, into: &output)
                output.encode(NFS3.Status.ok.rawValue)
                header.encode(into: &output)
                var room = limit - 4 - header.encodedSize - NFS3.ListingEnd.encodedSize
                var count = 0
                let eof = try session.forEachEntry(of: id, after: cookie, credential) {
                    cookie, name, child throws(Interrupt) in
                    room -= entrySize + paddedCount(name.count)
                    guard room >= 0 else { return false }
                    try encode(session, cookie, name, child, &output)
                    count += 1
                    return true
                }
                guard room >= 0 || count > 0 else { throw .status(.tooSmall) }
                NFS3.ListingEnd(eof: eof).encode(into: &output)
            }
            call.answered()
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let attributes = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
                    let failure = NFS3.PostOperationAttributes(attributes)
                    call.reply(NFS3.Readdir.Result.failure(status, failure))
                }, again: again)
        }
    }
}

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
            call, arguments.directory, after: arguments.cookie, limit: limit,
            entry: { session, entry throws(Interrupt) in
                NFS3.Readdir.Entry(
                    fileid: entry.id.rawValue, name: NFS3.Filename(entry.name),
                    cookie: entry.cookie)
            }, again: { call in self.readdir(call, arguments) })
    }

    func readdirplus(_ call: RPCCall, _ arguments: NFS3.Readdirplus.Arguments) {
        let limit = min(Int(arguments.maxcount), Self.resultBytesMaximum)
        list(
            call, arguments.directory, after: arguments.cookie, limit: limit,
            entry: { session, entry throws(Interrupt) in
                NFS3.Readdirplus.Entry(
                    fileid: entry.id.rawValue, name: NFS3.Filename(entry.name),
                    cookie: entry.cookie, attributes: try session.attributes(of: entry.id),
                    handle: session.handle(of: entry.id))
            }, again: { call in self.readdirplus(call, arguments) })
    }

    private func list<Entry: XDREncodable>(
        _ call: RPCCall, _ handle: NFS3.FileHandle, after cookie: UInt64, limit: Int,
        entry make: (SessionState, SessionState.DirectoryEntry) throws(Interrupt) -> Entry,
        again: @escaping (RPCCall) -> Void
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
            var used = 4 + header.encodedSize + NFS3.ListingEnd.encodedSize
            var entries: [Entry] = []
            var hasRoom = true
            let eof = try session.readDirectory(id, after: cookie, credential(call)) {
                found throws(Interrupt) in
                let entry = try make(session, found)
                guard used + entry.encodedSize <= limit else {
                    hasRoom = false
                    return false
                }
                used += entry.encodedSize
                entries.append(entry)
                return true
            }
            guard hasRoom || !entries.isEmpty else { throw Interrupt.status(.tooSmall) }
            let xid = call.header.xid
            call.connection.write(size: RPC.successHeaderSize + used) { output in
                RPC.encodeSuccess(xid: xid, into: &output)
                output.encode(NFS3.Status.ok.rawValue)
                header.encode(into: &output)
                for entry in entries { entry.encode(into: &output) }
                NFS3.ListingEnd(eof: eof).encode(into: &output)
            }
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

import NFSProtocol
import NIOCore
import ONCRPC
import XDR

/// What a port mapper (RFC 1833 §3, version 2) answers on a machine that has none: clients that boot ask
/// it where MOUNT and NFS are. A value without sockets.
///
/// Nothing can be registered, and nothing is forwarded (CALLIT is how others' port mappers are abused).
struct PortmapService: Sendable {
    /// Where we serve.
    let mappings: [Portmap.Mapping]

    /// - Parameter port: where NFS and MOUNT listen, over TCP.
    /// - Parameter portmapPort: where the answers of this come from, over UDP and TCP.
    init(port: Int, portmapPort: Int) {
        func mapping(
            _ program: UInt32, _ version: UInt32, _ transport: Portmap.Transport, _ port: Int
        ) -> Portmap.Mapping {
            Portmap.Mapping(
                program: program, version: version, transport: transport, port: UInt32(port))
        }
        mappings = [
            mapping(Portmap.program, Portmap.version, .tcp, portmapPort),
            mapping(Portmap.program, Portmap.version, .udp, portmapPort),
            mapping(Mount.program, Mount.version1, .tcp, port),
            mapping(Mount.program, Mount.version, .tcp, port),
            mapping(NFS3.program, NFS3.version, .tcp, port),
        ]
    }

    /// The reply to a record, without a record mark; nil for what is not a call.
    func reply(to record: RawSpan) -> ByteBuffer? {
        switch RPC.parseCall(record) {
        case .notACall: return nil
        case .reject(let xid, let rejection):
            return Self.message(rejection.encodedSize) { output in
                RPC.encode(error: rejection, xid: xid, into: &output)
            }
        case .call(let header):
            do throws(RPC.AcceptError) {
                return try answer(header, record)
            } catch {
                return Self.message(error.encodedSize) { output in
                    RPC.encode(error: error, xid: header.xid, into: &output)
                }
            }
        }
    }

    private func answer(
        _ call: RPC.CallHeader, _ record: RawSpan
    ) throws(RPC.AcceptError) -> ByteBuffer {
        guard call.program == Portmap.program else { throw .progUnavail }
        guard call.version == Portmap.version else {
            throw .progMismatch(low: Portmap.version, high: Portmap.version)
        }
        var decoder = Decoder(record, at: call.argumentsOffset)
        do throws(XDRError) {
            switch Portmap.Procedure(rawValue: call.procedure) {
            case .null: return Self.success(call, XDRVoid())
            case .getport:
                let wanted = try Portmap.Mapping(from: &decoder)
                return Self.success(call, Portmap.Getport.Result(port: port(of: wanted)))
            case .dump: return Self.success(call, Portmap.Dump.Result(mappings))
            case .set, .unset:
                _ = try Portmap.Mapping(from: &decoder)
                return Self.success(call, Portmap.Acceptance(accepted: false))
            case .callit, nil: break
            }
        } catch {
            throw RPC.AcceptError.garbageArgs
        }
        throw .procUnavail
    }

    /// The port of a program. A version that is not there is answered with one that is, as port mappers
    /// do: the program itself then says which versions it has.
    private func port(of wanted: Portmap.Mapping) -> UInt32 {
        let candidates = mappings.filter {
            $0.program == wanted.program && $0.transport == wanted.transport
        }
        return (candidates.first { $0.version == wanted.version } ?? candidates.first)?.port ?? 0
    }

    private static func success<T: XDREncodable>(
        _ call: RPC.CallHeader, _ result: T
    ) -> ByteBuffer {
        message(RPC.successHeaderSize + result.encodedSize) { output in
            RPC.encodeSuccess(xid: call.xid, into: &output)
            result.encode(into: &output)
        }
    }

    private static func message(
        _ size: Int, _ encode: (inout OutputRawSpan) -> Void
    ) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: size)
        buffer.writeWithOutputRawSpan(minimumWritableBytes: size, initializingWith: encode)
        return buffer
    }
}

import NFSProtocol
import NIOCore
import NIOPosix
import ONCRPC
import ROWTestKit
import XDR

/// A main as bare as RFC 1813 allows: LOOKUP answers without attributes, and there is no READDIRPLUS.
/// Its root holds files whose content is their name.
final class StubMain: Sendable {
    let port: Int
    private let listener: any Channel

    var url: String { "nfs://127.0.0.1:\(port)/export?mountport=\(port)" }

    static func start(files: [String]) async throws -> StubMain {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(files: files))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return StubMain(listener)
    }

    private init(_ listener: any Channel) {
        self.listener = listener
        port = listener.localAddress?.port ?? 0
    }

    func stop() async throws { try await listener.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let files: [String]
        private var received: [UInt8] = []
        private var scanner = RecordScanner()

        init(files: [String]) { self.files = files }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            received += unwrapInboundIn(data).readableBytesView
            while true {
                let bytes = received
                guard
                    case .record(let consumed, let body)? = try? scanner.scan(bytes.span.bytes)
                else { break }
                received.removeFirst(consumed)
                let reply = reply(to: Array(bytes[body]))
                context.write(
                    wrapOutboundOut(ByteBuffer(bytes: Message.record(reply))), promise: nil)
            }
            context.flush()
        }

        private func reply(to record: [UInt8]) -> [UInt8] {
            guard case .call(let call) = RPC.parseCall(record.span.bytes),
                let results = try? results(of: call, record)
            else { return [] }
            return Message.encoded(RPC.successHeaderSize) {
                RPC.encodeSuccess(xid: call.xid, into: &$0)
            } + results
        }

        private func results(of call: RPC.CallHeader, _ record: [UInt8]) throws -> [UInt8] {
            var decoder = Decoder(record.span.bytes, at: call.argumentsOffset)
            guard call.program == NFS3.program else {
                return Mount.Mnt.Result.ok(Mount.Mnt.Success(handle: handle(0), flavors: [1]))
                    .encoded()
            }
            switch NFS3.Procedure(rawValue: call.procedure) {
            case .getattr:
                let object = try NFS3.FileHandle(from: &decoder)
                return NFS3.Getattr.Result.ok(
                    NFS3.Getattr.Success(attributes: attributes(Int(object.array[0])))
                ).encoded()
            case .lookup:
                let what = try NFS3.DirectoryOperation(from: &decoder)
                guard let index = files.firstIndex(of: what.name.description) else {
                    return NFS3.Lookup.Result.failure(.noent, .init(nil)).encoded()
                }
                return NFS3.Lookup.Result.ok(
                    NFS3.Lookup.Success(
                        object: handle(index + 1), attributes: nil, directoryAttributes: nil)
                ).encoded()
            case .read:
                let wanted = try NFS3.Read.Arguments(from: &decoder)
                let data = Array(files[Int(wanted.file.array[0]) - 1].utf8)
                let success = NFS3.Read.Success(
                    attributes: nil, count: UInt32(data.count), eof: true, data: 0..<data.count)
                let padding = [UInt8](repeating: 0, count: paddedCount(data.count) - data.count)
                return NFS3.Read.Result.ok(success).encoded() + data + padding
            case .readdir:
                let wanted = try NFS3.Readdir.Arguments(from: &decoder)
                // Three names a page.
                let page = files.enumerated().dropFirst(Int(wanted.cookie)).prefix(3)
                let entries = page.map { index, name in
                    NFS3.Readdir.Entry(
                        fileid: UInt64(index + 2), name: NFS3.Filename(name),
                        cookie: UInt64(index + 1))
                }
                return NFS3.Readdir.Result.ok(
                    NFS3.Readdir.Success(
                        attributes: nil, cookieVerifier: 0, entries: entries,
                        eof: Int(wanted.cookie) + entries.count == files.count)
                ).encoded()
            default:
                return NFS3.Readdirplus.Result.failure(.notSupp, .init(nil)).encoded()
            }
        }

        private func handle(_ index: Int) -> NFS3.FileHandle {
            NFS3.FileHandle([UInt8(index)].span.bytes)
        }

        private func attributes(_ index: Int) -> NFS3.Attributes {
            let time = NFS3.Time(seconds: 1, nanoseconds: 0)
            return NFS3.Attributes(
                type: index == 0 ? .directory : .regular, mode: 0o755, nlink: 1, uid: 0, gid: 0,
                size: index == 0 ? 4096 : UInt64(files[index - 1].utf8.count), used: 0,
                rdev: NFS3.Device(major: 0, minor: 0), fsid: 1, fileid: UInt64(index + 1),
                atime: time, mtime: time, ctime: time)
        }
    }
}

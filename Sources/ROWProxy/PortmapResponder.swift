import NIOCore
import NIOPosix
import ONCRPC
import ROWCore

/// The sockets of a ``PortmapService``: one for UDP and one for TCP, on the same port.
struct PortmapResponder: Sendable {
    /// The port that was bound.
    let port: Int
    private let channels: [any Channel]

    /// - Parameter servicePort: where MOUNT and NFS are.
    /// - Throws: `StateError`.
    static func start(
        host: String, port: Int, servicePort: Int, admission: Admission, on loop: any EventLoop
    ) async throws -> PortmapResponder {
        do {
            // UDP first: with port 0 both get the port that this one finds.
            let datagrams = try await DatagramBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
                }
                .bind(host: host, port: port).get()
            let bound = datagrams.localAddress?.port ?? port
            let service = PortmapService(port: servicePort, portmapPort: bound)
            do {
                try await loop.submit {
                    try datagrams.pipeline.syncOperations.addHandler(
                        PortmapDatagramHandler(service: service, admission: admission))
                }.get()
                let stream = try await ServerBootstrap(group: loop)
                    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                    .serverChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
                    }
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.closeOnExec()
                            guard admission.admits(ClientAddress(channel.remoteAddress)) else {
                                throw RPCServer.Refusal.notAllowed
                            }
                            try channel.pipeline.syncOperations.addHandlers(
                                IdleStateHandler(allTimeout: .seconds(30)),
                                PortmapStreamHandler(service: service))
                        }
                    }
                    .bind(host: host, port: bound).get()
                return PortmapResponder(port: bound, channels: [datagrams, stream])
            } catch {
                try? await datagrams.close()
                throw error
            }
        } catch {
            throw StateError(
                .io,
                "cannot answer for the port mapper on \(host):\(port): \(error); where a "
                    + "port mapper runs already use --register in place of --portmap; ports "
                    + "below 1024 need root"
            )
        }
    }

    func stop() async {
        for channel in channels { try? await channel.close() }
    }
}

private final class PortmapDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private let service: PortmapService
    private let admission: Admission

    init(service: PortmapService, admission: Admission) {
        self.service = service
        self.admission = admission
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let datagram = unwrapInboundIn(data)
        guard admission.admits(ClientAddress(datagram.remoteAddress)), context.channel.isWritable,
            let reply = service.reply(to: datagram.data.readableBytesSpan)
        else { return }
        context.writeAndFlush(
            wrapOutboundOut(AddressedEnvelope(remoteAddress: datagram.remoteAddress, data: reply)),
            promise: nil)
    }

    /// A client that is gone is no reason to stop answering others.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

private final class PortmapStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Longer than any call of the port mapper but CALLIT, which is not answered.
    private static let recordBytesMaximum = 1024

    private let service: PortmapService
    private var received = ByteBuffer()
    private var scanner = RecordScanner(bytesMaximum: recordBytesMaximum, fragmentsMaximum: 16)

    init(service: PortmapService) { self.service = service }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        do {
            while let record = try nextRecord() {
                guard let reply = service.reply(to: record.readableBytesSpan) else {
                    context.close(promise: nil)
                    return
                }
                let mark = RPC.lastFragment | UInt32(reply.readableBytes)
                context.write(wrapOutboundOut(ByteBuffer(integer: mark)), promise: nil)
                context.write(wrapOutboundOut(reply), promise: nil)
            }
        } catch {
            context.close(promise: nil)
            return
        }
        received.discardReadBytes()
        context.flush()
        // Whoever asks without listening has had enough.
        if !context.channel.isWritable { context.close(promise: nil) }
    }

    private func nextRecord() throws(RecordError) -> ByteBuffer? {
        let bytes = received
        switch try scanner.scan(bytes.readableBytesSpan) {
        case .incomplete: return nil
        case .record(let consumed, let body):
            let record = received.getSlice(
                at: received.readerIndex + body.lowerBound, length: body.count)
            received.moveReaderIndex(forwardBy: consumed)
            return record
        case .fragments(let consumed, let ranges):
            var record = ByteBuffer()
            for range in ranges {
                record.writeBytes(
                    received.readableBytesView.dropFirst(range.lowerBound).prefix(range.count))
            }
            received.moveReaderIndex(forwardBy: consumed)
            return record
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

import NIOCore
import NIOSSL
import NIOTLS
import ONCRPC

/// Asks the server of a channel for TLS before anything else is sent (RFC 9289 §4.1), and tells the handlers behind
/// that the channel is there when the handshake is done. A server that does not offer TLS is not called.
final class StartTLSHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case probing(xid: UInt32)
        case handshaking
        case ended
    }

    private let connection: RPCConnection
    private let tls: NIOSSLContext
    private let receiver: RecordReceiver
    private var state = State.ended
    private var timer: Scheduled<Void>?

    /// - Parameter receiver: of the handler behind.
    init(connection: RPCConnection, tls: NIOSSLContext, receiver: RecordReceiver) {
        self.connection = connection
        self.tls = tls
        self.receiver = receiver
        receiver.stopLending()
    }

    func channelActive(context: ChannelHandlerContext) {
        let xid = UInt32.random(in: 0 ... .max)
        state = .probing(xid: xid)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: connection.options.connectTimeout) {
            let (handler, context) = bound.value
            handler.fail(handler.connection.tlsSilentError, context)
        }
        let (program, version) = connection.options.probe
        let credential = RPC.Credential.other(flavor: RPC.Flavor.tls)
        let size = RPC.callHeaderSize(credential)
        var probe = context.channel.allocator.buffer(capacity: RPC.recordMarkSize + size)
        probe.writeInteger(RPC.lastFragment | UInt32(size))
        probe.writeWithOutputRawSpan(minimumWritableBytes: size) { output in
            RPC.encodeCall(
                xid: xid, program: program, version: version, procedure: 0,
                credential: credential, into: &output)
        }
        context.writeAndFlush(wrapOutboundOut(probe), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .probing(let xid) = state else { return }
        receiver.receive(unwrapInboundIn(data))
        do throws(RecordError) {
            guard let record = try receiver.next() else { return }
            // What came with it in the clear could be anybody's.
            guard RPC.isStartTLS(record.readableBytesSpan, xid: xid), !receiver.hasBytes else {
                return fail(connection.tlsRefusedError, context)
            }
        } catch {
            return fail(connection.malformedError(error), context)
        }
        state = .handshaking
        do {
            // A certificate for an address is compared with that of the channel.
            let isAddress = (try? SocketAddress(ipAddress: connection.host, port: 0)) != nil
            try context.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(
                    context: tls, serverHostname: isAddress ? nil : connection.host),
                position: .first)
        } catch {
            fail(connection.tlsError(error), context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .handshaking = state, case .handshakeCompleted(let name) = event as? TLSUserEvent
        else { return context.fireUserInboundEventTriggered(event) }
        guard name == TLSCredentials.applicationProtocol else {
            return fail(connection.tlsUnnamedError, context)
        }
        end()
        context.fireChannelActive()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(connection.tlsEndedError, context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(connection.tlsError(error), context)
    }

    private func fail(_ error: NFSClientError, _ context: ChannelHandlerContext) {
        if case .ended = state { return }
        end()
        context.close(promise: nil)
        connection.attemptFailed(error)
    }

    private func end() {
        state = .ended
        timer?.cancel()
        timer = nil
    }
}

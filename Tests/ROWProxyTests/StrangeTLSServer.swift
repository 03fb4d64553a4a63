import NIOCore
import NIOPosix
import NIOSSL
import ROWTestKit

@testable import ROWProxy

/// A server that offers TLS as RFC 9289 has it, and then does as a test says.
final class StrangeTLSServer: Sendable {
    private let listener: any Channel
    var port: Int { listener.localAddress?.port ?? 0 }

    /// - Parameter behind: follows the answer to the probe in the clear.
    /// - Parameter tls: nil: no handshake is made.
    static func start(behind: [UInt8] = [], _ tls: TLSConfiguration?) async throws
        -> StrangeTLSServer
    {
        let context = try tls.map { try NIOSSLContext(configuration: $0) }
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
            }
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.closeOnExec()
                    try channel.pipeline.syncOperations.addHandler(
                        Handler(behind: behind, context))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return StrangeTLSServer(listener)
    }

    private init(_ listener: any Channel) { self.listener = listener }

    func stop() async throws { try await listener.close() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let behind: [UInt8]
        private let context: NIOSSLContext?
        private var isProbed = false

        init(behind: [UInt8], _ context: NIOSSLContext?) {
            self.behind = behind
            self.context = context
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            // The probe is small enough to come in one piece.
            let bytes = unwrapInboundIn(data)
            guard !isProbed, let xid = bytes.getInteger(at: 4, as: UInt32.self) else { return }
            isProbed = true
            let answer =
                Message.words(xid, 1, 0, 0, 8) + Array("STARTTLS".utf8) + Message.words(0)
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(bytes: Message.record(answer) + behind)), promise: nil)
            guard let tls = self.context else { return }
            try? context.pipeline.syncOperations.addHandler(
                NIOSSLServerHandler(context: tls), position: .first)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

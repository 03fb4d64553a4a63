public import NIOCore
import NIOPosix
import Synchronization

/// A connection on which bytes go out as they are given, and of which all that comes back is kept.
public final class HTTPConnection: Sendable {
    private let channel: any Channel
    private let received: Received

    /// - Parameter reads: whether it reads from the beginning; until ``startReading()`` otherwise.
    /// - Parameter onRead: told how many bytes have come so far.
    public init(
        port: Int, reads: Bool = true, onRead: @escaping @Sendable (Int) -> Void = { _ in }
    ) async throws {
        let received = Received(onRead)
        self.received = received
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            // Left alone the kernel may keep as much as tcp_rmem says: 32 MiB on some machines.
            .channelOption(.socketOption(.so_rcvbuf), value: 1 << 20)
            .channelInitializer { channel in channel.pipeline.addHandler(received) }
            .connect(host: "127.0.0.1", port: port).get()
    }

    public func send(_ text: String) async throws {
        try await channel.writeAndFlush(ByteBuffer(string: text)).get()
    }

    public func startReading() async throws {
        try await channel.setOption(.autoRead, value: true).get()
    }

    public func close() async throws { try await channel.close() }

    /// All that came, when the other end has closed.
    public func untilClosed() async throws -> ByteBuffer {
        try await channel.closeFuture.get()
        return received.bytes.withLock { $0 }
    }

    private final class Received: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer

        let bytes = Mutex(ByteBuffer())
        private let onRead: @Sendable (Int) -> Void

        init(_ onRead: @escaping @Sendable (Int) -> Void) { self.onRead = onRead }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = bytes.withLock { bytes in
                bytes.writeImmutableBuffer(unwrapInboundIn(data))
                return bytes.writerIndex
            }
            onRead(count)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

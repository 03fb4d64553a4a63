import Foundation
import NFSProtocol
import NIOCore
import NIOPosix
import NIOSSL
import ONCRPC
import ROWTestKit
import Synchronization
import XDR

/// A TCP connection that sends whatever a test gives it, and cuts what comes back into records.
final class RawConnection: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var scanner = RecordScanner()
        var records: [[UInt8]] = []
        var isClosed = false
    }

    private let channel: any Channel
    private let state: Collector

    /// - Parameters:
    ///   - address: a local address to connect from.
    ///   - localPort: the port there; 0: any free one.
    ///   - isReading: whether replies are taken from the socket.
    static func connect(
        port: Int, from address: String? = nil, localPort: Int = 0, isReading: Bool = true
    ) async throws -> RawConnection {
        let collector = Collector()
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: isReading)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(collector))
                }
            }
        if let address {
            bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: address, port: localPort))
        }
        return RawConnection(
            try await bootstrap.connect(host: "127.0.0.1", port: port).get(), collector)
    }

    private init(_ channel: any Channel, _ state: Collector) {
        self.channel = channel
        self.state = state
    }

    /// Sends bytes as they are.
    func send(_ bytes: [UInt8]) {
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    }

    /// Begins a handshake, behind which all else is said.
    func startTLS(_ configuration: TLSConfiguration) async throws {
        let context = try NIOSSLContext(configuration: configuration)
        let channel = channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(context: context, serverHostname: nil), position: .first)
        }.get()
    }

    /// Takes no replies from now on.
    func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

    /// Takes replies from now on.
    func startReading() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// Says that nothing more will come and waits until the server has closed its end: whatever is
    /// sent to the server from now on comes after that.
    func close() async throws {
        try? await channel.setOption(.autoRead, value: true).get()
        try? await channel.close(mode: .output).get()
        try await poll(for: "end of the connection at the server", within: .seconds(20)) {
            channel.isActive ? nil : ()
        }
    }

    /// The next reply without its record mark; nil when the server closed the connection.
    func next(within limit: Duration = .seconds(20)) async throws -> [UInt8]? {
        let found: [UInt8]?? = try await poll(for: "reply or end of connection", within: limit) {
            state.next()
        }
        return found.flatMap(\.self)
    }

    /// The next reply, as an RPC client reads it.
    func reply() async throws -> RPC.ParsedReply? {
        guard let record = try await next() else { return nil }
        return try RPC.parseReply(record.span.bytes)
    }

    /// Whether the server has ended it.
    var isOver: Bool { state.isClosed }

    /// Replies that have come and were not taken.
    var repliesWaiting: Int { state.count }

    fileprivate final class Collector: Sendable {
        private let state = Mutex(State())

        var count: Int { state.withLock { $0.records.count } }

        var isClosed: Bool { state.withLock { $0.isClosed } }

        /// nil: nothing yet; nil inside: closed.
        func next() -> [UInt8]?? {
            state.withLock { state in
                if !state.records.isEmpty { return .some(state.records.removeFirst()) }
                return state.isClosed ? .some(nil) : nil
            }
        }

        func received(_ bytes: ByteBuffer) {
            state.withLock { state in
                state.bytes += bytes.readableBytesView
                while true {
                    let bytes = state.bytes
                    guard
                        case .record(let consumed, let body) =
                            (try? state.scanner.scan(bytes.span.bytes)) ?? .incomplete(needed: 0)
                    else { return }
                    state.records.append(Array(bytes[body]))
                    state.bytes.removeFirst(consumed)
                }
            }
        }

        func closed() { state.withLock { $0.isClosed = true } }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let collector: Collector

        init(_ collector: Collector) { self.collector = collector }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            collector.received(unwrapInboundIn(data))
        }

        func channelInactive(context: ChannelHandlerContext) { collector.closed() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

extension [UInt8] {
    /// The results in the record of a successful reply.
    func results<T: XDRDecodable>(_: T.Type = T.self) throws -> T {
        var decoder = Decoder(span.bytes, at: RPC.successHeaderSize)
        let value = try T(from: &decoder)
        try decoder.finish()
        return value
    }
}

internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import ROWProxy
internal import Synchronization

/// Answers browsers and Prometheus by HTTP/1.1: a page, the same as JSON, metrics, and whether all is well. Nothing
/// can be changed by it.
///
/// It runs on event loops of its own and holds the loops of images up only for the figures, once a second at most.
/// Connections, requests and the time for each are bounded; answers are shared, so a slow reader holds no memory.
public final class StatusServer: Sendable {
    /// Where it listens, as a number.
    public let address: String
    public let port: Int
    private let listener: any Channel
    private let connections: Connections

    static let connectionsMaximum = 64
    /// In which a request must have come in and been answered since the connection began or the last answer
    /// went out.
    static let timeout = TimeAmount.seconds(60)

    /// Starts to listen.
    /// - Parameter port: 0 finds a free one.
    /// - Throws: ``StatusServerError``.
    public static func start(
        host: String, port: Int, _ source: StatusSource
    ) async throws -> StatusServer {
        try await start(host: host, port: port, source, timeout: timeout)
    }

    static func start(
        host: String, port: Int, _ source: StatusSource, timeout: TimeAmount
    ) async throws -> StatusServer {
        let connections = Connections()
        do {
            let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
                }
                .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.closeOnExec()
                        guard connections.add(channel) else {
                            throw StatusServerError(message: "there are too many connections")
                        }
                        try configure(channel, source, timeout)
                    }
                }
                .bind(host: host, port: port).get()
            return StatusServer(listener, connections, host: host, port: port)
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw StatusServerError(
                message:
                    "cannot answer by HTTP on \(host):\(port): another program has that port; stop it, or "
                    + "choose another. 'ss -ltnp' shows which")
        } catch {
            throw StatusServerError(
                message:
                    "cannot answer by HTTP on \(host):\(port): \(error); name an address of this machine; "
                    + "ports below 1024 need root")
        }
    }

    private init(_ listener: any Channel, _ connections: Connections, host: String, port: Int) {
        self.listener = listener
        self.connections = connections
        address = listener.localAddress?.ipAddress ?? host
        self.port = listener.localAddress?.port ?? port
    }

    public var url: String {
        address.contains(":") ? "http://[\(address)]:\(port)/" : "http://\(address):\(port)/"
    }

    var connectionCount: Int { connections.count }

    /// Stops listening and ends all connections.
    public func stop() async {
        try? await listener.close()
        for channel in connections.end() { try? await channel.close() }
    }

    private static func configure(
        _ channel: any Channel, _ source: StatusSource, _ timeout: TimeAmount
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 8 << 10
        limits.maxHeaderListSize = 16 << 10
        limits.maxHeaderFieldCount = 64
        try pipeline.configureHTTPServerPipeline(
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
        try pipeline.addHandler(StatusRequestHandler(source, timeout))
    }
}

/// Why the status cannot be shown: what, why, and what to do.
public struct StatusServerError: Error, CustomStringConvertible {
    public let message: String

    public var description: String { message }
}

/// The connections of a server.
private final class Connections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        var hasEnded = false
    }

    private let state = Mutex(State())

    /// - Returns: false when there are enough.
    func add(_ channel: any Channel) -> Bool {
        let id = ObjectIdentifier(channel)
        let isTaken = state.withLock { state in
            guard !state.hasEnded, state.channels.count < StatusServer.connectionsMaximum else {
                return false
            }
            state.channels[id] = channel
            return true
        }
        guard isTaken else { return false }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { $0.channels[id] = nil }
        }
        return true
    }

    var count: Int { state.withLock { $0.channels.count } }

    /// Takes no more.
    /// - Returns: those that there are.
    func end() -> [any Channel] {
        state.withLock { state in
            state.hasEnded = true
            return Array(state.channels.values)
        }
    }
}

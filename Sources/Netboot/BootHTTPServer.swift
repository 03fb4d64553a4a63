internal import Glibc
public import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Answers machines that boot, by HTTP/1.1: the script of iPXE, the loader, and the files of an image.
///
/// GET and HEAD only. A file is never longer in memory than two pieces of 1 MiB for each connection, and a
/// reading that fails ends the connection, so that nobody takes a part for the whole.
public final class BootHTTPServer: Sendable {
    /// The port that it listens on.
    public let port: Int
    private let listener: any Channel
    private let connections: BootConnections

    /// How much it takes at once.
    static let connectionsMaximum = 64
    /// Of a connection on which nothing moves, be it the client's fault or that of a file that cannot be read.
    static let idleTimeout = TimeAmount.seconds(60)

    /// Starts to listen.
    /// - Parameter port: 0 finds a free one.
    /// - Parameter documents: what is answered from memory, by path without a slash at its beginning; before
    ///   `files` are asked.
    /// - Parameter admits: whether a client may come in; the connection is closed without an answer otherwise.
    /// - Parameter onRequest: told of each file that is there and asked for, as path and client's address, before
    ///   it is sent. On any thread; must not block.
    /// - Throws: ``NetbootError`` with code `addressInUse` or `io`.
    public static func start(
        host: String, port: Int, documents: [String: ByteBuffer], files: any BootFiles,
        admits: @escaping @Sendable (SocketAddress) -> Bool,
        onRequest: @escaping @Sendable (_ path: String, _ address: String) -> Void = { _, _ in },
        on group: any EventLoopGroup
    ) async throws -> BootHTTPServer {
        try await start(
            host: host, port: port,
            BootAnswerer(documents: documents, files: files, onRequest: onRequest),
            admits: admits, idleTimeout: idleTimeout, on: group)
    }

    static func start(
        host: String, port: Int, _ answerer: BootAnswerer,
        admits: @escaping @Sendable (SocketAddress) -> Bool, idleTimeout: TimeAmount,
        on group: any EventLoopGroup
    ) async throws -> BootHTTPServer {
        let connections = BootConnections(maximum: connectionsMaximum)
        do {
            let listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
                }
                .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.closeOnExec()
                        guard let address = channel.remoteAddress, admits(address) else {
                            throw NetbootError(.io, "a client that may not come in")
                        }
                        try connections.add(channel)
                        try configure(channel, answerer, connections, idleTimeout)
                    }
                }
                .bind(host: host, port: port).get()
            return BootHTTPServer(
                port: listener.localAddress?.port ?? port, listener, connections)
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw NetbootError(
                .addressInUse,
                "cannot answer by HTTP on \(host):\(port): another program has that port; stop it, or choose "
                    + "another port. 'ss -ltnp' shows which")
        } catch {
            throw NetbootError(
                .io,
                "cannot answer by HTTP on \(host):\(port): \(error); ports below 1024 need root")
        }
    }

    private init(port: Int, _ listener: any Channel, _ connections: BootConnections) {
        self.port = port
        self.listener = listener
        self.connections = connections
    }

    /// Stops listening, ends all connections, and returns when no file is open any more.
    public func stop() async {
        try? await listener.close()
        await connections.end()
    }

    private static func configure(
        _ channel: any Channel, _ answerer: BootAnswerer, _ connections: BootConnections,
        _ idleTimeout: TimeAmount
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 8 << 10
        limits.maxHeaderListSize = 16 << 10
        limits.maxHeaderFieldCount = 64
        try pipeline.addHandler(IdleStateHandler(allTimeout: idleTimeout))
        try pipeline.configureHTTPServerPipeline(
            withEncoderConfiguration: .init(), withDecoderLimitConfiguration: limits)
        try pipeline.addHandler(BootRequestHandler(answerer, connections))
    }
}

extension Channel {
    /// Keeps the socket from programs that this process starts, which would hold the port.
    fileprivate func closeOnExec() throws {
        try pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            _ = fcntl($0, F_SETFD, FD_CLOEXEC)
        }
    }
}

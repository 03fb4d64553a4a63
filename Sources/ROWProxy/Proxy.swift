import Foundation
public import NFSClient
import NFSProtocol
public import NIOCore
import NIOPosix
public import ONCRPC
import ROWCore
public import SystemPackage

/// A running proxy: one image with its session on one event loop, behind one port that answers NFS and
/// MOUNT, and a control socket for `rowctl`.
public final class Proxy: Sendable {
    /// Where main is.
    public enum Image: Sendable {
        case directory(FilePath)
        case server(NFSURL)

        /// The same for the same image, however it is reached.
        public var canonicalName: String {
            switch self {
            case .directory(let path): path.string
            case .server(let url):
                NFSURL(host: url.host, port: url.port, path: url.path).description
            }
        }
    }

    public enum Durability: String, Sendable, CaseIterable {
        /// What was acknowledged survives a power failure.
        case strict
        /// What was acknowledged survives the end of the process.
        case relaxed
    }

    public struct Configuration: Sendable {
        public var image: Image
        public var session: String
        public var state: StateDirectory
        public var host = "127.0.0.1"
        /// 0: any free one.
        public var port = 0
        public var durability = Durability.strict
        /// No changes: the image itself is exported.
        public var isReadOnly = false
        public var squashesRoot = false
        /// Who calls main.
        public var mainCredential = RPC.Credential.sys(RPC.AuthSys(uid: 0, gid: 0))
        /// How long a call to main may take before the client is told to try again later.
        public var mainTimeout = TimeAmount.seconds(20)
        public var congestionControl: String? = "cubic"

        public init(image: Image, session: String, state: StateDirectory) {
            self.image = image
            self.session = session
            self.state = state
        }
    }

    /// Main, reached.
    enum OpenedMain: Sendable {
        case directory(FilePath)
        case server(NFSClient, root: MainEntry)
    }

    public let configuration: Configuration
    /// The port that was bound.
    public let port: Int
    private let group: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool
    private let imageLoop: NIOLoopBound<ImageLoop>
    private let listener: any Channel
    private let control: any Channel

    /// Reaches main, opens image and session, and listens.
    /// - Throws: `StateError` or ``NFSClientError`` or `IOError`, each saying what to do.
    public static func start(_ configuration: Configuration) async throws -> Proxy {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            return try await start(configuration, group)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
    }

    private static func start(
        _ configuration: Configuration, _ group: MultiThreadedEventLoopGroup
    ) async throws -> Proxy {
        try StateDirectory.checkSessionName(configuration.session)
        let loop = group.next()
        let main = try await open(configuration, on: loop)
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        do {
            let imageLoop = try await loop.submit {
                NIOLoopBound(
                    try ImageLoop(
                        configuration: configuration, main: main, loop: loop, pool: pool),
                    eventLoop: loop)
            }.get()
            try await withCheckedThrowingContinuation {
                (done: CheckedContinuation<Void, any Error>) in
                loop.execute {
                    imageLoop.value.recover { error in
                        if let error { done.resume(throwing: error) } else { done.resume() }
                    }
                }
            }
            let listener = try await listen(configuration, imageLoop, on: loop)
            let control = try await ControlSocket.listen(
                in: configuration.state.session(configuration.session), imageLoop, on: loop)
            return Proxy(
                configuration: configuration, group: group, pool: pool, imageLoop: imageLoop,
                listener: listener, control: control)
        } catch {
            try? await pool.shutdownGracefully()
            throw error
        }
    }

    private init(
        configuration: Configuration, group: MultiThreadedEventLoopGroup, pool: NIOThreadPool,
        imageLoop: NIOLoopBound<ImageLoop>, listener: any Channel, control: any Channel
    ) {
        self.configuration = configuration
        self.group = group
        self.pool = pool
        self.imageLoop = imageLoop
        self.listener = listener
        self.control = control
        port = listener.localAddress?.port ?? configuration.port
    }

    /// The command that mounts the session on this machine, for the directory `DIR`.
    public var mountCommand: String {
        let host = configuration.host == "0.0.0.0" ? "127.0.0.1" : configuration.host
        return
            "mount -t nfs -o vers=3,proto=tcp,nolock,port=\(port),mountport=\(port) \(host):/\(configuration.session) DIR"
    }

    private static func open(
        _ configuration: Configuration, on loop: any EventLoop
    ) async throws -> OpenedMain {
        switch configuration.image {
        case .directory(let path): return .directory(path)
        case .server(let url):
            var options = NFSClient.Options()
            options.connection.congestionControl = configuration.congestionControl
            options.credential = configuration.mainCredential
            let client = try await NFSClient.connect(url, options: options, on: loop)
            switch try await client.getattr(client.rootHandle) {
            case .ok(let ok):
                return .server(
                    client, root: MainEntry(attributes: ok.attributes, handle: client.rootHandle))
            case .failure(let status, _):
                throw StateError(
                    .notFound, "\(url) answers \(status) for its root; check the export")
            }
        }
    }

    private static func listen(
        _ configuration: Configuration, _ imageLoop: NIOLoopBound<ImageLoop>,
        on loop: any EventLoop
    ) async throws -> any Channel {
        let congestionControl = configuration.congestionControl
        do {
            return try await ServerBootstrap(group: loop)
                .serverChannelOption(.backlog, value: 128)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(
                    .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 512 << 10))
                .childChannelOption(.maxMessagesPerRead, value: 2)
                .childChannelOption(
                    .writeBufferWaterMark, value: .init(low: 512 << 10, high: 4 << 20)
                )
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let congestionControl {
                            CongestionControl.set(congestionControl, of: channel)
                        }
                        try channel.pipeline.syncOperations.addHandler(
                            RPCHandler(
                                server: imageLoop.value.server, allocator: channel.allocator))
                    }
                }
                .bind(host: configuration.host, port: configuration.port).get()
        } catch {
            throw StateError(
                .io,
                "cannot listen on \(configuration.host):\(configuration.port): \(error); choose another --listen address or port 0"
            )
        }
    }

    /// What `stat-session` tells.
    public func status() async throws -> SessionStatus {
        let name = configuration.session
        let imageLoop = imageLoop
        return try await group.next().submit {
            guard let session = imageLoop.value.sessions[name] else {
                throw StateError(.notFound, "there is no session \(name)")
            }
            return imageLoop.value.status(of: session)
        }.get()
    }

    /// Stops listening, makes everything durable, and ends every connection.
    public func stop() async throws {
        try? await listener.close()
        try? await control.close()
        let imageLoop = imageLoop
        let loop = group.next()
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            loop.execute {
                imageLoop.value.close { error in
                    if let error { done.resume(throwing: error) } else { done.resume() }
                }
            }
        }
        try await pool.shutdownGracefully()
        try await group.shutdownGracefully()
    }
}

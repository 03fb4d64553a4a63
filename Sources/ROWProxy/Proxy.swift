import CLinux
import NFSClient
import NFSProtocol
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// A running proxy: one image with its sessions on one event loop, behind one port that answers NFS and
/// MOUNT, and a control socket for `rowctl`, by which further sessions come and go.
public final class Proxy: Sendable {
    /// Main, as far as it was reached.
    enum OpenedMain: Sendable {
        case directory(FilePath)
        /// `first` has told of the root of an image of which nothing was known.
        case servers([NFSURL], NFSClient.Options, first: (index: Int, opened: Replica.Opened)?)
    }

    public let configuration: Configuration
    /// The port that was bound.
    public let port: Int
    /// Where it listens, as a number.
    private let address: String
    /// The port on which the port mapper's questions are answered, if they are.
    public var portmapPort: Int? { portmap?.port }
    private let group: MultiThreadedEventLoopGroup
    private let pool: NIOThreadPool
    /// Empty once stopped, so that image and session are free for others.
    let imageLoop: NIOLoopBoundBox<ImageLoop?>
    private let listener: any Channel
    private let control: (any Channel)?
    private let portmap: PortmapResponder?
    private let registration: RPCBind?
    let turns = LoopTurns()

    /// Reaches main, opens image and session, and listens.
    /// - Throws: ``ConfigurationError``, `StateError` or ``NFSClientError``, each saying what to do.
    public static func start(_ configuration: Configuration) async throws -> Proxy {
        try configuration.check()
        try configuration.state.layout.checkRights()
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
        let loop = group.next()
        let main = try await open(configuration, on: loop)
        let pool = NIOThreadPool(numberOfThreads: 2)
        do {
            let imageLoop = try await loop.submit {
                clinux_keep_large_buffers()
                // Before there are other threads, which inherit it: a proxy whose client is on the
                // same machine must not wait for that client's writes when memory is short. Without
                // the privilege it goes on without.
                _ = clinux_set_io_flusher()
                pool.start()
                let imageLoop = try ImageLoop(
                    configuration: configuration, main: main, loop: loop, pool: pool)
                return NIOLoopBound(imageLoop, eventLoop: loop)
            }.get()
            do {
                return try await start(configuration, group, pool, imageLoop)
            } catch {
                try? await loop.flatSubmit { close(imageLoop.value) }.get()
                throw error
            }
        } catch {
            try? await pool.shutdownGracefully()
            throw error
        }
    }

    private static func start(
        _ configuration: Configuration, _ group: MultiThreadedEventLoopGroup,
        _ pool: NIOThreadPool, _ imageLoop: NIOLoopBound<ImageLoop>
    ) async throws -> Proxy {
        let loop = imageLoop.eventLoop
        try await withCheckedThrowingContinuation {
            (done: CheckedContinuation<Void, any Error>) in
            loop.execute {
                imageLoop.value.add(configuration.sessionOptions) { result in
                    done.resume(with: result.map { _ in () })
                }
            }
        }
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            loop.execute {
                guard let machines = imageLoop.value.machines else { return done.resume() }
                machines.restore { done.resume() }
            }
        }
        let listener = try await listen(configuration, imageLoop, on: loop)
        let address = listener.localAddress
        var control: (any Channel)?
        var portmap: PortmapResponder?
        do {
            let port = address?.port ?? configuration.port
            let numeric = address?.ipAddress ?? configuration.host
            let cacheSize = try await loop.submit { imageLoop.value.cacheSize }.get()
            let settings = SharedSettings(configuration, port: port, cacheSize: cacheSize)
            control = try await ControlSocket.listen(
                in: configuration.state.image(configuration.image.canonicalName), imageLoop,
                ControlAnswerer(settings: settings, address: numeric), on: loop)
            if let address = configuration.portmap {
                configuration.listeners?.dropUnused(port: address.port)
                portmap = try await PortmapResponder.start(
                    host: address.host ?? configuration.host, port: address.port,
                    servicePort: port, admission: Admission(configuration.allow), on: loop)
            }
            let registration =
                configuration.registers
                ? try await RPCBind.register(services, port: port) : nil
            let kept = NIOLoopBoundBox<ImageLoop?>.makeEmptyBox(eventLoop: loop)
            try await loop.submit {
                kept.value = imageLoop.value
                imageLoop.value.whenServed(configuration.companions) {
                    _ = listener.setOption(.autoRead, value: true)
                }
            }.get()
            return Proxy(
                configuration: configuration, port: port, address: numeric, group: group,
                pool: pool,
                imageLoop: kept, listener: listener, control: control, portmap: portmap,
                registration: registration)
        } catch {
            await portmap?.stop()
            try? await control?.close()
            try? await listener.close()
            // Nobody is to wait for what cannot be served.
            try? await listener.closeFuture.get()
            if let address { configuration.listeners?.dropUnused(address) }
            throw error
        }
    }

    /// What rpcbind is told of.
    private static let services = [
        RPCBind.Service(program: NFS3.program, version: NFS3.version),
        RPCBind.Service(program: Mount.program, version: Mount.version1),
        RPCBind.Service(program: Mount.program, version: Mount.version),
    ]

    private init(
        configuration: Configuration, port: Int, address: String,
        group: MultiThreadedEventLoopGroup,
        pool: NIOThreadPool, imageLoop: NIOLoopBoundBox<ImageLoop?>, listener: any Channel,
        control: (any Channel)?, portmap: PortmapResponder?, registration: RPCBind?
    ) {
        self.configuration = configuration
        self.group = group
        self.pool = pool
        self.imageLoop = imageLoop
        self.listener = listener
        self.control = control
        self.portmap = portmap
        self.registration = registration
        self.port = port
        self.address = address
    }

    /// The command that mounts the session on this machine, for the directory `DIR`.
    public var mountCommand: String {
        Self.mountCommand(address: address, port: port, session: configuration.session)
    }

    static func mountCommand(address: String, port: Int, session: String) -> String {
        let isVersion6 = address.contains(":")
        let host =
            switch address {
            case "0.0.0.0": "127.0.0.1"
            case "::": "[::1]"
            default: isVersion6 ? "[\(address)]" : address
            }
        let transport = isVersion6 ? "proto=tcp6,mountproto=tcp6" : "proto=tcp"
        return "mount -t nfs -o vers=3,\(transport),nolock,port=\(port),mountport=\(port) "
            + "\(host):/\(session) DIR"
    }

    static func open(
        _ configuration: Configuration, on loop: any EventLoop
    ) async throws -> OpenedMain {
        switch configuration.image {
        case .directory(let path): return .directory(path)
        case .servers(let urls), .appliance(_, let urls):
            var options = NFSClient.Options()
            options.connection.congestionControl = configuration.congestionControl
            options.connection.credentials = configuration.tlsCredentials
            // A connection that was lost is checked before it is used again.
            options.connection.reconnection = .never
            options.credential = configuration.mainCredential
            options.timeout = ReplicaTiming.connectTimeout
            let known = configuration.state.image(configuration.image.canonicalName)
            if ImageStore.knowsRoot(in: known) { return .servers(urls, options, first: nil) }
            return .servers(
                urls, options, first: try await Replica.first(of: urls, options, on: loop))
        }
    }

    /// Connections that wait until they are taken. With more, those of one client who makes and loses them without end
    /// would be taken before all else is done.
    static let backlog: CInt = 128

    private static func listen(
        _ configuration: Configuration, _ imageLoop: NIOLoopBound<ImageLoop>,
        on loop: any EventLoop
    ) async throws -> any Channel {
        let congestionControl = configuration.congestionControl
        do {
            let address = try SocketAddress.makeAddressResolvingHost(
                configuration.host, port: configuration.port)
            let bootstrap = ServerBootstrap(group: loop)
                .serverChannelOption(.backlog, value: backlog)
                .serverChannelOption(.autoRead, value: configuration.companions.isEmpty)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
                }
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .childChannelOption(
                    .writeBufferWaterMark,
                    value: .init(
                        low: RPCHandler.unsentBytesCounted.to,
                        high: RPCHandler.unsentBytesCounted.from)
                )
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        if let congestionControl {
                            CongestionControl.set(congestionControl, of: channel)
                        }
                        try channel.closeOnExec()
                        let server = imageLoop.value.server
                        try server.admit(channel.remoteAddress, at: channel.localAddress)
                        let handler = RPCHandler(server: server, allocator: channel.allocator)
                        try handler.receiver.install(in: channel)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
            guard configuration.port != 0, let kept = configuration.listeners else {
                return try await bootstrap.bind(to: address).get()
            }
            let descriptor = try kept.lend(address)
            do {
                let listener = try await bootstrap.withBoundSocket(descriptor).get()
                listener.closeFuture.whenComplete { _ in kept.giveBack(address) }
                return listener
            } catch {
                kept.giveBack(address)
                throw error
            }
        } catch {
            throw StateError(
                .io,
                "cannot listen on \(configuration.host):\(configuration.port): \(error); "
                    + "choose another --listen address or port 0"
            )
        }
    }

    /// What `stat-session` tells.
    public func status() async throws -> SessionStatus {
        let name = configuration.session
        let imageLoop = imageLoop
        return try await group.next().submit {
            guard let imageLoop = imageLoop.value, let session = imageLoop.sessions[name] else {
                throw StateError(.notFound, "the session \(name) has been stopped")
            }
            return imageLoop.status(of: session)
        }.get()
    }

    /// Returns once the event loop has had a turn: at once, unless something holds it up; or once the proxy is
    /// being stopped, after which there may be no loop any more.
    public func answers() async { await turns.next(of: imageLoop.eventLoop) }

    /// Puts another in the place of ``RemoteImage/cachedBytes``, for tests.
    func setCachedBytes(
        _ hook: @escaping @Sendable (NodeID, Range<UInt64>, (ByteBuffer?) -> Void) -> Void
    ) async throws {
        let imageLoop = imageLoop
        try await group.next().submit {
            guard case .remote(let remote, _)? = imageLoop.value?.main.kind else { return }
            remote.cachedBytes = { hook($0, $1, $2) }
        }.get()
    }

    /// Stops listening, makes everything durable, and ends every connection.
    public func stop() async throws {
        turns.end()
        try? await listener.close()
        await registration?.unregister()
        await portmap?.stop()
        try? await control?.close()
        ControlSocket.remove(
            from: configuration.state.image(configuration.image.canonicalName))
        var failure: (any Error)?
        let imageLoop = imageLoop
        do {
            try await imageLoop.eventLoop.flatSubmit {
                guard let closing = imageLoop.value else {
                    return imageLoop.eventLoop.makeSucceededVoidFuture()
                }
                imageLoop.value = nil
                return Self.close(closing)
            }.get()
        } catch {
            failure = error
        }
        try await pool.shutdownGracefully()
        try await group.shutdownGracefully()
        if let failure { throw failure }
    }

    static func close(_ imageLoop: ImageLoop) -> EventLoopFuture<Void> {
        let promise = imageLoop.loop.makePromise(of: Void.self)
        imageLoop.close { error in
            if let error { promise.fail(error) } else { promise.succeed() }
        }
        return promise.futureResult
    }
}

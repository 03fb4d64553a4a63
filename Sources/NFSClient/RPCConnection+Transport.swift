import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import ONCRPC

/// How a connection is made, kept and made again.
extension RPCConnection {
    enum Transport {
        /// None is needed.
        case idle
        case connecting
        case connected(ChannelHandlerContext)
        /// The next attempt comes when the task runs.
        case pausing(Scheduled<Void>)
        case closed
    }

    /// Begins an attempt unless one is under way or due.
    func startTransport() {
        guard case .idle = transport else { return }
        transport = .connecting
        HostResolver.resolve(host: host, port: port, on: eventLoop).assumeIsolated().whenComplete {
            switch $0 {
            case .success(let addresses):
                do throws(NFSClientError) {
                    self.tlsContext = try self.options.tlsContext
                } catch {
                    return self.attemptFailed(error)
                }
                self.attempt(
                    addresses[...], localPorts: self.localPorts.candidates()[...])
            case .failure(let error):
                self.attemptFailed(error)
            }
        }
    }

    /// Tries the first address from the first local port, then what is left.
    private func attempt(_ addresses: ArraySlice<SocketAddress>, localPorts ports: ArraySlice<Int?>)
    {
        guard case .connecting = transport, let address = addresses.first,
            let localPort = ports.first
        else { return }
        bootstrap(to: address, from: localPort).connect(to: address).assumeIsolated().whenComplete {
            switch $0 {
            case .success:
                self.localPorts.connected(from: localPort)
            case .failure(let error):
                let verdict =
                    localPort == nil ? .unrelated : self.localPorts.failed(with: error)
                switch verdict {
                case .tryNext:
                    self.attempt(addresses, localPorts: ports.dropFirst())
                case .notPermitted:
                    self.attempt(addresses, localPorts: ports.suffix(1))
                case .unrelated where addresses.count > 1:
                    self.attempt(
                        addresses.dropFirst(), localPorts: self.localPorts.candidates()[...])
                case .unrelated:
                    self.attemptFailed(error)
                }
            }
        }
    }

    private func bootstrap(to address: SocketAddress, from localPort: Int?) -> ClientBootstrap {
        let handler = NIOLoopBound(
            (RPCConnectionHandler(connection: self), tls: tlsContext), eventLoop: eventLoop)
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(options.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    // A child process that held the socket would keep the connection open.
                    try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
                        of: NIOBSDSocket.Handle.self
                    ) { _ = fcntl($0, F_SETFD, FD_CLOEXEC) }
                    let (handler, tls) = handler.value
                    if let tls {
                        try channel.receiveForTLS()
                        try channel.pipeline.syncOperations.addHandler(
                            StartTLSHandler(
                                connection: handler.connection, tls: tls, receiver: handler.receiver
                            ))
                    } else {
                        try handler.receiver.install(in: channel)
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        guard let localPort else { return bootstrap }
        let anyAddress = address.protocol == .inet6 ? "::" : "0.0.0.0"
        guard let local = try? SocketAddress(ipAddress: anyAddress, port: localPort) else {
            return bootstrap
        }
        // The port of the connection before may still be in TIME_WAIT.
        return bootstrap.channelOption(.socketOption(.so_reuseaddr), value: 1).bind(to: local)
    }

    func attemptFailed(_ cause: any Error) {
        guard case .connecting = transport else { return }
        let error = connectError(cause)
        let waiters = connectWaiters
        connectWaiters = []
        transportEnded(error)
        for waiter in waiters { waiter(.failure(error)) }
    }

    /// The handler is in the pipeline of a connected channel.
    func transportActive(_ context: ChannelHandlerContext) {
        guard case .connecting = transport else {
            context.close(promise: nil)
            return
        }
        transport = .connected(context)
        connectionsMade += 1
        if connectionsMade > 1 { statistics.reconnects += 1 }
        if let name = options.congestionControl { CongestionControl.set(name, of: context.channel) }
        transmitAll()
        let waiters = connectWaiters
        connectWaiters = []
        for waiter in waiters { waiter(.success(())) }
    }

    /// The channel of `context` is closed.
    func transportInactive(_ context: ChannelHandlerContext, cause: (any Error)?) {
        guard case .connected(let current) = transport, current === context else { return }
        transportEnded(lostError(cause))
    }

    /// Leaves a connection that is of no use any more; calls in flight move to the next one.
    func dropTransport(_ error: NFSClientError) {
        guard case .connected(let context) = transport else { return }
        transportEnded(error)
        context.close(promise: nil)
    }

    func stopTransport() {
        let previous = transport
        transport = .closed
        sender.reset()
        switch previous {
        case .connected(let context): context.close(promise: nil)
        case .pausing(let task): task.cancel()
        case .idle, .connecting, .closed: break
        }
    }

    private func transportEnded(_ error: NFSClientError) {
        lastError = error
        sender.reset()
        isReading = false
        let wasConnected = isConnected
        transport = .idle
        if wasConnected { onDisconnect?(error) }
        let failures = failuresInSequence
        failuresInSequence += 1
        switch options.reconnection {
        case .never:
            failAll(with: error)
        case .backoff(let first, let maximum):
            guard hasCalls else { return }
            let pause = Self.pause(failures: failures, first: first, maximum: maximum)
            let task = eventLoop.assumeIsolated().scheduleTask(in: pause) {
                self.transport = .idle
                self.startTransport()
            }
            transport = .pausing(task)
        }
    }

    /// Doubles from `first` to `maximum`, then takes up to half of it off, so that clients that lost
    /// the same server do not all come back at once.
    static func pause(failures: Int, first: TimeAmount, maximum: TimeAmount) -> TimeAmount {
        guard failures > 0 else { return .zero }
        let doublings = min(failures - 1, 20)
        let pause = min(
            Double(first.nanoseconds) * Double(1 << doublings), Double(maximum.nanoseconds))
        return .nanoseconds(Int64(pause * Double.random(in: 0.5...1)))
    }

    func isRefusal(_ error: any Error) -> Bool {
        if let error = error as? IOError { return error.errnoCode == ECONNREFUSED }
        guard let error = error as? NIOConnectionError else { return false }
        return error.connectionErrors.contains { isRefusal($0.error) }
    }
}

/// Hands the events of one channel to its connection.
final class RPCConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    let receiver: RecordReceiver
    let connection: RPCConnection
    private var failure: (any Error)?

    init(connection: RPCConnection) {
        self.connection = connection
        receiver = RecordReceiver(bufferBytes: connection.options.receiveBufferBytes)
    }

    func channelActive(context: ChannelHandlerContext) {
        connection.transportActive(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.transportInactive(context, cause: failure)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard failure == nil, isCurrent(context) else { return }
        connection.isReading = true
        let count = receiver.receive(unwrapInboundIn(data))
        connection.statistics.bytesReceived += UInt64(count)
        Traffic.receive(count)
        do throws(RecordError) {
            // A completion may close the connection.
            while isCurrent(context), let record = try receiver.next() {
                connection.receive(record)
            }
        } catch {
            failure = error
            connection.isReading = false
            connection.dropTransport(connection.malformedError(error))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection.isReading = false
        if isCurrent(context) { connection.flush() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = failure ?? error
        context.close(promise: nil)
    }

    private func isCurrent(_ context: ChannelHandlerContext) -> Bool {
        guard case .connected(let current) = connection.transport else { return false }
        return current === context
    }
}

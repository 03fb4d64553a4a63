import Glibc
import NIOCore
import NIOPosix

/// A TCP relay on 127.0.0.1 in this process that damages what it carries on request.
///
/// Clients connect to ``port``; each connection is carried to the target. Everything runs on one event
/// loop; every method may be called from any task and has taken effect when it returns.
public final class FaultyTransport: Sendable {
    /// Which half of a connection.
    public enum Direction: Sendable {
        case toServer, toClient
    }

    public let port: Int
    private let relay: NIOLoopBound<Relay>
    private let listener: any Channel

    /// Starts a relay.
    /// - Parameter target: a port on 127.0.0.1.
    public static func start(target: Int) async throws -> FaultyTransport {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let relay = try await loop.submit {
            NIOLoopBound(Relay(target: target), eventLoop: loop)
        }.get()
        let listener = try await ServerBootstrap(group: loop, childGroup: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try relay.value.accepted(channel) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return FaultyTransport(relay: relay, listener: listener)
    }

    private init(relay: NIOLoopBound<Relay>, listener: any Channel) {
        self.relay = relay
        self.listener = listener
        port = listener.localAddress?.port ?? 0
    }

    /// Stops listening and ends every connection.
    public func stop() async throws {
        try await listener.close().get()
        try await cut()
    }

    /// Ends every connection in the orderly way (FIN).
    public func cut() async throws {
        try await onLoop { $0.endAll(abortively: false) }
    }

    /// Ends every connection without a farewell (RST).
    public func reset() async throws {
        try await onLoop { $0.endAll(abortively: true) }
    }

    /// Carries nothing any more, in connections that are there and new ones, until ``resume()``.
    public func stall() async throws {
        try await onLoop { $0.setStalled(true) }
    }

    public func resume() async throws {
        try await onLoop { $0.setStalled(false) }
    }

    /// Whether new connections are ended at once.
    public func setRefusing(_ isRefusing: Bool) async throws {
        try await onLoop { $0.isRefusing = isRefusing }
    }

    /// Whether every byte is written on its own.
    public func setSplitting(_ isSplitting: Bool) async throws {
        try await onLoop { $0.isSplitting = isSplitting }
    }

    /// Whether new connections wait for a target that is away, and those that it ended end without a
    /// farewell (RST): a client then comes back at once, where it would wait for seconds else.
    public func setPatient(_ isPatient: Bool) async throws {
        try await onLoop { $0.isPatient = isPatient }
    }

    /// Inverts one byte of a half of each connection made from now on.
    /// - Parameter offset: which byte, counted from the start of the connection; nil for none.
    public func corrupt(_ direction: Direction, at offset: Int?) async throws {
        try await onLoop { $0.corruptOffsets[direction] = offset }
    }

    /// Connections that were made so far.
    public var connectionsAccepted: Int {
        get async throws { try await onLoop { $0.connectionsAccepted } }
    }

    private func onLoop<Value: Sendable>(
        _ body: @escaping @Sendable (Relay) -> Value
    ) async throws -> Value {
        let relay = relay
        return try await relay.eventLoop.submit { body(relay.value) }.get()
    }
}

/// The state of a relay. Loop-confined.
private final class Relay {
    let target: Int
    var isRefusing = false
    var isSplitting = false
    var isStalled = false
    var isPatient = false
    var corruptOffsets: [FaultyTransport.Direction: Int] = [:]
    var connectionsAccepted = 0
    private var channels: [ObjectIdentifier: any Channel] = [:]

    init(target: Int) { self.target = target }

    func accepted(_ client: any Channel) throws {
        connectionsAccepted += 1
        if isRefusing {
            client.close(promise: nil)
            return
        }
        let toServer = RelayHandler(self, corrupting: corruptOffsets[.toServer])
        let toClient = RelayHandler(self, corrupting: corruptOffsets[.toClient])
        try client.closeOnExec()
        try client.pipeline.syncOperations.addHandler(toServer)
        toClient.peer = client
        connect(client, toServer, toClient)
    }

    private func connect(
        _ client: any Channel, _ toServer: RelayHandler, _ toClient: RelayHandler
    ) {
        let relay = NIOLoopBound((self, toServer, toClient), eventLoop: client.eventLoop)
        ClientBootstrap(group: client.eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .channelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    try server.closeOnExec()
                    try server.pipeline.syncOperations.addHandler(relay.value.2)
                }
            }
            .connect(host: "127.0.0.1", port: target)
            .whenComplete { result in
                let (owner, toServer, _) = relay.value
                switch result {
                case .success(let server):
                    toServer.peer = server
                    owner.carry([client, server])
                case .failure where owner.isPatient && client.isActive:
                    client.eventLoop.scheduleTask(in: .milliseconds(5)) {
                        let (owner, toServer, toClient) = relay.value
                        owner.connect(client, toServer, toClient)
                    }
                case .failure:
                    client.close(promise: nil)
                }
            }
    }

    func endAll(abortively: Bool) {
        for channel in channels.values { end(channel, abortively: abortively) }
    }

    func end(_ channel: any Channel, abortively: Bool) {
        if abortively, let provider = channel as? any SocketOptionProvider {
            // Closing with pending linger of zero seconds makes the system send RST.
            _ = provider.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        channel.close(promise: nil)
    }

    func setStalled(_ isStalled: Bool) {
        self.isStalled = isStalled
        for channel in channels.values { setReading(channel, !isStalled) }
    }

    func closed(_ channel: any Channel) { channels[ObjectIdentifier(channel)] = nil }

    private func carry(_ pair: [any Channel]) {
        for channel in pair where channel.isActive {
            channels[ObjectIdentifier(channel)] = channel
            setReading(channel, !isStalled)
        }
        // One end may be gone before the other was there.
        if !pair.allSatisfy(\.isActive) { pair.forEach { $0.close(promise: nil) } }
    }

    private func setReading(_ channel: any Channel, _ isReading: Bool) {
        channel.setOption(.autoRead, value: isReading).whenFailure { _ in
            channel.close(promise: nil)
        }
    }
}

/// One half of a connection: what it reads goes to its peer.
private final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var peer: (any Channel)?
    private let relay: Relay
    private let corruptOffset: Int?
    private var offset = 0

    init(_ relay: Relay, corrupting offset: Int?) {
        self.relay = relay
        corruptOffset = offset
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if let target = corruptOffset, (offset..<offset + bytes.readableBytes).contains(target) {
            let index = bytes.readerIndex + target - offset
            let byte = bytes.getInteger(at: index, as: UInt8.self) ?? 0
            bytes.setInteger(byte ^ 0xFF, at: index)
        }
        offset += bytes.readableBytes
        if relay.isSplitting {
            while let byte = bytes.readSlice(length: 1) { peer?.writeAndFlush(byte, promise: nil) }
        } else {
            peer?.writeAndFlush(bytes, promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        relay.closed(context.channel)
        if let peer { relay.end(peer, abortively: relay.isPatient) }
        peer = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension Channel {
    /// Keeps the socket from the programs that tests start: one that held it would keep the connection
    /// open when this end closes it.
    func closeOnExec() throws {
        try pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            _ = fcntl($0, F_SETFD, FD_CLOEXEC)
        }
    }
}

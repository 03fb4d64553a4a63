import NIOCore
import NIOPosix

/// A TCP relay on 127.0.0.1 in this process that damages what it carries on request, or carries it as slowly
/// as a long line would.
///
/// Clients connect to ``port``; each connection is carried to the target. Everything runs on one event
/// loop; every method may be called from any task and has taken effect when it returns.
public final class FaultyTransport: Sendable {
    /// Which half of a connection.
    public enum Direction: CaseIterable, Sendable {
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

    /// Carries bytes as a long line does, from now on: late, and no faster than its rate, which all
    /// connections share. Bytes that are on their way keep their time of arrival.
    ///
    /// A connection is made at once: its handshake is with this relay.
    /// - Parameter roundTrip: each direction takes half of it.
    /// - Parameter bitsPerSecond: of each direction; nil for no limit.
    public func setLink(roundTrip: Duration, bitsPerSecond: Int?) async throws {
        let link = SimulatedLink(roundTrip: roundTrip, bitsPerSecond: bitsPerSecond)
        try await onLoop { $0.setLink(link) }
    }

    /// Carries bytes as fast as it can again.
    public func removeLink() async throws {
        try await onLoop { $0.setLink(nil) }
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

import NFSProtocol
public import NIOCore
import NIOSSL

extension RPCConnection {
    /// How a connection is made and what it may hold.
    public struct Options: Sendable {
        /// The most calls sent and not answered. Further ones wait their turn.
        public var callsInFlightMaximum = 128
        /// The most bytes of arguments and payload sent and not answered. One call is always let
        /// through, however large.
        public var bytesInFlightMaximum = 16 << 20
        /// The most calls that wait for their turn. Further ones fail with
        /// ``NFSClientError/Code/queueFull``.
        public var callsWaitingMaximum = 4096
        /// How long one attempt to connect to one address may take.
        public var connectTimeout = TimeAmount.seconds(5)
        public var reconnection = Reconnection.backoff(
            first: .milliseconds(100), maximum: .seconds(10))
        public var reservedPort = ReservedPort.ifPermitted
        /// The name of a TCP congestion control. Ignored where the system does not have it. `bbr`, a
        /// common default, halves the speed of 1 MiB transfers over loopback.
        public var congestionControl: String? = "cubic"
        /// The size of each receive buffer, in bytes.
        public var receiveBufferBytes = 512 << 10

        /// What protects calls. A server that does not offer it is not called.
        public var security = TransportSecurity.none
        /// What proves who the ends are; without it a server must be known to an authority that this machine
        /// trusts.
        public var credentials: TLSCredentials?
        /// The program and version whose NULL asks for TLS.
        var probe = (program: NFS3.program, version: NFS3.version)

        public init() {}

        /// What handshakes are made with; nil for none.
        var tlsContext: NIOSSLContext? {
            get throws(NFSClientError) {
                guard security != .none else { return nil }
                return try (credentials ?? TLSCredentials(TLSFiles()))
                    .context(for: .client(isMutual: security == .mutual))
            }
        }
    }

    /// What follows the loss of a connection.
    public enum Reconnection: Sendable {
        /// Every call that waits fails.
        case never
        /// While calls wait, connects again: at once, then after pauses that grow from `first` to
        /// `maximum` until the server answers a call. Calls without a reply are sent again.
        case backoff(first: TimeAmount, maximum: TimeAmount)
    }

    /// Whether to call from a port that only root may use (665...1023). Many exports ask for it.
    public enum ReservedPort: Sendable {
        /// Where the process may; otherwise from an ordinary port.
        case ifPermitted
        case never
    }

    /// What happened so far.
    public struct Statistics: Sendable, Equatable {
        /// Calls that were made, by procedure number. Calls of procedures from 32 up are not counted.
        public internal(set) var callsByProcedure = [UInt64](repeating: 0, count: 32)
        /// Connections made after the first one.
        public internal(set) var reconnects: UInt64 = 0
        /// Calls that were in flight when their connection was lost, and were sent again.
        public internal(set) var retransmissions: UInt64 = 0
        /// Replies that no call waited for.
        public internal(set) var unexpectedReplies: UInt64 = 0
        /// Calls that had no reply before their deadline.
        public internal(set) var timeouts: UInt64 = 0
        public internal(set) var bytesReceived: UInt64 = 0

        public init() {}
    }
}

public import NFSProtocol
public import ONCRPC

/// Why a call has no result: the transport, the RPC layer or the mount failed. NFS statuses are
/// results, not errors. Two errors are equal when their codes are.
public struct NFSClientError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// The URL is not one that ``NFSURL`` takes.
        case badURL
        /// The host name has no address.
        case nameNotResolved
        /// Nobody listens at the port.
        case connectionRefused
        /// No connection could be made for another reason.
        case unreachable
        /// The connection ended and is not made again.
        case connectionLost
        /// No reply before the call's deadline. The server may or may not have carried it out.
        case timedOut
        /// MNT was answered with this status.
        case mountRefused(Mount.Status)
        /// TLS was asked for, and is not offered, or one of the ends does not accept the other's certificate, or this
        /// end's files are of no use.
        case tlsFailed
        /// The port mapper could not be asked or does not know the program.
        case portmapFailed
        /// The server understood the call but did not carry it out (RFC 5531 §9, accept_stat).
        case rpcFailed(RPC.AcceptError)
        /// The server turned the call away (RFC 5531 §9, reject_stat).
        case rpcRejected(RPC.Rejection)
        /// The reply does not have the form that the protocol gives it.
        case malformedReply
        /// Too many calls wait already.
        case queueFull
        /// The call was cancelled.
        case cancelled
        /// The connection was closed by its owner.
        case closed
    }

    public let code: Code
    /// What happened, why, and what to do about it.
    public let context: String

    public init(_ code: Code, _ context: String) {
        self.code = code
        self.context = context
    }

    public static func == (lhs: NFSClientError, rhs: NFSClientError) -> Bool {
        lhs.code == rhs.code
    }

    public var description: String { context }
}

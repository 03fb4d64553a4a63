import NFSClient
import NIOCore
import NIOSSL
import NIOTLS
import ONCRPC

/// TLS on a connection (RFC 9289): a client asks for it by a call, and what follows the answer is inside of it.
extension RPCHandler {
    enum Protection {
        case none
        /// Asked for, and not there yet.
        case handshaking(Scheduled<Void>)
        case tls
    }

    /// What is there of TLS before the connection's first call.
    func lookAtTLS() { wantsTLS = server.tls.isRequired && !isOfThisMachine }

    /// Answers a call that asks for TLS, or that must not be made without.
    /// - Returns: whether it was one.
    func screens(_ header: RPC.CallHeader) -> Bool {
        if header.credential == .other(flavor: RPC.Flavor.tls) {
            startTLS(xid: header.xid)
            return true
        }
        guard wantsTLS, header.procedure != 0 else { return false }
        reject(xid: header.xid, .authError(RPC.AuthStatus.tooWeak))
        return true
    }

    private func startTLS(xid: UInt32) {
        guard case .none = protection, let credentials = server.tls.credentials, let context else {
            return reject(xid: xid, .authError(RPC.AuthStatus.badCredential))
        }
        // What follows the call in the clear could be anybody's, and so could what has been asked before and would be
        // answered inside of TLS.
        guard !receiver.hasBytes, !hasParkedCalls else {
            return fail("it asked for TLS and did not wait for the answer")
        }
        do {
            let tls = try credentials.context(for: .server, onEvent: server.event)
            write(size: RPC.startTLSReplySize) { RPC.encodeStartTLS(xid: xid, into: &$0) }
            flush()
            receiver.stopLending()
            try context.channel.receiveForTLS()
            try context.pipeline.syncOperations.addHandler(
                NIOSSLServerHandler(context: tls), position: .first)
        } catch {
            return fail("TLS cannot begin: \(error)")
        }
        let timeout = server.tls.handshakeTimeout
        let timer = context.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.fail(
                "its TLS handshake did not end within \(Double(timeout.nanoseconds) / 1e9) s")
        }
        protection = .handshaking(timer)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshaking(let timer) = protection,
            case .handshakeCompleted(let name) = event as? TLSUserEvent
        {
            timer.cancel()
            guard name == TLSCredentials.applicationProtocol else {
                return fail("inside of TLS it does not want \(TLSCredentials.applicationProtocol)")
            }
            protection = .tls
            wantsTLS = false
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .handshaking = protection, !isClosed {
            server.event(
                "refused TLS to \(client): \(TLSFailure.reason(of: error) ?? "\(error)")")
        }
        context.close(promise: nil)
    }

    /// The connection has ended.
    func endTLS() {
        if case .handshaking(let timer) = protection { timer.cancel() }
    }
}

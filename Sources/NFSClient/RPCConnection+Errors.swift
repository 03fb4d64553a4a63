import NIOCore
import NIOSSL
import ONCRPC
import XDR

/// What the errors of a connection say.
extension RPCConnection {
    var server: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    func describe(_ call: Summary) -> String {
        "Procedure \(call.procedure) of program \(call.program) at \(server)"
    }

    var closedError: NFSClientError {
        NFSClientError(.closed, "The connection to \(server) was closed here")
    }

    var queueFullError: NFSClientError {
        NFSClientError(
            .queueFull,
            "\(options.callsWaitingMaximum) calls to \(server) wait already. "
                + "Issue fewer at a time or raise callsWaitingMaximum")
    }

    var silentError: NFSClientError {
        NFSClientError(.timedOut, "\(server) sent no reply while a call ran out of time")
    }

    var lostCallError: NFSClientError {
        NFSClientError(.connectionLost, "\(server) did not answer every call")
    }

    func timedOutError(_ call: Summary) -> NFSClientError {
        let seconds = Double(call.timeout.nanoseconds) / 1e9
        let last = lastError.map { ". Before that: \($0)" } ?? ""
        return NFSClientError(
            .timedOut,
            "\(describe(call)) had no reply within \(seconds) s. "
                + "Check that the server is up and the network works\(last)")
    }

    func failedError(_ error: RPC.AcceptError) -> NFSClientError {
        let reason =
            switch error {
            case .progUnavail: "it does not serve this program (PROG_UNAVAIL)"
            case .progMismatch(let low, let high):
                "it serves versions \(low) to \(high) of this program only (PROG_MISMATCH)"
            case .procUnavail: "it does not have this procedure (PROC_UNAVAIL)"
            case .garbageArgs: "it cannot read the arguments (GARBAGE_ARGS)"
            case .systemErr: "it failed internally (SYSTEM_ERR)"
            }
        return NFSClientError(.rpcFailed(error), "\(server) refused a call: \(reason)")
    }

    func rejectedError(_ rejection: RPC.Rejection) -> NFSClientError {
        let reason =
            switch rejection {
            case .rpcMismatch(let low, let high): "it speaks RPC versions \(low) to \(high)"
            case .authError(let status):
                "it does not accept the credential (auth_stat \(status)). "
                    + "Check the export's security flavor"
            }
        return NFSClientError(.rpcRejected(rejection), "\(server) rejected a call: \(reason)")
    }

    func malformedError(_ error: XDRError) -> NFSClientError {
        NFSClientError(.malformedReply, "\(server) sent a malformed reply. \(error)")
    }

    func malformedError(_ error: RecordError) -> NFSClientError {
        NFSClientError(
            .malformedReply,
            "\(server) sent what is no reply. \(error). Check that the port is that of the program")
    }

    /// It does not offer TLS.
    var tlsRefusedError: NFSClientError {
        NFSClientError(
            .tlsFailed,
            "\(server) does not offer TLS, and xprtsec=\(options.security.rawValue) wants it, so nothing is asked "
                + "of it. Check that it has a certificate (rowctl: --tls-cert, --tls-key) and that nobody on the way "
                + "answers for it")
    }

    var tlsUnnamedError: NFSClientError {
        NFSClientError(
            .tlsFailed,
            "\(server) does not speak RPC inside of TLS (ALPN \(TLSCredentials.applicationProtocol)). Check "
                + "that the port is that of the program")
    }

    var tlsSilentError: NFSClientError {
        NFSClientError(
            .tlsFailed,
            "The TLS handshake with \(server) did not end within "
                + "\(Double(options.connectTimeout.nanoseconds) / 1e9) s. Check that the server is up"
        )
    }

    var tlsEndedError: NFSClientError {
        NFSClientError(
            .tlsFailed,
            "\(server) ended the connection before TLS was there. Its log says why, if it is rowctl "
                + "(rowctl stat-session)")
    }

    func tlsError(_ cause: any Error) -> NFSClientError {
        NFSClientError(
            .tlsFailed, "TLS with \(server) failed: \(TLSFailure.reason(of: cause) ?? "\(cause)")")
    }

    func lostError(_ cause: (any Error)?) -> NFSClientError {
        if let known = cause as? NFSClientError { return known }
        // One that ends without the farewell of TLS has ended all the same.
        let cause = cause as? NIOSSLError == .uncleanShutdown ? nil : cause
        if let cause, TLSFailure.reason(of: cause) != nil { return tlsError(cause) }
        let reason = cause.map { "\($0)" } ?? "the server ended it"
        return NFSClientError(.connectionLost, "The connection to \(server) was lost: \(reason)")
    }

    func connectError(_ cause: any Error) -> NFSClientError {
        if let known = cause as? NFSClientError { return known }
        if isRefusal(cause) {
            return NFSClientError(
                .connectionRefused,
                "Nobody listens at \(server). Check that the server runs and the port is right")
        }
        return NFSClientError(
            .unreachable,
            "\(server) cannot be reached: \(cause). Check the address, the route and the firewall")
    }
}

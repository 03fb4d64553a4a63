import NFSClient
import NIOCore
import NIOSSL

/// What a port offers of TLS, and what it wants.
struct ServerTLS {
    /// nil: none is offered.
    let credentials: TLSCredentials?
    /// Whether other machines may make calls without it.
    let isRequired: Bool
    /// How long a client may take from its asking for TLS to the end of the handshake.
    let handshakeTimeout: TimeAmount

    /// - Throws: ``NFSClientError`` when the certificate cannot be used.
    init(_ configuration: Proxy.Configuration) throws {
        isRequired = configuration.requiresTLS
        handshakeTimeout = configuration.handshakeTimeout
        guard configuration.tls.certificate != nil else {
            credentials = nil
            return
        }
        let credentials = TLSCredentials(configuration.tls)
        _ = try credentials.context(for: .server)
        self.credentials = credentials
    }
}

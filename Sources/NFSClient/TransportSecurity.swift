/// What protects calls on their way to a server, by the names of the mount option `xprtsec` of Linux (nfs(5)).
public enum TransportSecurity: String, Hashable, Sendable, CaseIterable {
    /// Nothing.
    case none
    /// TLS, in which the server shows a certificate.
    case tls
    /// TLS, in which both ends show one.
    case mutual = "mtls"
}

/// Where a process has its certificates: files in PEM.
public struct TLSFiles: Hashable, Sendable, Codable {
    /// Its own certificate, and behind it those that lead to a certification authority.
    public var certificate: String?
    /// The certificate's private key, which nobody but its owner may read.
    public var key: String?
    /// Of the certification authorities that vouch for the other end. Without it: a client takes those that this
    /// machine knows, a server asks for no certificates.
    public var authorities: String?

    public init(certificate: String? = nil, key: String? = nil, authorities: String? = nil) {
        self.certificate = certificate
        self.key = key
        self.authorities = authorities
    }
}

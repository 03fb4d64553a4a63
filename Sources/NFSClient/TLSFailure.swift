import NIOSSL

/// What errors of TLS mean, for people.
package enum TLSFailure {
    /// What the library says, and what that means.
    private static let meanings = [
        (
            "CERTIFICATE_REQUIRED",
            "the other end wants a certificate: xprtsec=mtls shows that of --tls-cert"
        ),
        (
            "UNKNOWN_CA",
            "the other end does not know who vouches for this end's certificate: check its --tls-ca"
        ),
        ("ALERT_CERTIFICATE_EXPIRED", "the other end says that this end's certificate has expired"),
        ("ALERT_BAD_CERTIFICATE", "the other end does not take this end's certificate"),
        ("ALERT_CERTIFICATE_UNKNOWN", "the other end does not take this end's certificate"),
        (
            "CERTIFICATE_VERIFY_FAILED",
            "nobody of --tls-ca vouches for the other end's certificate, or it has expired or is not valid yet"
        ),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the other end shows no certificate"),
        ("WRONG_VERSION_NUMBER", "the other end does not speak TLS"),
        ("UNSUPPORTED_PROTOCOL", "the other end does not speak TLS 1.3"),
        ("PROTOCOL_VERSION", "the other end does not speak TLS 1.3"),
        ("EOF during handshake", "the other end ended the connection"),
    ]

    /// - Returns: nil when the error is another's.
    package static func reason(of error: any Error) -> String? {
        switch error {
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            return "the other end's certificate is for another name: \(error)"
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            let text = "\(error)"
            return meanings.first { text.contains($0.0) }.map { "\($0.1) (\($0.0))" } ?? text
        default: return nil
        }
    }
}

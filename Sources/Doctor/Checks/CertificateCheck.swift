import NFSClient

/// The certificate by which others know this machine.
enum CertificateCheck {
    static func findings(_ surroundings: Surroundings) -> [Finding] {
        guard let path = surroundings.tls.certificate else { return [] }
        do throws(NFSClientError) {
            _ = try TLSCredentials(surroundings.tls).context(for: .server)
            return [.fine(.certificate, path, "it can be used, with its key")]
        } catch {
            return [
                .problem(
                    .certificate, path, error.context,
                    because: "nothing is served with it, and no server reached that wants it",
                    remedy: "mend that file, or name another as 'tls-cert', 'tls-key' or 'tls-ca'")
            ]
        }
    }
}

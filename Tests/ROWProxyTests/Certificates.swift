import Foundation
import NFSClient
import NIOSSL
import ROWTestKit

/// A certification authority of a test's own, and what it vouches for.
struct Certificates: Sendable {
    let folder: TemporaryDirectory
    var authority: String { folder.path("ca.pem") }

    /// Whom a certificate is for.
    struct Holder {
        /// By which the files are called.
        var name: String
        var subjectAltName = "IP:127.0.0.1,DNS:localhost"
        var days = 2
    }

    init() async throws {
        folder = try TemporaryDirectory("rowfs-tls")
        try await openssl(
            ["req", "-x509"] + Self.newKey + [
                "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca",
            ])
    }

    private static let newKey = [
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
    ]

    private func openssl(_ arguments: [String]) async throws {
        let known = ["-keyout", "-out", "-in", "-CA", "-CAkey", "-extfile"]
        let words = arguments.enumerated().map { index, word in
            index > 0 && known.contains(arguments[index - 1]) ? folder.path(word) : word
        }
        try await runTool("openssl", words)
    }

    /// Makes a certificate and its key.
    @discardableResult
    func issue(_ holder: Holder) async throws -> TLSFiles {
        let name = holder.name
        _ = try folder.file("\(name).ext", "subjectAltName=\(holder.subjectAltName)\n")
        try await openssl(
            ["req"] + Self.newKey
                + ["-keyout", "\(name).key", "-out", "\(name).csr", "-subj", "/CN=\(name)"])
        try await openssl([
            "x509", "-req", "-in", "\(name).csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "\(holder.days)", "-extfile", "\(name).ext", "-out",
            "\(name).pem",
        ])
        return TLSFiles(
            certificate: folder.path("\(name).pem"), key: folder.path("\(name).key"),
            authorities: authority)
    }

    func issue(_ name: String) async throws -> TLSFiles { try await issue(Holder(name: name)) }
}

extension TLSFiles {
    var arguments: [String] {
        [("--tls-cert", certificate), ("--tls-key", key), ("--tls-ca", authorities)]
            .flatMap { option, path in path.map { [option, $0] } ?? [] }
    }

    /// As a client that is not ours might use them.
    /// - Parameter showsCertificate: whether it shows its own.
    func configuration(showsCertificate: Bool = true) throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = ["sunrpc"]
        configuration.trustRoots = .file(authorities ?? "")
        if showsCertificate, let certificate, let key {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate)
                .map { .certificate($0) }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        }
        return configuration
    }
}

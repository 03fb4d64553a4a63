import Glibc
import NIOCore
package import NIOSSL
import Synchronization

/// What a process proves by certificates who it is, and checks who others are. Files are read when they are first
/// needed, and again when they have changed; new connections go by them then.
public final class TLSCredentials: Sendable {
    /// Which end of a connection they are for.
    package enum Role: Hashable, Sendable {
        case server
        case client(isMutual: Bool)
    }

    private struct Loaded {
        let stamps: [FileStamp?]
        let context: NIOSSLContext
    }

    public let files: TLSFiles
    private let loaded = Mutex<[Role: Loaded]>([:])

    /// The name of RPC among the protocols inside of TLS (RFC 9289 §8.2).
    package static let applicationProtocol = "sunrpc"

    public init(_ files: TLSFiles) { self.files = files }

    /// What handshakes are made with.
    /// - Parameter onEvent: told when files that have changed are of no use, so that those before hold.
    /// - Throws: ``NFSClientError/Code/tlsFailed`` that says which file is of no use, why, and what to do.
    package func context(
        for role: Role, onEvent: (String) -> Void = { _ in }
    ) throws(NFSClientError) -> NIOSSLContext {
        let paths = [files.certificate, files.key, files.authorities]
        let stamps = paths.map { $0.flatMap { FileStamp($0) } }
        return try loaded.withLock { loaded throws(NFSClientError) in
            if let last = loaded[role], last.stamps == stamps { return last.context }
            let context: NIOSSLContext
            do throws(NFSClientError) {
                context = try makeContext(for: role)
            } catch {
                guard let last = loaded[role] else { throw error }
                onEvent("TLS goes on with the certificates before. \(error)")
                context = last.context
            }
            loaded[role] = Loaded(stamps: stamps, context: context)
            return context
        }
    }

    private func makeContext(for role: Role) throws(NFSClientError) -> NIOSSLContext {
        var configuration: TLSConfiguration
        switch role {
        case .server:
            let (chain, key) = try identity()
            configuration = .makeServerConfiguration(certificateChain: chain, privateKey: key)
            if let authorities = files.authorities {
                configuration.trustRoots = .certificates(try certificates(in: authorities))
                // Clients have no fixed names (RFC 9289 §5.2.1).
                configuration.certificateVerification = .noHostnameVerification
            }
        case .client(let isMutual):
            configuration = .makeClientConfiguration()
            if let authorities = files.authorities {
                configuration.trustRoots = .certificates(try certificates(in: authorities))
            }
            if isMutual {
                let (chain, key) = try identity()
                configuration.certificateChain = chain
                configuration.privateKey = key
            }
        }
        configuration.minimumTLSVersion = .tlsv13
        configuration.applicationProtocols = [Self.applicationProtocol]
        configuration.shutdownTimeout = .seconds(1)
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw NFSClientError(
                .tlsFailed,
                "The certificate \(files.certificate ?? "") and the key \(files.key ?? "") cannot be used "
                    + "together: \(error). Give the key that the certificate was made for")
        }
    }

    /// This end's certificates and key.
    private func identity() throws(NFSClientError) -> (
        [NIOSSLCertificateSource], NIOSSLPrivateKeySource
    ) {
        guard let certificate = files.certificate, let key = files.key else {
            throw NFSClientError(
                .tlsFailed,
                "There is no certificate to show. Give one with --tls-cert, and its key with --tls-key"
            )
        }
        let chain = try certificates(in: certificate)
        if let own = chain.first { try Self.checkTime(of: own, in: certificate) }
        let bytes = try PEMFile.read(key, isSecret: true)
        guard let parsed = try? NIOSSLPrivateKey(bytes: bytes, format: .pem) else {
            throw NFSClientError(
                .tlsFailed,
                "\(key) has no private key in PEM that can be read without a passphrase. Check --tls-key; "
                    + "'openssl pkey -in \(key)' writes one")
        }
        return (chain.map { .certificate($0) }, .privateKey(parsed))
    }

    private func certificates(in path: String) throws(NFSClientError) -> [NIOSSLCertificate] {
        let bytes = try PEMFile.read(path, isSecret: false)
        guard let all = try? NIOSSLCertificate.fromPEMBytes(bytes), !all.isEmpty else {
            throw NFSClientError(
                .tlsFailed,
                "\(path) has no certificates in PEM. Check --tls-cert and --tls-ca; 'openssl x509 -in \(path) "
                    + "-text' shows what is in it")
        }
        return all
    }

    private static func checkTime(
        of certificate: NIOSSLCertificate, in path: String
    ) throws(NFSClientError) {
        let now = time(nil)
        func date(_ seconds: time_t) -> String {
            var (seconds, parts) = (seconds, tm())
            gmtime_r(&seconds, &parts)
            var text = [CChar](repeating: 0, count: 32)
            let count = strftime(&text, text.count, "%Y-%m-%d %H:%M UTC", &parts)
            return String(decoding: text.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        if certificate.notValidAfter < now {
            throw NFSClientError(
                .tlsFailed,
                "The certificate \(path) expired on \(date(certificate.notValidAfter)). Have it renewed"
            )
        }
        if certificate.notValidBefore > now {
            throw NFSClientError(
                .tlsFailed,
                "The certificate \(path) is not valid before \(date(certificate.notValidBefore)). "
                    + "Check this machine's clock")
        }
    }
}

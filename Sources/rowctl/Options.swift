public import ArgumentParser
import Foundation
import Glibc
import NFSClient
import NIOCore
public import ROWProxy
import SystemPackage

/// Where state is kept; every verb takes it.
struct StateOption: ParsableArguments {
    @Option(
        name: .customLong("state"),
        help: ArgumentHelp(
            "Where images and sessions are kept.",
            discussion: "Default: /var/lib/rowfs for root, ~/.local/state/rowfs for others.",
            valueName: "directory"))
    var path: String?

    var directory: StateDirectory {
        path.map { StateDirectory(FilePath($0)) } ?? .standard
    }

    /// The same for a process that has another working directory.
    var absolute: StateDirectory {
        get throws {
            guard !directory.path.isAbsolute else { return directory }
            let here = FilePath(FileManager.default.currentDirectoryPath)
            return StateDirectory(here.pushing(directory.path))
        }
    }
}

/// Where changed data goes; the verbs that make sessions take it.
struct ShadowOption: ParsableArguments {
    @Option(
        name: .customLong("shadow"),
        help: ArgumentHelp(
            "Keep changed data on an NFS server: nfs://host[:port]/export[?mountport=N].",
            discussion: """
                An unmodified server that exports a directory for writing; the session gets a \
                directory of its own there. What is stored where stays in the state directory. A \
                session remembers its server, and cannot be moved from or to one once it has data.
                """, valueName: "url"))
    var url: String?

    var parsed: NFSURL? { get throws { try url.map { try NFSURL($0) } } }
}

/// Where the status is shown by HTTP; the verbs that serve in the foreground take it.
struct StatusOption: ParsableArguments {
    @Option(
        name: .customLong("http"),
        help: ArgumentHelp(
            "Show how things stand by HTTP: a page, /status.json, and /metrics for Prometheus.",
            discussion: """
                On 127.0.0.1 where only a port is given; port 0 picks a free one. Nothing can be changed \
                there, and whoever reaches the address may read it. Default: nowhere.
                """, valueName: "address:port"))
    var address: ListenAddress?
}

/// What is kept of an image; the verbs that serve one take it.
struct CacheOption: ParsableArguments {
    @Option(
        name: .customLong("cache-size"),
        help: ArgumentHelp(
            "How much of an image on a server is kept on this machine; 0 keeps nothing.",
            discussion: """
                For all its sessions, in the state directory; 512M, 10G, and so on. Above it, what \
                was not used for longest is given up. Default: \(Proxy.Configuration.cacheSizeDefault); \
                for prefetch what the image was served with last.
                """, valueName: "bytes"))
    var size: ByteSize?

    func apply(to configuration: inout Proxy.Configuration) {
        if let size { configuration.cacheSize = size }
    }

    /// For another process.
    var arguments: [String] { size.map { ["--cache-size", $0.description] } ?? [] }
}

/// Profiles; the verbs that serve a session take them.
struct ProfileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Write down what is touched of the image, in order, for --profile.",
            valueName: "file"))
    var record: String?

    @Option(
        help: ArgumentHelp(
            "Fetch what a profile names ahead of the clients, in its order.",
            discussion: "Into what is kept of the image; what is there already is not fetched.",
            valueName: "file"))
    var profile: String?

    /// The same for a process that has another working directory.
    var recordPath: String? { record.map(absolute) }
    var profilePath: String? { profile.map(absolute) }

    private func absolute(_ path: String) -> String {
        FilePath(FileManager.default.currentDirectoryPath).pushing(FilePath(path)).string
    }
}

/// How main is asked; the verbs that serve take it.
struct MainOptions: ParsableArguments {
    static let imageHelp: ArgumentHelp = """
        nfs://host[:port]/export[?mountport=N], or a directory of this machine. Several servers that \
        have the same tree are written with commas between them; the first names the image. With \
        xprtsec=mtls, as in nfs://host/export?xprtsec=mtls, a server is asked by TLS or not at all, and both \
        ends show certificates; with xprtsec=tls only the server does. Or \
        appliance://NAME@KEY[/VERSION], which the catalogue says the servers of.
        """

    @Option(
        name: .customLong("main-timeout"),
        help: ArgumentHelp(
            "How long a client's call waits for the image's servers before the client is told to try "
                + "again later.",
            discussion: """
                With several servers, one that is silent for a quarter of it (3 s at most) is left \
                for another. Default: 20.
                """, valueName: "seconds"))
    var timeoutSeconds: Double?

    @OptionGroup var tls: TLSOptions

    func validate() throws {
        guard let timeoutSeconds else { return }
        guard timeoutSeconds >= 0.1, timeoutSeconds <= 86_400 else {
            throw ValidationError("--main-timeout must be from 0.1 to 86400 seconds")
        }
    }

    func apply(to configuration: inout Proxy.Configuration) {
        configuration.tls = tls.files
        guard let timeoutSeconds else { return }
        configuration.mainTimeout = .milliseconds(Int64(timeoutSeconds * 1000))
    }

    /// For another process.
    var arguments: [String] {
        (timeoutSeconds.map { ["--main-timeout", "\($0)"] } ?? []) + tls.arguments
    }
}

/// Who this process is, and whom it believes; the verbs that ask servers or serve take it.
struct TLSOptions: ParsableArguments {
    @Option(
        name: .customLong("tls-cert"),
        help: ArgumentHelp(
            "This machine's certificate, in PEM.",
            discussion: """
                Shown to servers whose URL says xprtsec=mtls, and to clients that ask for TLS. Its \
                subjectAltName must have the name or address by which clients know this machine. Files are \
                read again when they have changed.
                """, valueName: "file"))
    var certificate: String?

    @Option(
        name: .customLong("tls-key"),
        help: ArgumentHelp(
            "The certificate's private key, which only its owner may read.", valueName: "file"))
    var key: String?

    @Option(
        name: .customLong("tls-ca"),
        help: ArgumentHelp(
            "The authorities that vouch for the certificates of others.",
            discussion: """
                Clients that use TLS must then show one. Default: for servers those that this machine \
                trusts, and clients need none.
                """, valueName: "file"))
    var authorities: String?

    /// The same for a process that has another working directory.
    var files: TLSFiles {
        func absolute(_ path: String) -> String {
            FilePath(FileManager.default.currentDirectoryPath).pushing(FilePath(path)).string
        }
        return TLSFiles(
            certificate: certificate.map(absolute), key: key.map(absolute),
            authorities: authorities.map(absolute))
    }

    /// For another process.
    var arguments: [String] {
        [
            ("--tls-cert", files.certificate), ("--tls-key", files.key),
            ("--tls-ca", files.authorities),
        ].flatMap { name, path in path.map { [name, $0] } ?? [] }
    }
}

/// Where to listen and who may come in; the verbs that serve take it.
struct NetworkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where to listen; port 0 picks a free one. (default: 127.0.0.1:0)",
            valueName: "address:port"))
    var listen: ListenAddress?

    @Option(
        help: ArgumentHelp(
            "Which clients may come in; may be given more than once.",
            discussion: """
                Addresses or ranges such as 192.0.2.0/24, checked at every connection. Needed to \
                listen on anything but loopback; without it only this machine's clients may come \
                in, with it only those that it names.
                """, valueName: "address/bits"))
    var allow: [AddressRange] = []

    @Option(
        name: .customLong("root"),
        help: ArgumentHelp(
            "Whether a client's root is root (keep) or nobody (squash).",
            discussion: "Default: keep on loopback, squash elsewhere."))
    var rootAccess: Proxy.RootAccess?

    @Flag(
        help: "Give users the groups that this machine knows, not the up to 16 that a call names.")
    var manageGids = false

    @Option(
        name: .customLong("portmap"), defaultAsFlag: ListenAddress(port: 111), parsing: .next,
        help: ArgumentHelp(
            "Answer for the port mapper, which clients without mountport ask.",
            discussion: """
                On UDP and TCP; where nothing is given, port 111 of the listening address. Give it \
                last, or as --portmap=ADDRESS:PORT.
                """, valueName: "address:port"))
    var portmap: ListenAddress?

    @Flag(help: "Register with this machine's port mapper (rpcbind) while serving.")
    var register = false

    @Flag(
        name: .customLong("require-tls"),
        help: ArgumentHelp(
            "Refuse the calls of other machines that come without TLS.",
            discussion: """
                Those of this machine cross no network. Needs --tls-cert and --tls-key; with --tls-ca, \
                nobody comes in without a certificate.
                """))
    var requiresTLS = false

    func apply(to configuration: inout Proxy.Configuration) {
        if let listen { configuration.listen(at: listen) }
        configuration.allow = allow
        configuration.rootAccess = rootAccess
        configuration.managesGroups = manageGids
        configuration.portmap = portmap.map { Proxy.PortmapAddress($0) }
        configuration.registers = register
        configuration.requiresTLS = requiresTLS
    }
}

extension Proxy.Image {
    /// An `nfs://` URL or several of them, or a directory of this machine.
    static func parse(_ argument: String) throws -> Proxy.Image {
        if ApplianceImage.isOne(argument) {
            throw UsageError(
                description: "'\(argument)' is an appliance, which cannot be used here")
        }
        if argument.contains("://") { return try .servers(parsing: argument) }
        guard let path = realpath(argument, nil) else {
            throw UsageError(
                description:
                    "'\(argument)' is neither a directory nor an nfs://host[:port]/export URL")
        }
        defer { free(path) }
        return .directory(FilePath(String(cString: path)))
    }
}

extension Proxy.Image {
    /// What ``parse(_:)`` makes the same of, in any working directory.
    var argument: String {
        switch self {
        case .directory(let path): path.string
        case .servers(let urls): Self.text(of: urls)
        case .appliance(let name, _): name
        }
    }
}

extension ListenAddress: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension ByteSize: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

extension Proxy.Durability: ExpressibleByArgument {}

extension Proxy.RootAccess: ExpressibleByArgument {}

extension AddressRange: ExpressibleByArgument {
    public init?(argument: String) { self.init(argument) }
}

public import NFSClient
public import NIOCore
public import ONCRPC
public import ROWCore
public import SystemPackage

extension Proxy {
    /// Where main is.
    public enum Image: Sendable {
        case directory(FilePath)
        /// One server, or several that have the same tree; the first names the image.
        case servers([NFSURL])
        /// A version of an appliance, and servers that have it. What names it does not depend on where it is.
        case appliance(name: String, servers: [NFSURL])

        public static func server(_ url: NFSURL) -> Image { .servers([url]) }

        /// The same for the same image, however it is reached and wherever else it is.
        public var canonicalName: String {
            switch self {
            case .directory(let path): path.string
            case .servers(let urls): urls.first.map { Proxy.canonicalName(of: $0) } ?? ""
            case .appliance(let name, _): name
            }
        }

        /// The servers that have it; nil for a directory.
        public var urls: [NFSURL]? {
            switch self {
            case .directory: nil
            case .servers(let urls), .appliance(_, let urls): urls
            }
        }
    }

    public enum Durability: String, Codable, Sendable, CaseIterable {
        /// What was acknowledged survives a power failure.
        case strict
        /// What was acknowledged survives the end of the process.
        case relaxed
    }

    /// What a client's root is here.
    public enum RootAccess: String, Codable, Sendable, CaseIterable {
        /// Root.
        case keep
        /// Nobody.
        case squash
    }

    /// Where the port mapper's questions are answered.
    public struct PortmapAddress: Codable, Hashable, Sendable {
        /// nil: where NFS is served.
        public var host: String?
        public var port: Int

        public init(host: String? = nil, port: Int = 111) {
            self.host = host
            self.port = port
        }
    }

    /// What is a session's own among the settings.
    public struct SessionOptions: Codable, Sendable {
        public var name: String
        public var durability: Durability
        /// No changes: the image itself is exported.
        public var isReadOnly: Bool
        /// The NFS export that keeps the sparse files; nil for where the session has them.
        public var shadow: String?
        /// The file that gets a profile of what its clients touch of the image first.
        public var record: String?
        /// The file of a profile that is fetched ahead of its clients.
        public var profile: String?
    }

    public struct Configuration: Sendable {
        public var image: Image
        public var session: String
        public var state: StateDirectory
        public var host = hostDefault
        /// 0: any free one.
        public var port = 0
        /// Has the socket of that address, unless any port will do; nil: the proxy has one of its own.
        public var listeners: KeptListeners?
        /// Sessions that are about to join: no client is let in before they are there, or a few seconds later. One
        /// whose call was carried out by the process before, and not answered, would be told to try later, and
        /// would make another call of it, which nobody knows for the same.
        public var companions: Set<String> = []
        /// Clients that may come in, by address; none: those on this machine.
        public var allow: [AddressRange] = []
        /// nil: `keep` where only this machine can connect, `squash` elsewhere.
        public var rootAccess: RootAccess?
        /// Whether users have the groups that this machine knows rather than those that calls name.
        public var managesGroups = false
        /// Answers for a machine without a port mapper.
        public var portmap: PortmapAddress?
        /// The certificates of this process, for clients and for servers that are reached by TLS.
        public var tls = TLSFiles()
        /// Whether clients on other machines must use TLS.
        public var requiresTLS = false
        var handshakeTimeout = TimeAmount.seconds(10)
        /// Registers with the port mapper that runs on this machine.
        public var registers = false
        public var durability = Durability.strict
        /// Of what is kept of the image; nil: the session's.
        public var imageDurability: Durability {
            get { givenImageDurability ?? durability }
            set { givenImageDurability = newValue }
        }
        private var givenImageDurability: Durability?
        /// No changes: the image itself is exported.
        public var isReadOnly = false
        /// The NFS export that keeps the session's sparse files; nil for where it has them: a new session,
        /// in the state directory.
        public var shadow: NFSURL?
        /// Files, by their absolute paths: what gets a profile of what clients touch of the image, and the
        /// profile that is fetched ahead of them.
        public var record: String?
        public var profile: String?
        /// Who calls main, and the shadow server.
        public var mainCredential = RPC.Credential.sys(RPC.AuthSys(uid: 0, gid: 0))
        /// How long a call to main or to the shadow server may take before the client is told to try again later.
        public var mainTimeout: TimeAmount {
            get { givenMainTimeout ?? Self.mainTimeoutDefault }
            set { givenMainTimeout = newValue }
        }
        private(set) var givenMainTimeout: TimeAmount?
        /// How much storage main's blocks may take up on this machine.
        public var cacheSize: ByteSize {
            get { givenCacheSize ?? Self.cacheSizeDefault }
            set { givenCacheSize = newValue }
        }
        private(set) var givenCacheSize: ByteSize?
        /// The image is opened for something that is done to it, rather than for clients: it is remembered
        /// as it was served last, and so is the size of its cache unless another is given.
        public var isPassing = false
        /// Sessions for machines that boot from the image; nil: none.
        public var machines: MachineSettings?
        /// SHA-256 of the sums of the manifest that the image must have; nil: any, or none.
        public var manifestRoot: ContentHash?
        var replicaTiming = ReplicaTiming()
        /// Connections that one client may have, unless it is this machine.
        var connectionsOfOneMaximum = RPCServer.connectionsOfOneStandard
        /// What clients may leave with the port, in bytes: all connections together.
        var connectionBytesMaximum = ConnectionMemory.standardBytes
        /// Told of what operators should know, on the event loop of the image; must not block.
        public var onEvent: @Sendable (Event) -> Void = { _ in }
        public var congestionControl: String? = "cubic"
        /// Bytes of UNSTABLE WRITEs that may be ahead of the disk before replies wait for it.
        public var unstableBytesMaximum = DirtyBudget.holdBytesDefault

        public init(image: Image, session: String, state: StateDirectory) {
            self.image = image
            self.session = session
            self.state = state
        }

        static let hostDefault = "127.0.0.1"
        static let mainTimeoutDefault = TimeAmount.seconds(20)
        public static let cacheSizeDefault = ByteSize(bytes: 10 << 30)

        var sessionOptions: SessionOptions {
            SessionOptions(
                name: session, durability: durability, isReadOnly: isReadOnly,
                shadow: shadow?.description, record: record, profile: profile)
        }

        var squashesRoot: Bool {
            (rootAccess ?? (isOnLoopback ? .keep : .squash)) == .squash
        }

        private var isOnLoopback: Bool { Self.isLoopback(host) }

        private static func isLoopback(_ host: String) -> Bool {
            if host == "localhost" { return true }
            guard let address = IPAddress(host) else { return false }
            return AddressRange.loopback.contains { $0.contains(address) }
        }

        /// What servers are reached with.
        var tlsCredentials: TLSCredentials { TLSCredentials(tls) }

        private func checkTLS() throws(ConfigurationError) {
            func fail(_ message: String) throws(ConfigurationError) {
                throw ConfigurationError(message: message)
            }
            if (tls.certificate == nil) != (tls.key == nil) {
                try fail(
                    "a certificate and its key go together: give both --tls-cert and --tls-key")
            }
            guard tls.certificate == nil else { return }
            if requiresTLS {
                try fail(
                    "--require-tls would shut everybody out: give a certificate with --tls-cert and --tls-key"
                )
            }
            if let url = ((image.urls ?? []) + [shadow].compactMap(\.self))
                .first(where: { $0.security == .mutual })
            {
                try fail(
                    "\(url) wants a certificate of this machine: give one with --tls-cert and --tls-key, or write "
                        + "xprtsec=tls")
            }
        }

        /// Finds what cannot be meant.
        public func check() throws(ConfigurationError) {
            do {
                try StateLayout.check(sessionName: session)
            } catch {
                throw ConfigurationError(message: error.message)
            }
            for host in [host, portmap?.host].compactMap(\.self)
            where !Self.isLoopback(host) && allow.isEmpty {
                throw ConfigurationError(
                    message:
                        "listening on \(host) lets other machines in: say which with "
                        + "--allow ADDRESS/BITS, or listen on 127.0.0.1"
                )
            }
            try image.check()
            try machines?.check()
            try checkTLS()
            if registers, portmap != nil {
                throw ConfigurationError(
                    message:
                        "--portmap answers in place of rpcbind and --register asks it: "
                        + "give one of them"
                )
            }
        }
    }
}

/// Settings that cannot be meant: what, why, and what to do about it.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    public let message: String

    public var description: String { message }
}

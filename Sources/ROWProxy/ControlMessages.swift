import NFSClient
import NIOCore

/// What can be asked of the process that serves an image.
enum ControlRequest: Codable, Sendable {
    case status(session: String)
    /// The session is served until the connection that asked ends.
    case join(Proxy.SessionOptions, Proxy.SharedSettings)
    /// Something is done to a session while it is served.
    case change(session: String, SessionChange)
    /// This moment of the session's history gets a name.
    case mark(session: String, text: String)
    /// The session's history is written to its directory, for whoever asks to read it there.
    case saveHistory(session: String)
    /// A machine's session is no longer served, so that it can be removed.
    case letGo(session: String)
    /// Which machines have no session.
    case machines
    /// Something is done to what is kept of the image, until the connection that asked ends.
    case task(ImageTask)
}

/// What is done to a session as a whole.
enum SessionChange: Codable, Sendable {
    case takeSnapshot(tag: String)
    case rollBack(tag: String)
    /// - Parameter tag: of the snapshot that is cloned; nil for the session as it is now.
    case clone(name: String, tag: String?)
}

/// What it answers: one line each, to a task lines of reports before it. When a session that joined could
/// not be made durable at its end, one line more says so.
enum ControlAnswer: Codable, Sendable {
    case status(SessionStatus)
    case joined(Joined)
    case done
    case report(ImageReport)
    case machines([SessionStatus.Machine])
    /// The session is not served here.
    case notServed
    /// What was asked cannot be done, or was not: why, and what to do.
    case refused(String)

    struct Joined: Codable, Sendable {
        var mountCommand: String
        var processID: Int32
        /// Those of the process, with the port that was bound.
        var settings: Proxy.SharedSettings
    }
}

extension Proxy {
    /// Settings that all sessions of a process share.
    struct SharedSettings: Codable, Sendable, Equatable {
        var host: String
        var port: Int
        /// Ranges, as they are written.
        var allow: [String]
        var rootAccess: RootAccess?
        var managesGroups: Bool
        var portmap: PortmapAddress?
        var registers: Bool
        /// Of what is kept of the image: that of the session it was started for.
        var durability: Durability
        var unstableBytesMaximum: Int
        /// These are nil where they were not given, and in messages of older versions. Bytes, nanoseconds,
        /// and the image's servers as they are written.
        var cacheSize: UInt64?
        var mainTimeout: Int64?
        var servers: String?
        /// The root that the image's manifest must have, in hexadecimal.
        var manifestRoot: String?
        var tls: TLSFiles?
        var requiresTLS: Bool?

        /// What a process wants of another.
        init(_ configuration: Configuration) {
            host = configuration.host
            port = configuration.port
            allow = configuration.allow.map(\.description).sorted()
            rootAccess = configuration.rootAccess
            managesGroups = configuration.managesGroups
            portmap = configuration.portmap
            registers = configuration.registers
            durability = configuration.imageDurability
            unstableBytesMaximum = configuration.unstableBytesMaximum
            cacheSize = configuration.givenCacheSize?.bytes
            mainTimeout = configuration.givenMainTimeout?.nanoseconds
            manifestRoot = configuration.manifestRoot.map { "\($0)" }
            tls = configuration.tls
            requiresTLS = configuration.requiresTLS
            // A commit goes by what is remembered of the image.
            if case .servers(let urls) = configuration.image, !configuration.isPassing {
                servers = Image.text(of: urls)
            }
        }

        /// What a process has that listens on a port.
        /// - Parameter cacheSize: nil where nothing can be kept.
        init(_ configuration: Configuration, port: Int, cacheSize: UInt64?) {
            self.init(configuration)
            self.port = port
            self.cacheSize = cacheSize
            mainTimeout = configuration.mainTimeout.nanoseconds
            servers = configuration.image.urls.map { Image.text(of: $0) }
        }

        /// The first setting that another wants, or must be told of, and that these do not have.
        func conflict(with wanted: SharedSettings) -> String? {
            // Port 0 is any; and the standard host with it, anywhere.
            let wantsHost = wanted.port != 0 || wanted.host != Configuration.hostDefault
            if wantsHost && wanted.host != host || wanted.port != 0 && wanted.port != port {
                return "--listen \(wanted.host):\(wanted.port)"
            }
            if !wanted.allow.isEmpty, wanted.allow != allow {
                return "--allow \(wanted.allow.joined(separator: " --allow "))"
            }
            if let root = wanted.rootAccess, root != rootAccess {
                return "--root \(root.rawValue)"
            }
            if wanted.managesGroups, !managesGroups { return "--manage-gids" }
            if wanted.portmap != nil, portmap == nil { return "--portmap" }
            if wanted.registers, !registers { return "--register" }
            if let size = wanted.cacheSize, let cacheSize, size != cacheSize {
                return "--cache-size \(ByteSize(bytes: size))"
            }
            if let time = wanted.mainTimeout, let mainTimeout, time != mainTimeout {
                return "--main-timeout \(Double(time) / 1e9)"
            }
            if let root = wanted.manifestRoot, root != manifestRoot {
                return "an image whose manifest is \(root)"
            }
            if wanted.requiresTLS == true, requiresTLS != true { return "--require-tls" }
            if let files = wanted.tls, files != TLSFiles(), files != tls {
                return "--tls-cert, --tls-key and --tls-ca as they are given"
            }
            return missingServer(of: wanted)
        }

        /// One that another wants to be asked, and that is not, however it is reached, or not with the
        /// protection that it wants.
        private func missingServer(of wanted: SharedSettings) -> String? {
            guard let servers else { return nil }
            let there = Self.urls(servers)
            return Self.urls(wanted.servers ?? "").first { url in
                !there.contains {
                    Proxy.canonicalName(of: $0) == Proxy.canonicalName(of: url)
                        && $0.security == url.security
                }
            }?.description
        }

        private static func urls(_ text: String) -> [NFSURL] {
            guard case .servers(let urls)? = try? Image.servers(parsing: text) else { return [] }
            return urls
        }

        /// Whether a session that joins would be open to other machines although nobody said so.
        func opens(_ wanted: SharedSettings) -> Bool { !allow.isEmpty && wanted.allow.isEmpty }
    }
}

extension Proxy.Configuration {
    /// Takes over the settings of the process that served the session, so that its clients notice
    /// nothing.
    public mutating func succeed(_ membership: Membership) {
        let settings = membership.settings
        host = settings.host
        port = settings.port
        allow = settings.allow.compactMap { AddressRange($0) }
        rootAccess = settings.rootAccess
        managesGroups = settings.managesGroups
        portmap = settings.portmap
        registers = settings.registers
        imageDurability = settings.durability
        unstableBytesMaximum = settings.unstableBytesMaximum
        if let files = settings.tls { tls = files }
        requiresTLS = settings.requiresTLS ?? false
        if let bytes = settings.cacheSize { cacheSize = ByteSize(bytes: bytes) }
        if let time = settings.mainTimeout { mainTimeout = .nanoseconds(time) }
        // An appliance has the servers that the catalogue says.
        if case .servers = image, let servers = settings.servers,
            let all = try? Proxy.Image.servers(parsing: servers)
        {
            image = all
        }
    }
}

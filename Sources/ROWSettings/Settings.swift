package import Console
package import Logging
import NFSClient
import NIOCore
public import ROWProxy
public import SystemPackage

/// What a service serves: images, each with its sessions.
public struct Settings: Sendable {
    /// Nil: the standard one.
    public let state: FilePath?
    /// As `rowctl serve --catalogue` takes it.
    public let catalogue: String?
    /// Nil where nobody says anything.
    package let logFormat: LogFormat?
    package let logLevel: Logger.Level?
    /// Where the status is shown by HTTP; nil: nowhere.
    public let http: ListenAddress?
    /// In the order of the file; those of an image one after another.
    public let sessions: [Session]

    /// One session of an image, with all that holds for it. Two that are served alike are equal.
    public struct Session: Sendable, Equatable {
        public let name: String
        /// By which the file knows the image.
        public let image: String
        fileprivate var values: Values

        /// As `rowctl serve` takes it.
        public var source: String { values.source }

        /// Tells a proxy.
        public func apply(to configuration: inout Proxy.Configuration) {
            values.apply(to: &configuration)
        }
    }

    /// - Throws: ``SettingsError`` with all that is wrong.
    public init(_ source: SettingsSource) throws {
        var reader = ValueReader(source)
        let state: AbsolutePath? = reader.value("state")
        let catalogue = reader.text("catalogue")
        logFormat = reader.value("log-format")
        logLevel = reader.value("log-level")
        var places = PlacesTaken()
        let tls = Self.tls(&reader)
        let http: ListenAddress? = reader.value("http")
        if let http { _ = places.claim(http, for: "the status page") }
        var sessions: [Session] = []
        var images: [String: String] = [:]
        for (image, names) in source.images {
            reader.path = [SettingKey.images, image]
            let common = Values(image: &reader, tls: tls)
            common.claim(&places, image, &reader)
            let first = sessions.count
            if names.isEmpty { reader.complain("it has no session: name one under 'sessions'") }
            for name in names {
                reader.path = [SettingKey.images, image, SettingKey.sessions, name]
                if let other = images.updateValue(image, forKey: name) {
                    reader.complain(
                        "the image '\(other)' has a session of that name too: choose another")
                }
                var values = common
                values.addSession(&reader)
                values.check(name, &reader)
                sessions.append(Session(name: name, image: image, values: values))
            }
            // Whichever of them is there first has what all of them have of the image.
            let isStrict = sessions[first...].contains { $0.values.durability == .strict }
            for index in sessions[first...].indices {
                sessions[index].values.imageDurability = isStrict ? .strict : .relaxed
            }
        }
        if source.images.isEmpty, reader.problems.isEmpty {
            reader.path = [SettingKey.images]
            reader.complain("no image is named, so nothing would be served")
        }
        guard reader.problems.isEmpty else { throw SettingsError(problems: reader.problems) }
        self.state = state.map { FilePath($0.text) }
        self.catalogue = catalogue
        self.http = http
        self.sessions = sessions
    }
}

extension Settings {
    private static func tls(_ reader: inout ValueReader) -> TLSFiles {
        let certificate: AbsolutePath? = reader.value("tls-cert")
        let key: AbsolutePath? = reader.value("tls-key")
        let authorities: AbsolutePath? = reader.value("tls-ca")
        return TLSFiles(
            certificate: certificate?.text, key: key?.text, authorities: authorities?.text)
    }

    /// What a proxy can be told.
    fileprivate struct Values: Equatable, Sendable {
        let source: String
        private let listen: ListenAddress?
        private let allow: [AddressRange]
        private let rootAccess: Proxy.RootAccess?
        private let managesGroups: Bool
        private let portmap: ListenAddress?
        private let registers: Bool
        private let tls: TLSFiles
        private let requiresTLS: Bool
        private let cacheSize: ByteSize?
        private let timeout: Timeout?
        private(set) var durability = Proxy.Durability.strict
        /// Of what is kept of the image, for all of its sessions.
        var imageDurability = Proxy.Durability.strict
        private var isReadOnly = false
        private var shadow: NFSURL?
        private var record: AbsolutePath?
        private var profile: AbsolutePath?

        init(image reader: inout ValueReader, tls: TLSFiles) {
            self.tls = tls
            let sources = reader.list("source")
            if sources.isEmpty {
                reader.complain(
                    "it has no 'source': name servers, nfs://HOST/EXPORT, or a directory")
            }
            Self.check(sources, &reader)
            source = sources.joined(separator: ",")
            listen = reader.value("listen")
            allow = reader.values("allow")
            rootAccess = reader.value("root")
            managesGroups = reader.value("manage-gids") ?? false
            portmap = reader.value("portmap")
            registers = reader.value("register") ?? false
            requiresTLS = reader.value("require-tls") ?? false
            cacheSize = reader.value("cache-size")
            timeout = reader.value("main-timeout")
        }

        /// Servers, or one appliance, or one directory.
        private static func check(_ sources: [String], _ reader: inout ValueReader) {
            let text = sources.joined(separator: ",")
            if !text.contains("://") {
                if !sources.isEmpty, sources.count > 1 || AbsolutePath(text: text) == nil {
                    reader.refuse(
                        "source", text,
                        "URLs nfs://HOST/EXPORT, or one path from the root, /...")
                }
            } else if !text.hasPrefix("appliance://") {
                do {
                    _ = try Proxy.Image.servers(parsing: text)
                } catch {
                    reader.refuse("source", text, "a server's export: \(error)")
                }
            }
        }

        /// Finds what only one image can have.
        func claim(_ places: inout PlacesTaken, _ image: String, _ reader: inout ValueReader) {
            if !source.isEmpty, let other = places.claim(source: source, for: image) {
                reader.complain(
                    "source",
                    "the image '\(other)' has this source too: put the sessions of both under one image"
                )
            }
            for (name, address) in [("listen", listen), ("portmap", portmap)] {
                guard let address,
                    let other = places.claim(address, for: "the image '\(image)'")
                else { continue }
                reader.complain(name, "\(other) listens on \(address) too: choose another port")
            }
        }

        mutating func addSession(_ reader: inout ValueReader) {
            durability = reader.value("durability") ?? .strict
            isReadOnly = reader.value("read-only") ?? false
            shadow = reader.value("shadow")
            record = reader.value("record")
            profile = reader.value("profile")
        }

        /// Finds what cannot be meant together.
        func check(_ session: String, _ reader: inout ValueReader) {
            // Of an image that there always is: this one may be away.
            var configuration = Proxy.Configuration(
                image: .directory("/"), session: session, state: .standard)
            apply(to: &configuration)
            do throws(ConfigurationError) {
                try configuration.check()
            } catch {
                reader.complain(error.message)
            }
        }

        func apply(to configuration: inout Proxy.Configuration) {
            if let listen { configuration.listen(at: listen) }
            configuration.allow = allow
            configuration.rootAccess = rootAccess
            configuration.managesGroups = managesGroups
            configuration.portmap = portmap.map { Proxy.PortmapAddress($0) }
            configuration.registers = registers
            configuration.tls = tls
            configuration.requiresTLS = requiresTLS
            if let cacheSize { configuration.cacheSize = cacheSize }
            if let timeout {
                configuration.mainTimeout = .milliseconds(Int64(timeout.seconds * 1000))
            }
            configuration.durability = durability
            configuration.imageDurability = imageDurability
            configuration.isReadOnly = isReadOnly
            configuration.shadow = shadow
            configuration.record = record?.text
            configuration.profile = profile?.text
        }
    }
}

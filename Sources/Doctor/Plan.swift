public import NFSClient
public import ROWProxy
import SystemPackage

/// What is to be served here, as far as a machine can keep it from being so.
public struct Plan: Sendable {
    public var state: StateDirectory
    public var images: [Image] = []
    /// The file that says so.
    public var configuration: String?
    /// Whether machines are to boot here.
    public var bootsMachines = false
    /// Where the status page is to be.
    public var http: ListenAddress?
    /// Where the file says so.
    var httpPlace: String?
    /// The certificates that servers are asked with, as the file says.
    public var tls = TLSFiles()
    /// What is wrong with the file itself.
    var configurationFindings: [Finding] = []

    public init(state: StateDirectory) { self.state = state }

    /// An image, and how it is to be served.
    public struct Image: Sendable {
        /// As it was given.
        public let source: String
        /// Without any for an appliance, whose servers the catalogue names.
        public let servers: [NFSURL]
        /// Where changed data goes, besides the state directory.
        public var shadows: [NFSURL] = []
        public var listen: ListenAddress?
        public var portmap: ListenAddress?
        public var registers = false
        public var cacheSize = Proxy.Configuration.cacheSizeDefault
        public var hasProfile = false
        /// By which the file knows it.
        var name: String?
        /// Where the file sets what it sets, by the settings' names.
        var places: [String: String] = [:]

        /// - Parameter source: as `rowctl serve` takes it.
        /// - Throws: `NFSClientError`, `ConfigurationError` for what is no image.
        public init(_ source: String) throws {
            self.source = source
            let isOfServers = source.contains("://") && !source.hasPrefix("appliance://")
            servers = isOfServers ? try Proxy.Image.servers(parsing: source).urls ?? [] : []
        }

        /// The directory of this machine that it is.
        var directory: String? { source.contains("://") ? nil : source }

        /// What a person changes to have something else.
        func setting(_ setting: String) -> String {
            guard let name else { return "--\(setting)" }
            return "'images.\(name).\(setting)'" + (places[setting].map { " (\($0))" } ?? "")
        }

        /// For people.
        var title: String { name.map { "image '\($0)'" } ?? source }
    }
}

/// Where an NFSv3 export of this machine is reached.
public struct NFSExport: Equatable, Sendable {
    public let port: Int
    public let mountPort: Int
    /// With its leading slash.
    public let path: String

    public init(port: Int, mountPort: Int, path: String) {
        self.port = port
        self.mountPort = mountPort
        self.path = path
    }

    /// As `rowctl` wants an image: the host is 127.0.0.1.
    public var url: String { "nfs://127.0.0.1:\(port)\(path)?mountport=\(mountPort)" }

    /// The words of ``Guest``'s `nfs_mount` before the directory.
    public var mountWords: String { "\(path) \(port) \(mountPort)" }
}

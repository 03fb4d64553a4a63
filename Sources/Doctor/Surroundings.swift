public import Foundation
public import NFSClient
import ROWProxy

/// The machine, by the places where it is looked at.
public struct Surroundings: Sendable {
    public var proc = "/proc"
    public var sys = "/sys"
    /// Where programs are looked for.
    public var programFolders: [String]
    /// Where Debian's package ipxe puts its programs.
    public var loaderFolder = "/usr/lib/ipxe"
    /// Where the port mapper listens.
    public var portmapPort = 111
    /// How long one answer is waited for.
    public var patience = Duration.seconds(2)
    /// Whether servers are called from ports that only root may use.
    public var reservedPort = RPCConnection.ReservedPort.ifPermitted
    /// The certificates that servers are asked with.
    public var tls = TLSFiles()
    public var now = Date()
    /// Nil: the kernel does not say.
    public var isClockSynchronized = Clock.isSynchronized
    /// Whether the kernel could load a module.
    public var hasModule: @Sendable (String) -> Bool = { KernelModules.has($0) }
    /// What is in a file; nil where it cannot be read.
    public var text: @Sendable (String) -> String? = { try? KernelFile.text($0) }

    public init() {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        programFolders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    }

    /// The path of a program.
    func program(_ name: String) -> String? {
        programFolders.lazy.map { "\($0)/\(name)" }.first {
            FileManager.default.isExecutableFile(atPath: $0)
        }
    }
}

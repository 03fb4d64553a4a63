public import ArgumentParser
import Glibc
import NFSClient
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
}

/// `HOST:PORT`, `[IPv6]:PORT`, or a port alone.
struct ListenAddress: ExpressibleByArgument {
    let host: String
    let port: Int

    init?(argument: String) {
        let (host, port): (Substring, Substring)
        if let colon = argument.lastIndex(of: ":") {
            (host, port) = (argument[..<colon], argument[argument.index(after: colon)...])
        } else {
            (host, port) = ("127.0.0.1", argument[...])
        }
        guard let number = UInt16(port), !host.isEmpty else { return nil }
        self.host = host.hasPrefix("[") && host.hasSuffix("]")
            ? String(host.dropFirst().dropLast()) : String(host)
        self.port = Int(number)
    }
}

extension Proxy.Image {
    /// An `nfs://` URL, or a directory of this machine.
    static func parse(_ argument: String) throws -> Proxy.Image {
        if argument.contains("://") { return .server(try NFSURL(argument)) }
        guard let path = realpath(argument, nil) else {
            throw ValidationError(
                "'\(argument)' is neither a directory nor an nfs://host[:port]/export URL")
        }
        defer { free(path) }
        return .directory(FilePath(String(cString: path)))
    }
}

extension Proxy.Durability: ExpressibleByArgument {}

import Foundation
import Glibc

/// How a node of a distributed hash table is run: `dht:HOST:PORT[,HOST:PORT…]`.
struct DHTSettings: Sendable, Hashable {
    static let prefix = "dht:"

    /// `HOST:PORT` of nodes to begin with, an IPv6 address in brackets.
    let bootstrap: [String]
    /// The node's own UDP port; 0 for any.
    let port: Int
    /// The path of rowctl-dht.
    let program: String

    /// - Parameter text: from `dht:` on.
    /// - Parameter program: nil for the one that `ROWFS_DHT` names, or beside this program, or in `PATH`.
    /// - Throws: ``CatalogueError/Code/invalid``.
    init(parsing text: String, port: Int, program: String?) throws(CatalogueError) {
        bootstrap = text.dropFirst(Self.prefix.count).split(separator: ",").map(String.init)
        guard !bootstrap.isEmpty, bootstrap.allSatisfy(Self.isEndpoint) else {
            throw CatalogueError(
                .invalid,
                "'\(text.prefix(200))' names no DHT: write dht:HOST:PORT[,HOST:PORT...], nodes that are "
                    + "in it already; 'dhtnode -p 4222' runs a first one")
        }
        guard (0...65_535).contains(port) else {
            throw CatalogueError(.invalid, "\(port) is no UDP port: use 0 to 65535")
        }
        self.port = port
        self.program = try Self.find(program)
    }

    var command: [String] {
        [program, "--port", "\(port)"] + bootstrap.flatMap { ["--bootstrap", $0] }
    }

    private static func isEndpoint(_ text: String) -> Bool {
        guard let colon = text.lastIndex(of: ":"), text.utf8.count <= 300,
            let port = UInt16(text[text.index(after: colon)...]), port > 0
        else { return false }
        let host = text[..<colon]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]") && host.contains(":")
        return !host.isEmpty && (isBracketed || !host.contains { ":[]".contains($0) })
            && host.utf8.allSatisfy { (0x21...0x7e).contains($0) }
    }

    private static func find(_ given: String?) throws(CatalogueError) -> String {
        let environment = ProcessInfo.processInfo.environment
        if let path = given ?? environment["ROWFS_DHT"] {
            guard access(path, X_OK) == 0 else {
                throw CatalogueError(.invalid, "'\(path)' is no program that can be run")
            }
            return path
        }
        let own = Bundle.main.executableURL?.deletingLastPathComponent().path
        let folders =
            [own].compactMap(\.self)
            + (environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":").map(String.init)
        guard
            let path = folders.map({ (folder: String) -> String in "\(folder)/rowctl-dht" })
                .first(where: { access($0, X_OK) == 0 })
        else {
            throw CatalogueError(
                .invalid,
                "there is no rowctl-dht beside rowctl or in PATH: build it ('make release'), or give its "
                    + "path by --dht-program or ROWFS_DHT")
        }
        return path
    }
}

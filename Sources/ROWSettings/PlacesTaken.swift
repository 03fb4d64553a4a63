import ROWProxy
import SystemPackage

/// What only one can have: a tree, since it has one process and one cache, and an address with a port.
struct PlacesTaken {
    private var sources: [String: String] = [:]
    private var addresses: [(address: ListenAddress, owner: String)] = []

    /// - Returns: the image that has the source, whatever other servers it has besides.
    mutating func claim(source: String, for image: String) -> String? {
        let name =
            if source.contains("://") {
                (try? Proxy.Image.servers(parsing: source))?.canonicalName ?? source
            } else {
                FilePath(source).lexicallyNormalized().string
            }
        let other = sources[name]
        sources[name] = other ?? image
        return other
    }

    /// - Parameter owner: what listens there, for people.
    /// - Returns: what else does. Port 0 is any free one.
    mutating func claim(_ address: ListenAddress, for owner: String) -> String? {
        guard address.port != 0 else { return nil }
        let other = addresses.first { taken in
            taken.address.port == address.port && taken.owner != owner
                && Self.overlap(taken.address.host, address.host)
        }
        addresses.append((address, owner))
        return other?.owner
    }

    private static func overlap(_ one: String?, _ other: String?) -> Bool {
        let (one, other) = (one ?? standardHost, other ?? standardHost)
        return one == other || [one, other].contains { $0 == "0.0.0.0" || $0 == "::" }
    }

    private static let standardHost = "127.0.0.1"
}

/// `HOST:PORT`, `[IPv6]:PORT`, or a port alone.
public struct ListenAddress: Hashable, Sendable, LosslessStringConvertible {
    public var host: String?
    public var port: Int

    /// - Returns: nil for what is no such address.
    public init?(_ argument: String) {
        var rest = argument[...]
        if let colon = argument.lastIndex(of: ":") {
            var host = argument[..<colon]
            let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
            if isBracketed { host = host.dropFirst().dropLast() }
            guard !host.isEmpty, !host.contains(where: { "[]".contains($0) }),
                // Without brackets the last part of an IPv6 address would pass for a port.
                host.contains(":") == isBracketed
            else { return nil }
            self.host = String(host)
            rest = argument[argument.index(after: colon)...]
        }
        guard rest.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
            let number = UInt16(rest)
        else { return nil }
        port = Int(number)
    }

    /// - Parameter host: without brackets; nil for any.
    public init(host: String? = nil, port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String {
        guard let host else { return "\(port)" }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

extension Proxy.Configuration {
    /// Listens there; at the standard address where only a port is named.
    public mutating func listen(at address: ListenAddress) {
        host = address.host ?? host
        port = address.port
    }
}

extension Proxy.PortmapAddress {
    public init(_ address: ListenAddress) { self.init(host: address.host, port: address.port) }
}

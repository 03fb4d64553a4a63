/// `nfs://host[:port]/export[?mountport=N&xprtsec=none|tls|mtls]`: where an exported tree is.
///
/// The host is a name, an IPv4 address or an IPv6 address in brackets. `%XX` in the path stands for
/// one byte, so a path may hold any bytes. Without ports the port mapper of the host is asked.
public struct NFSURL: Hashable, Sendable {
    /// Without brackets.
    public var host: String
    /// The port of the NFS program, 1...65535.
    public var port: Int?
    /// The port of the MOUNT program, 1...65535.
    public var mountPort: Int?
    /// The exported path, from its leading slash. No assumption about its encoding.
    public var path: [UInt8]
    /// What protects calls on their way. With TLS the server's certificate must be for ``host``.
    public var security = TransportSecurity.none

    public init(
        host: String, port: Int? = nil, mountPort: Int? = nil, path: [UInt8],
        security: TransportSecurity = .none
    ) {
        self.host = host
        self.port = port
        self.mountPort = mountPort
        self.path = path
        self.security = security
    }

    /// The most bytes in a path (MNTPATHLEN, RFC 1813 §5.1.1).
    public static let pathSizeMaximum = 1024

    /// - Throws: ``NFSClientError/Code/badURL`` that says which part is wrong.
    public init(_ string: String) throws(NFSClientError) {
        func bad(_ reason: String) -> NFSClientError {
            NFSClientError(
                .badURL,
                "\"\(string)\" is no NFS URL: \(reason). "
                    + "Write nfs://host[:port]/export[?mountport=N&xprtsec=mtls]")
        }
        func parsePort(_ text: Substring, _ name: String) throws(NFSClientError) -> Int {
            guard text.utf8.allSatisfy({ (48...57).contains($0) }), let port = Int(text),
                (1...65535).contains(port)
            else { throw bad("the \(name) \"\(text)\" is not in 1...65535") }
            return port
        }

        guard string.lowercased().hasPrefix("nfs://") else {
            throw bad("it does not start with nfs://")
        }
        guard !string.contains("#") else { throw bad("a # must be written %23") }
        var rest = string.dropFirst("nfs://".count)

        if let query = rest.firstIndex(of: "?") {
            let options = rest[rest.index(after: query)...]
            rest = rest[..<query]
            var names: Set<Substring> = []
            for option in options.split(separator: "&", omittingEmptySubsequences: false) {
                let parts = option.split(
                    separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, names.insert(parts[0]).inserted else {
                    throw bad("the option \"\(option)\" is unknown or given twice")
                }
                switch parts[0] {
                case "mountport": mountPort = try parsePort(parts[1], "mount port")
                case "xprtsec":
                    guard let security = TransportSecurity(rawValue: String(parts[1])) else {
                        throw bad("xprtsec is \"\(parts[1])\", and must be none, tls or mtls")
                    }
                    self.security = security
                default: throw bad("the option \"\(option)\" is unknown or given twice")
                }
            }
        }

        guard let slash = rest.firstIndex(of: "/") else { throw bad("it names no export") }
        guard let path = Self.percentDecoded(rest[slash...]) else {
            throw bad("a % in its path is not followed by two hexadecimal digits")
        }
        guard !path.contains(0) else { throw bad("its path has a NUL byte") }
        guard path.count <= Self.pathSizeMaximum else {
            throw bad("its path has more than \(Self.pathSizeMaximum) bytes")
        }
        self.path = path

        let authority = rest[..<slash]
        guard !authority.contains("@") else { throw bad("a user name has no meaning here") }
        var portText: Substring?
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else {
                throw bad("the [ of its address is not closed")
            }
            let literal = authority[authority.index(after: authority.startIndex)..<end]
            guard literal.contains(":") else { throw bad("[\(literal)] is no IPv6 address") }
            host = String(literal)
            let behind = authority[authority.index(after: end)...]
            if !behind.isEmpty {
                guard behind.hasPrefix(":") else { throw bad("\"\(behind)\" follows its address") }
                portText = behind.dropFirst()
            }
        } else {
            let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { throw bad("an IPv6 address needs brackets") }
            host = parts.first.map(String.init) ?? ""
            if parts.count == 2 { portText = parts[1] }
        }
        guard !host.isEmpty else { throw bad("it names no host") }
        if let portText { port = try parsePort(portText, "port") }
    }

    /// - Returns: nil when a `%` is not followed by two hexadecimal digits.
    private static func percentDecoded(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexadecimalDigit),
                let low = rest.popFirst().flatMap(hexadecimalDigit)
            else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexadecimalDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension NFSURL: CustomStringConvertible {
    /// The URL, such that parsing it gives the same value.
    public var description: String {
        var text = "nfs://" + (host.contains(":") ? "[\(host)]" : host)
        if let port { text += ":\(port)" }
        let digits = Array("0123456789ABCDEF".unicodeScalars)
        for byte in path {
            if Self.isPlain(byte) {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "%"
                text.unicodeScalars.append(digits[Int(byte >> 4)])
                text.unicodeScalars.append(digits[Int(byte & 15)])
            }
        }
        let options = [
            mountPort.map { "mountport=\($0)" },
            security == .none ? nil : "xprtsec=\(security.rawValue)",
        ].compactMap(\.self)
        if !options.isEmpty { text += "?" + options.joined(separator: "&") }
        return text
    }

    /// The unreserved characters of RFC 3986 §2.3 and the slash.
    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "/"):
            true
        default: false
        }
    }
}

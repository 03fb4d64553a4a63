/// What dnsmasq says in its log about a machine that boots.
public enum BootEvent: Sendable, Hashable {
    /// A machine has an address now.
    /// - Parameter mac: `52:54:00:12:34:56`.
    /// - Parameter hostname: what it calls itself; letters, digits and `._-` only, 253 at most.
    case leased(mac: String, address: String, hostname: String?)
    /// A machine has a file now, by TFTP. `file` is its path below the TFTP root.
    case sent(file: String, address: String)
    /// A machine asked by TFTP for a file that there is none of, or went away while it was sent.
    case failed(file: String, address: String)

    /// Reads a line of dnsmasq's log; nil for one that is about something else.
    ///
    /// Names in it may come from anyone on the network. They are cut, and have nothing in them that a terminal
    /// would act on; whatever they contain, the address is the one that dnsmasq put behind them.
    /// - Parameter tftpRoot: taken away from the beginning of paths.
    public init?(_ line: String, tftpRoot: String) {
        guard let colon = line.firstRange(of: ": "), line.hasPrefix("dnsmasq") else { return nil }
        let text = line[colon.upperBound...]
        if text.hasPrefix("DHCPACK(") {
            let words = text.split(separator: " ", omittingEmptySubsequences: false)
            guard (3...4).contains(words.count), let address = IPv4Address(String(words[1])),
                Self.isHardwareAddress(words[2])
            else { return nil }
            self = .leased(
                mac: String(words[2]), address: address.description,
                hostname: words.count == 4 ? Self.hostname(words[3]) : nil)
            return
        }
        let forms = [
            (prefix: "sent ", middle: " to ", isFailure: false),
            (prefix: "failed sending ", middle: " to ", isFailure: true),
            (prefix: "file ", middle: " not found for ", isFailure: true),
        ]
        for form in forms where text.hasPrefix(form.prefix) {
            // The last one: a file can be called anything.
            guard let middle = text.ranges(of: form.middle).last,
                let address = IPv4Address(String(text[middle.upperBound...]))
            else { return nil }
            let name = text[..<middle.lowerBound].dropFirst(form.prefix.count)
            let file = Self.file(name, below: tftpRoot)
            self =
                form.isFailure
                ? .failed(file: file, address: address.description)
                : .sent(file: file, address: address.description)
            return
        }
        return nil
    }

    private static func file(_ path: Substring, below root: String) -> String {
        let root = root.hasSuffix("/") ? root : root + "/"
        let name = path.hasPrefix(root) ? path.dropFirst(root.count) : path
        return String(
            String.UnicodeScalarView(
                name.unicodeScalars.prefix(255).map { (" "..."~").contains($0) ? $0 : "?" }))
    }

    private static func isHardwareAddress(_ text: Substring) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 6
            && parts.allSatisfy {
                $0.utf8.count == 2 && $0.allSatisfy { $0.isASCII && $0.isHexDigit }
            }
    }

    private static func hostname(_ text: Substring) -> String? {
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.isASCII
                && ($0.properties.isAlphabetic || ("0"..."9").contains($0)
                    || "._-".unicodeScalars.contains($0))
        }
        return isPlain && (1...253).contains(text.utf8.count) ? String(text) : nil
    }
}

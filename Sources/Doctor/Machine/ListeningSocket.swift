import Glibc
import ROWProxy

/// A socket that others can send to, from the kernel's tables.
struct ListeningSocket: Hashable {
    enum Transport: String, CaseIterable {
        case tcp, udp

        /// Of a socket that listens, in the column `st`.
        fileprivate var state: String { self == .tcp ? "0A" : "07" }
    }

    let transport: Transport
    /// As a number.
    let host: String
    let port: Int
    let inode: UInt64

    private static let everywhere: Set<String> = ["0.0.0.0", "::"]

    /// Whether nobody else can have that address. A name may be any.
    func isInTheWay(of address: ListenAddress) -> Bool {
        guard port == address.port else { return false }
        guard let wanted = address.host, IPAddressText.isOne(wanted) else { return true }
        return wanted == host || !Self.everywhere.isDisjoint(with: [wanted, host])
    }

    /// Those of /proc/net/{tcp,udp}{,6}.
    static func all(_ surroundings: Surroundings) -> [ListeningSocket] {
        Transport.allCases.flatMap { transport in
            ["", "6"].flatMap { version in
                let text = surroundings.text(
                    "\(surroundings.proc)/net/\(transport.rawValue)\(version)")
                return (text ?? "").split(separator: "\n").dropFirst().compactMap {
                    ListeningSocket(line: $0, transport)
                }
            }
        }
    }

    /// `N: ADDRESS:PORT ADDRESS:PORT STATE QUEUES TIMER RETRANSMISSIONS USER TIMEOUT INODE …`
    init?(line: Substring, _ transport: Transport) {
        let words = line.split(separator: " ")
        guard words.count > 9, words[3] == transport.state, let inode = UInt64(words[9]) else {
            return nil
        }
        let parts = words[1].split(separator: ":")
        guard parts.count == 2, let port = Int(parts[1], radix: 16),
            let host = Self.host(parts[0])
        else { return nil }
        self.transport = transport
        self.host = host
        self.port = port
        self.inode = inode
    }

    /// Words of 32 bits, each as a number of this machine.
    private static func host(_ digits: Substring) -> String? {
        guard digits.count == 8 || digits.count == 32 else { return nil }
        var rest = digits
        var bytes: [UInt8] = []
        while !rest.isEmpty {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            withUnsafeBytes(of: word) { bytes += $0 }
            rest = rest.dropFirst(8)
        }
        return IPAddressText.of(bytes)
    }
}

/// Addresses as people write them.
enum IPAddressText {
    /// - Parameter bytes: 4 or 16.
    static func of(_ bytes: [UInt8]) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return nil }
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func isOne(_ text: String) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16)
        return [AF_INET, AF_INET6].contains { inet_pton($0, text, &bytes) == 1 }
    }
}

import Foundation

/// A network interface that is up, by what it carries.
struct NetworkLink: Hashable {
    let name: String
    /// The bytes of its largest packet.
    let mtu: Int
    /// WireGuard, nebula and others that put packets into packets.
    let isTunnel: Bool

    /// Those of /sys/class/net.
    static func all(_ surroundings: Surroundings) -> [NetworkLink] {
        let folder = "\(surroundings.sys)/class/net"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { name in
            func value(_ file: String) -> String? {
                surroundings.text("\(folder)/\(name)/\(file)")?
                    .trimmingCharacters(in: .whitespacesAndNewlines)
            }
            guard let mtu = value("mtu").flatMap(Int.init),
                let flags = value("flags").flatMap({ Int($0.dropFirst(2), radix: 16) }),
                flags & 1 != 0
            else { return nil }
            let kind = value("uevent") ?? ""
            return NetworkLink(
                name: name, mtu: mtu,
                isTunnel: kind.contains("DEVTYPE=wireguard") || carriesPackets(value("tun_flags")))
        }
    }

    /// As the interfaces of nebula do, and not those of virtual machines (IFF_TUN, not IFF_TAP).
    private static func carriesPackets(_ flags: String?) -> Bool {
        flags.flatMap { Int($0.dropFirst(2), radix: 16) }.map { $0 & 1 != 0 } ?? false
    }

    /// The interface that everything else goes through, from /proc/net/route.
    static func nameOfDefault(_ surroundings: Surroundings) -> String? {
        let table = surroundings.text("\(surroundings.proc)/net/route") ?? ""
        for line in table.split(separator: "\n").dropFirst() {
            let words = line.split(whereSeparator: \.isWhitespace)
            let isDefault = words.count > 7 && words[1] == "00000000" && words[7] == "00000000"
            if isDefault { return String(words[0]) }
        }
        return nil
    }
}

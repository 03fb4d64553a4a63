import Foundation

/// The machines on the networks that this one is on, as the kernel knows them (`/proc/net/arp`).
enum Neighbours {
    /// The address of the network card that answers for an IP address, such as `52:54:00:12:34:56`; nil for
    /// one that is reached through a router, or by version 6 of IP.
    static func card(of address: IPAddress) -> String? {
        guard address.isVersion4,
            let table = try? KernelFile.text("/proc/net/arp")
        else { return nil }
        return card(of: address, in: table)
    }

    /// - Parameter table: the text of `/proc/net/arp`.
    static func card(of address: IPAddress, in table: String) -> String? {
        for line in table.split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            // Address, type of the card (1: Ethernet), flags (2: answered), address of the card.
            guard fields.count >= 4, IPAddress(String(fields[0])) == address, fields[1] == "0x1",
                let flags = UInt8(fields[2].dropFirst(2), radix: 16), flags & 2 != 0
            else { continue }
            return MachineIdentity.card(String(fields[3]))
        }
        return nil
    }
}

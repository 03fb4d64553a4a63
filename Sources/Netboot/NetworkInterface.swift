internal import Glibc

/// A network interface of this machine, by what booting others over it needs to know.
public struct NetworkInterface: Sendable, Hashable {
    public let name: String
    /// Its first IPv4 address.
    public let address: String
    /// Bits of the address that name the network, 0...32.
    public let prefixLength: Int
    /// Whether it is switched on (IFF_UP); a cable need not be in.
    public let isUp: Bool
    /// The /64 of its first unique local IPv6 address (`fd77::`, RFC 4193), where it has one: a router can be
    /// announced for that without touching what the network does with public addresses.
    public let uniqueLocalPrefix: String?

    /// Finds an interface of this machine (getifaddrs(3)).
    /// - Throws: ``NetbootError``: `noInterface` names those that there are, `noAddress`.
    public static func find(_ name: String) throws(NetbootError) -> NetworkInterface {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else {
            throw NetbootError(
                .io, "cannot list the network interfaces: \(String(cString: strerror(errno)))")
        }
        defer { freeifaddrs(first) }
        let entries = sequence(first: first, next: { $0?.pointee.ifa_next }).compactMap(\.self)
            .map(\.pointee)
        let own = entries.filter { String(cString: $0.ifa_name) == name }
        guard let any = own.first else {
            let names = Set(entries.map { String(cString: $0.ifa_name) }).sorted()
            throw NetbootError(
                .noInterface,
                "there is no network interface '\(name)'; there are: "
                    + names.joined(separator: ", "))
        }
        guard let address = own.lazy.compactMap({ version4($0.ifa_addr) }).first,
            let mask = own.lazy.filter({ version4($0.ifa_addr) != nil })
                .compactMap({ version4($0.ifa_netmask) }).first
        else {
            throw NetbootError(
                .noAddress,
                "the interface '\(name)' has no IPv4 address, and machines are booted by one: give it one, "
                    + "such as 'ip address add 10.77.2.1/24 dev \(name)'")
        }
        return NetworkInterface(
            name: name, address: address.description,
            prefixLength: mask.number.nonzeroBitCount,
            isUp: any.ifa_flags & UInt32(IFF_UP) != 0,
            uniqueLocalPrefix: own.lazy.compactMap { uniqueLocalPrefix($0.ifa_addr) }.first)
    }

    private static func version4(_ address: UnsafeMutablePointer<sockaddr>?) -> IPv4Address? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET) else { return nil }
        // After the family and the port (struct sockaddr_in).
        let bytes = UnsafeRawPointer(address).loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        return IPv4Address(number: UInt32(bigEndian: bytes))
    }

    private static func uniqueLocalPrefix(_ address: UnsafeMutablePointer<sockaddr>?) -> String? {
        guard let address, address.pointee.sa_family == sa_family_t(AF_INET6) else { return nil }
        // After the family, the port and the flow (struct sockaddr_in6). All but the first 64 bits are 0.
        let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(address) + 8, count: 8)
        let number = Array(bytes) + [UInt8](repeating: 0, count: 8)
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard number[0] & 0xfe == 0xfc,
            inet_ntop(AF_INET6, number, &text, socklen_t(text.count)) != nil
        else { return nil }
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

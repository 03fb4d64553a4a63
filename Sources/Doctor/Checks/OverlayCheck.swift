import NFSClient

/// Whether packets fit the networks that they go through.
enum OverlayCheck {
    /// What IPv6 needs.
    private static let mtuMinimum = 1280
    /// What WireGuard and nebula put around a packet over IPv4, and WireGuard over IPv6.
    private static let overheadMinimum = 60
    private static let overhead = 80

    static func findings(_ plan: Plan, _ surroundings: Surroundings) async -> [Finding] {
        let hosts = Set(plan.images.flatMap(\.servers).map(\.host))
        let used = await withTaskGroup(of: String?.self) { group in
            for host in hosts {
                group.addTask { await interface(to: host, surroundings) }
            }
            return await group.reduce(into: Set<String>()) { if let name = $1 { $0.insert(name) } }
        }
        return findings(
            NetworkLink.all(surroundings), used: used,
            nameOfDefault: NetworkLink.nameOfDefault(surroundings))
    }

    private static func interface(
        to host: String, _ surroundings: Surroundings
    ) async -> String? {
        let addresses = await within(surroundings.patience) { await Addresses.of(host) }
        guard case .success(let all)? = addresses else { return nil }
        return all.first.flatMap(Addresses.local).flatMap(Addresses.interface)
    }

    /// - Parameter used: the interfaces that servers are reached by.
    static func findings(
        _ links: [NetworkLink], used: Set<String>, nameOfDefault: String?
    ) -> [Finding] {
        let below = links.first { $0.name == nameOfDefault }
        return links.filter { $0.isTunnel || used.contains($0.name) }.map { link in
            if link.mtu < mtuMinimum {
                return .warning(
                    .overlay, link.name, "its packets have at most \(link.mtu) bytes",
                    because: "IPv6 does not work through it, and each packet carries little",
                    remedy: "ip link set dev \(link.name) mtu \(mtuMinimum)")
            }
            guard link.isTunnel, let below, below != link,
                link.mtu + overheadMinimum > below.mtu
            else {
                return .fine(.overlay, link.name, "its packets have \(link.mtu) bytes")
            }
            return .warning(
                .overlay, link.name,
                "its packets of \(link.mtu) bytes do not fit those of \(below.name), of \(below.mtu)",
                because:
                    "large packets are cut in pieces, or lost where that is not allowed: reads hang",
                remedy:
                    "ip link set dev \(link.name) mtu \(below.mtu - overhead), and in its settings")
        }
    }
}

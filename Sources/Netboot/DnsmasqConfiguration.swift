/// The configuration of a dnsmasq that boots machines: DHCP, or what to boot for those who get their address
/// from another DHCP server, and TFTP.
public struct DnsmasqConfiguration: Sendable, Hashable {
    /// What goes into the file.
    public let text: String

    public init(_ settings: BootSettings) {
        let parts = [
            Self.common(settings), Self.clients, Self.addresses(settings), Self.loaders(settings),
            Self.router(settings), Self.files(settings),
        ]
        text = parts.joined().map { $0 + "\n" }.joined()
    }

    private static func common(_ settings: BootSettings) -> [String] {
        [
            "# No DNS, and nothing of what this machine knows about names.",
            "port=0",
            "no-hosts",
            "no-resolv",
            "interface=\(settings.interface)",
            "except-interface=lo",
            "bind-interfaces",
            // It stays what it is: to become another group would undo that it ends with its parent.
            "user=root",
            "group=root",
            "log-facility=-",
        ]
    }

    /// Which firmware asks: iPXE by its own option, others by their architecture (RFC 4578, and IANA's list).
    private static let clients = [
        "dhcp-match=set:ipxe,175",
        "dhcp-match=set:bios,option:client-arch,0",
        "dhcp-match=set:efi,option:client-arch,7",
        "dhcp-match=set:efi,option:client-arch,9",
        "dhcp-match=set:http,option:client-arch,16",
    ]

    private static func addresses(_ settings: BootSettings) -> [String] {
        let own = IPv4Address(settings.address)?.network(settings.prefixLength).description ?? ""
        let mask = IPv4Address.mask(settings.prefixLength)
        switch settings.addresses {
        case .proxyDHCP: return ["dhcp-range=\(own),proxy,\(mask)"]
        case .range(let first, let last, let leaseSeconds):
            let count =
                (IPv4Address(last)?.number ?? 0) - (IPv4Address(first)?.number ?? 0) + 1
            return [
                "dhcp-range=\(first),\(last),\(mask),\(leaseSeconds)",
                "dhcp-lease-max=\(count)",
                "dhcp-authoritative",
                "no-ping",
            ]
        }
    }

    /// What each firmware is told to fetch: iPXE the script, others an iPXE that they understand.
    private static func loaders(_ settings: BootSettings) -> [String] {
        let server = ",,\(settings.address)"
        let common = [
            // iPXE need not wait for another server's offer.
            "dhcp-option=tag:ipxe,encap:175,176,1b",
            "dhcp-boot=tag:ipxe,\(LoaderFiles.script)\(server)",
            "dhcp-boot=tag:!ipxe,tag:http,http://\(settings.address):\(settings.httpPort)/"
                + LoaderFiles.efi,
            "dhcp-option-force=tag:http,60,HTTPClient",
        ]
        switch settings.addresses {
        case .range:
            return common + [
                "dhcp-boot=tag:!ipxe,tag:bios,\(LoaderFiles.bios)\(server)",
                "dhcp-boot=tag:!ipxe,tag:efi,\(LoaderFiles.efi)\(server)",
            ]
        case .proxyDHCP:
            // Beside another server, firmware looks for the services of PXE.
            return common + [
                "dhcp-pxe-vendor=PXEClient,HTTPClient",
                "pxe-service=tag:!ipxe,0,\"network\",\(LoaderFiles.bios)",
                "pxe-service=tag:!ipxe,7,\"network\",\(LoaderFiles.efi)",
                "pxe-service=tag:!ipxe,9,\"network\",\(LoaderFiles.efi)",
            ]
        }
    }

    private static func router(_ settings: BootSettings) -> [String] {
        guard let prefix = settings.announcesRouter else { return [] }
        // A lifetime of 0: a router that is none.
        return [
            "enable-ra", "dhcp-range=\(prefix),ra-only", "ra-param=\(settings.interface),0,0",
        ]
    }

    private static func files(_ settings: BootSettings) -> [String] {
        [
            "enable-tftp", "tftp-root=\(settings.tftpRoot)",
            "dhcp-leasefile=\(settings.leaseFile)",
        ]
    }
}

internal import Glibc

/// What machines are booted from, and how. Whatever is in it may go into dnsmasq's configuration and into
/// iPXE's script: it has been checked when there is one.
public struct BootSettings: Sendable, Hashable {
    /// Who gives the machines their addresses.
    public enum Addresses: Sendable, Hashable {
        /// Our dnsmasq, from the first to the last of these; it must be the network's only DHCP server.
        case range(first: String, last: String, leaseSeconds: Int)
        /// The network's own DHCP server; ours only adds what to boot.
        case proxyDHCP
    }

    /// The network interface that the machines are behind.
    public let interface: String
    /// The proxy's IPv4 address there; NFS, HTTP and TFTP are on it.
    public let address: String
    /// Bits of the address that name the network, 1...30.
    public let prefixLength: Int
    /// The image: a machine's session of it is exported as `/boot/NAME`.
    public let image: String
    /// Path of the kernel in the image, without a slash at its beginning.
    public let kernel: String
    /// Path of the initial file system in the image, without a slash at its beginning.
    public let initrd: String
    /// Added to the kernel's command line; may use what iPXE knows, such as `${netX/mac}`.
    public let commandLine: String
    public let httpPort: Int
    public let addresses: Addresses
    /// The /64 in which dnsmasq says that there is no router (`fd77::`): iPXE asks for IPv6 too, and waits 13 s
    /// for one otherwise. The interface needs an address in it. nil says nothing.
    public let announcesRouter: String?
    /// The directory whose files go out by TFTP; everything in it is public.
    public let tftpRoot: String
    /// Where dnsmasq remembers which machine has which address.
    public let leaseFile: String
    /// Where Debian's package ipxe puts `undionly.kpxe` and `ipxe.efi`.
    public let loaderDirectory: String

    /// - Throws: ``NetbootError`` with code `invalidSetting`.
    public init(
        interface: String, address: String, prefixLength: Int, image: String,
        kernel: String = "boot/vmlinuz", initrd: String = "boot/initrd.img",
        commandLine: String = "", httpPort: Int = 80, addresses: Addresses,
        announcesRouter: String? = nil, tftpRoot: String, leaseFile: String,
        loaderDirectory: String = "/usr/lib/ipxe"
    ) throws(NetbootError) {
        self.interface = interface
        self.address = address
        self.prefixLength = prefixLength
        self.image = image
        self.kernel = kernel
        self.initrd = initrd
        self.commandLine = commandLine
        self.httpPort = httpPort
        self.addresses = addresses
        self.announcesRouter = announcesRouter
        self.tftpRoot = tftpRoot
        self.leaseFile = leaseFile
        self.loaderDirectory = loaderDirectory
        if let refusal = refusal { throw NetbootError(.invalidSetting, refusal) }
    }

    /// What is wrong with the settings, if anything.
    private var refusal: String? {
        refusalOfNames ?? refusalOfPaths ?? refusalOfCommandLine ?? refusalOfNetwork
    }

    private var refusalOfNames: String? {
        guard Self.isMade(of: "._-", interface), (1...15).contains(interface.utf8.count) else {
            return
                "'\(Self.shown(interface))' is not the name of a network interface: use letters, digits and "
                + "._- , 15 at most"
        }
        guard Self.isMade(of: "._-", image), (1...255).contains(image.utf8.count),
            image != ".", image != ".."
        else {
            return
                "'\(Self.shown(image))' cannot be the name of an image, which becomes part of paths and of the "
                + "kernel's command line: use letters, digits and ._-"
        }
        guard (1...65535).contains(httpPort) else {
            return "\(httpPort) is not a port: choose one of 1...65535"
        }
        return nil
    }

    private var refusalOfPaths: String? {
        for path in [kernel, initrd] {
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            guard Self.isMade(of: "._-+~/", path), path.utf8.count <= 255,
                parts.allSatisfy({ !["", ".", ".."].contains($0) })
            else {
                return
                    "'\(Self.shown(path))' cannot be fetched from the image: give a path in it without a slash "
                    + "at its beginning, of letters, digits and ._-+~, such as boot/vmlinuz"
            }
        }
        for path in [tftpRoot, leaseFile, loaderDirectory] {
            // What means something to dnsmasq besides being part of a path; its lines are at most 1024 long.
            guard path.hasPrefix("/"), path.utf8.count <= 900, !path.hasSuffix(" "),
                !path.unicodeScalars.contains(where: {
                    Self.isControl($0) || "\",#\\".contains(Character($0))
                })
            else {
                return
                    "the path '\(Self.shown(path))' cannot be given to dnsmasq: use an absolute one, without "
                    + "quotes, commas, backslashes or number signs"
            }
        }
        return nil
    }

    private var refusalOfCommandLine: String? {
        guard !commandLine.unicodeScalars.contains(where: Self.isControl) else {
            return
                "the kernel's command line must be one line, without tabs or other control characters"
        }
        guard commandLine.utf8.count <= 1500 else {
            return
                "the kernel's command line is longer than 1500 bytes: the kernel takes 2047, of which about 300 "
                + "are needed to name the root"
        }
        // iPXE would take what follows for another command, or for a comment.
        let word = commandLine.split(separator: " ").first {
            ["||", "&&", ";"].contains($0) || $0.hasPrefix("#")
        }
        guard let word else { return nil }
        return
            "the kernel's command line has the word '\(Self.shown(String(word)))', which ends a command of "
            + "iPXE: leave it out"
    }

    private var refusalOfNetwork: String? {
        guard let own = IPv4Address(address) else {
            return "'\(Self.shown(address))' is not an IPv4 address"
        }
        guard (1...30).contains(prefixLength) else {
            return
                "a network of prefix length \(prefixLength) has no room for machines: it must be 1...30"
        }
        if let prefix = announcesRouter {
            var number = [UInt8](repeating: 0, count: 16)
            guard inet_pton(AF_INET6, prefix, &number) == 1 else {
                return "'\(Self.shown(prefix))' is not an IPv6 prefix, such as fd77::"
            }
        }
        guard case .range(let first, let last, let leaseSeconds) = addresses else { return nil }
        guard let low = IPv4Address(first), let high = IPv4Address(last), low <= high else {
            return
                "'\(Self.shown(first))' to '\(Self.shown(last))' is not a range of IPv4 addresses: give the "
                + "lowest, then the highest"
        }
        let network = own.network(prefixLength)
        guard low > network, high < own.broadcast(prefixLength) else {
            return
                "the range \(low) to \(high) is not inside the interface's network "
                + "\(network)/\(prefixLength): machines would get addresses that do not work there"
        }
        guard !(low...high).contains(own) else {
            return
                "the range \(low) to \(high) has the proxy's own address \(own) in it: choose one beside it"
        }
        // dnsmasq makes two minutes of less, and forever of the largest number.
        guard (120...31_536_000).contains(leaseSeconds) else {
            return "a lease of \(leaseSeconds) s is not possible: it must be 120 s to a year"
        }
        return nil
    }

    private static func isMade(of others: String, _ text: String) -> Bool {
        text.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0))
                || others.unicodeScalars.contains($0)
        }
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        [.control, .lineSeparator, .paragraphSeparator].contains(scalar.properties.generalCategory)
    }

    /// A text for a message, whatever is in it.
    private static func shown(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(80).map { isControl($0) ? "?" : $0 }))
    }
}

import ArgumentParser
import Catalogue
import Foundation
import Glibc
import NFSClient
import NIOCore
import NIOPosix
import Netboot
import ROWProxy
import SystemPackage

struct NetbootVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "netboot",
        abstract: "Boot machines without disks from an image, in the foreground.",
        discussion: """
            Runs all that they need on a network: DHCP and TFTP (dnsmasq, which is watched over), HTTP, \
            and the proxy that serves their root file systems by NFS. Each machine gets a session of its \
            own, known by its network card, NAME-525400123456, and finds it again when it boots again. \
            `rowctl ls` shows the machines; `rowctl rm` takes one back to the image.

            Needs root, dnsmasq, and for firmware other than iPXE the package ipxe. The image needs a \
            kernel and an initial file system that mounts its root by NFS.
            """)

    @Option(help: MainOptions.imageHelp)
    var image: String

    @Option(help: "The network interface that the machines are behind.")
    var interface: String

    @Option(
        help: ArgumentHelp(
            "What the machines mount: /boot/NAME.",
            discussion: "Default: the last part of the image's path."))
    var name: String?

    @Option(
        help: ArgumentHelp(
            "Hand out these addresses: this must be the network's only DHCP server.",
            valueName: "first-last"))
    var range: String?

    @Option(help: ArgumentHelp("How long a machine may keep an address.", valueName: "seconds"))
    var lease = 3600

    @Option(
        name: .customLong("dns"),
        help: ArgumentHelp(
            "Tell machines of this name server; may be given more than once.", valueName: "address")
    )
    var nameServers: [String] = []

    @Flag(
        name: .customLong("proxy-dhcp"),
        help: "Only tell machines what to boot; another DHCP server gives them their addresses.")
    var isProxyDHCP = false

    @Flag(
        name: .customLong("no-dhcp"),
        help: ArgumentHelp(
            "Run no dnsmasq: your own DHCP server tells machines what to boot.",
            discussion: "Have it name http://ADDRESS:PORT/boot.ipxe to iPXE; see --print-config."))
    var isWithoutDHCP = false

    @Flag(
        name: .customLong("print-config"),
        help: "Print the configuration of dnsmasq and the script of iPXE, and end.")
    var printsConfiguration = false

    @Flag(
        help: ArgumentHelp(
            "Have machines find the image as it is whenever they boot.",
            discussion: "What they changed is thrown away then, and not before."))
    var ephemeral = false

    @Option(help: ArgumentHelp("How many machines may have sessions.", valueName: "count"))
    var machines = 256

    @Option(help: ArgumentHelp("The kernel's path in the image.", valueName: "path"))
    var kernel = "boot/vmlinuz"

    @Option(help: ArgumentHelp("The initial file system's path in the image.", valueName: "path"))
    var initrd = "boot/initrd.img"

    @Option(
        help: ArgumentHelp(
            "Add this to the kernel's command line; iPXE's settings may be used.",
            valueName: "text"))
    var append = ""

    @Option(help: ArgumentHelp("Where files are served by HTTP.", valueName: "port"))
    var httpPort = 8080

    @Flag(
        name: .customLong("no-ipv6-router"),
        help: ArgumentHelp(
            "Tell machines that there is no IPv6 router, which iPXE waits 13 s for.",
            discussion: "The interface needs an address of fd00::/8."))
    var announcesNoRouter = false

    @Option(
        help: ArgumentHelp(
            "What changes of machines survive.",
            discussion: "strict: a power failure; relaxed: the end of the process."))
    var durability = Proxy.Durability.strict

    @Option(
        help: ArgumentHelp(
            "Which machines may come in; may be given more than once. Default: the interface's network.",
            valueName: "address/bits"))
    var allow: [AddressRange] = []

    @Flag(help: "Register with this machine's port mapper (rpcbind), where one runs.")
    var register = false

    @OptionGroup var main: MainOptions

    @OptionGroup var cache: CacheOption

    @OptionGroup var profiles: ProfileOptions

    @OptionGroup var catalogue: CatalogueOptions

    @OptionGroup var status: StatusOption

    @OptionGroup var log: LogOptions

    @OptionGroup var state: StateOption

    func validate() throws {
        guard [range != nil, isProxyDHCP, isWithoutDHCP].count(where: \.self) == 1 else {
            throw ValidationError(
                "say who hands out addresses: --range FIRST-LAST (this machine alone), --proxy-dhcp (another "
                    + "server, beside which dnsmasq says what to boot), or --no-dhcp (another server, which "
                    + "says that, too)")
        }
        guard (1...1_000_000).contains(machines) else {
            throw ValidationError("--machines must be from 1 to 1000000")
        }
    }

    func run() async throws {
        try log.start()
        try await ApplianceImage.with(
            image, session: nil, catalogue: catalogue, state: state, run)
    }

    private func run(_ chosen: ApplianceImage.Chosen) async throws {
        let parsed = chosen.image
        let name = name ?? Self.name(of: parsed)
        let found = try NetworkInterface.find(interface)
        let folder = try state.absolute.path.appending("netboot").appending(name)
        let settings = try settings(found, name, folder)
        if printsConfiguration {
            printConfiguration(settings)
            return
        }
        guard found.isUp else {
            throw UsageError(
                description: "the interface \(interface) is down: ip link set \(interface) up")
        }
        var configuration = Proxy.Configuration(
            image: parsed, session: name, state: state.directory)
        configuration.manifestRoot = chosen.manifestRoot
        main.apply(to: &configuration)
        cache.apply(to: &configuration)
        configuration.durability = durability
        configuration.isReadOnly = true
        configuration.profile = profiles.profilePath
        configuration.host = found.address
        configuration.port = 2049
        // This machine's own address too: the files that firmware asks for are read over it.
        configuration.allow =
            [AddressRange(found.address)].compactMap(\.self)
            + (allow.isEmpty ? [found.range].compactMap(\.self) : allow)
        configuration.rootAccess = .keep
        configuration.registers = register
        if !register { configuration.portmap = Proxy.PortmapAddress() }
        var sessions = Proxy.MachineSettings(name: name)
        sessions.isEphemeral = ephemeral
        sessions.sessionsMaximum = machines
        sessions.record = profiles.recordPath
        configuration.machines = sessions
        try await NetbootServer.run(
            configuration, settings, runsDnsmasq: !isWithoutDHCP, runDirectory: folder,
            use: chosen.use, http: status.address)
    }

    /// The last part of the image's path, of what a name may have.
    private static func name(of image: Proxy.Image) -> String {
        let path: String =
            switch image {
            case .directory(let path): path.string
            case .servers(let urls): String(decoding: urls.first?.path ?? [], as: UTF8.self)
            case .appliance(let name, _):
                String(name.dropFirst(ApplianceReference.scheme.count).prefix { $0 != "@" })
            }
        let last = path.split(separator: "/").last.map(String.init) ?? ""
        let characters = last.map { character in
            character.isASCII
                && (character.isLetter || character.isNumber || "._".contains(character))
                ? character : "-"
        }
        let name = String(characters.drop { ".-".contains($0) }.prefix(24))
        return name.isEmpty ? "image" : name
    }

    private func settings(
        _ found: NetworkInterface, _ name: String, _ folder: FilePath
    ) throws -> BootSettings {
        var addresses = BootSettings.Addresses.proxyDHCP
        if let range {
            let ends = range.split(separator: "-", omittingEmptySubsequences: false).map(
                String.init)
            guard ends.count == 2 else {
                throw UsageError(
                    description:
                        "'\(range)' is not a range of addresses: write FIRST-LAST, such as "
                        + "10.77.2.50-10.77.2.99")
            }
            addresses = .range(first: ends[0], last: ends[1], leaseSeconds: lease)
        }
        if announcesNoRouter, found.uniqueLocalPrefix == nil {
            throw UsageError(
                description:
                    "--no-ipv6-router needs an address of fd00::/8 on \(interface): ip address "
                    + "add fd77::1/64 dev \(interface)")
        }
        do {
            return try BootSettings(
                interface: interface, address: found.address, prefixLength: found.prefixLength,
                image: name, kernel: kernel, initrd: initrd, commandLine: append,
                httpPort: httpPort, addresses: addresses,
                announcesRouter: announcesNoRouter ? found.uniqueLocalPrefix : nil,
                nameServers: nameServers,
                tftpRoot: folder.appending("tftp").string,
                leaseFile: folder.appending("leases").string)
        } catch {
            throw UsageError(description: error.message)
        }
    }

    private func printConfiguration(_ settings: BootSettings) {
        if !isWithoutDHCP {
            print("# dnsmasq:\n\(DnsmasqConfiguration(settings).text)")
        }
        print(
            """
            # Another DHCP server: next-server \(settings.address); the boot file of clients that send option
            # 175 (iPXE) is http://\(settings.address):\(settings.httpPort)/boot.ipxe, of other BIOS clients
            # undionly.kpxe and of other UEFI clients (architecture 7 or 9) ipxe.efi, by TFTP.

            # boot.ipxe:
            \(BootScript(settings).text)
            """)
    }
}

extension NetworkInterface {
    /// The network that it is on.
    fileprivate var range: AddressRange? {
        let mask = prefixLength == 0 ? 0 : UInt32.max << UInt32(32 - prefixLength)
        let parts = address.split(separator: ".").compactMap { UInt32($0) }
        let number = parts.reduce(0) { $0 << 8 | $1 } & mask
        let text = [24, 16, 8, 0].map { "\(number >> UInt32($0) & 255)" }.joined(separator: ".")
        return AddressRange("\(text)/\(prefixLength)")
    }
}

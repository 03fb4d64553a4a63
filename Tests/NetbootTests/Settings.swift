@testable import Netboot

/// Settings of a network that only tests have.
func settings(
    interface: String = "boot0", address: String = "10.77.3.1", prefixLength: Int = 24,
    image: String = "debian-12", kernel: String = "boot/vmlinuz",
    initrd: String = "boot/initrd.img",
    commandLine: String = "", httpPort: Int = 8080, addresses: BootSettings.Addresses? = nil,
    announcesRouter: String? = nil, tftpRoot: String = "/run/rowfs/tftp",
    leaseFile: String = "/run/rowfs/leases", loaderDirectory: String = "/usr/lib/ipxe"
) throws -> BootSettings {
    try BootSettings(
        interface: interface, address: address, prefixLength: prefixLength, image: image,
        kernel: kernel, initrd: initrd, commandLine: commandLine, httpPort: httpPort,
        addresses: addresses
            ?? .range(first: "10.77.3.50", last: "10.77.3.99", leaseSeconds: 3600),
        announcesRouter: announcesRouter, tftpRoot: tftpRoot, leaseFile: leaseFile,
        loaderDirectory: loaderDirectory)
}

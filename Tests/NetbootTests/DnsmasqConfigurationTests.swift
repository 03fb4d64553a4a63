import Foundation
import NIOCore
import ROWTestKit
import Testing

@testable import Netboot

@Suite struct DnsmasqConfigurationTests {
    @Test(arguments: [false, true], [nil, "fd77:3::"]) func dnsmasqUnderstandsIt(
        isProxy: Bool, router: String?
    ) async throws {
        let folder = try TemporaryDirectory()
        let text = DnsmasqConfiguration(
            try settings(
                addresses: isProxy ? .proxyDHCP : nil, announcesRouter: router,
                tftpRoot: folder.path, leaseFile: folder.path("leases of mine"))
        ).text
        #expect(!text.contains("authoritative") == isProxy)
        #expect(text.contains("enable-ra") == (router != nil))
        try await runTool("dnsmasq", ["--test", "--conf-file=\(folder.file("conf", text))"])
    }

    /// What a machine is told.
    private struct Offer: Decodable, Equatable {
        let file: String
        let server: String
        let vendor: String
    }

    @Test(arguments: [false, true]) func eachFirmwareIsToldWhatItUnderstands(
        isProxy: Bool
    ) async throws {
        let folder = try TemporaryDirectory()
        let network = try await NetworkNamespace()
        let settings = try settings(
            addresses: isProxy ? .proxyDHCP : nil, tftpRoot: folder.directory("tftp"),
            leaseFile: folder.path("leases"))
        let dnsmasq = try Dnsmasq(
            settings, runDirectory: folder.path("run"), launcher: network.launcher
        ) { _ in }
        try await dnsmasq.start()
        let program = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "Programs/dhcp-ask.py").path
        func ask(_ architecture: Int, _ vendor: String, _ more: String...) async throws -> Offer {
            let command =
                network.clientLauncher + ["env", "OWN_ADDRESS=10.77.3.9", "python3", program]
                + ["client0", "\(architecture)", vendor] + more
            let answer = try await runTool(command[0], Array(command.dropFirst()))
            return try JSONDecoder().decode(Offer.self, from: Data(answer.utf8))
        }
        let bios = try await ask(0, "PXEClient:Arch:00000:UNDI:002001")
        #expect(bios.file.hasPrefix("undionly.kpxe"))
        for architecture in [7, 9] {
            let efi = try await ask(architecture, "PXEClient:Arch:0000\(architecture):UNDI:003016")
            #expect(efi.file == "ipxe.efi" && efi.server == "10.77.3.1")
        }
        for architecture in [0, 7] {
            let ipxe = try await ask(architecture, "PXEClient:Arch:0000\(architecture)", "ipxe")
            #expect(ipxe.file == "boot.ipxe" && ipxe.server == "10.77.3.1")
        }
        let http = try await ask(16, "HTTPClient:Arch:00016:UNDI:003001")
        #expect(http.file == "http://10.77.3.1:8080/ipxe.efi" && http.vendor == "HTTPClient")
        await dnsmasq.stop()
    }
}

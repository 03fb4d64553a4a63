import Testing

@testable import Netboot

@Suite struct BootSettingsTests {
    private func expectRefusal(
        _ said: String, at location: SourceLocation = #_sourceLocation,
        _ make: () throws -> BootSettings
    ) {
        let error = #expect(throws: NetbootError.self, sourceLocation: location) {
            _ = try make()
        }
        #expect(error?.code == .invalidSetting, sourceLocation: location)
        #expect(error?.message.contains(said) == true, "\(error as Any)", sourceLocation: location)
        #expect(error?.message.contains("\n") == false, sourceLocation: location)
    }

    @Test func takesWhatPeopleUse() throws {
        _ = try settings(
            interface: "enp3s0.100", image: "Debian_12.5-x", kernel: "boot/vmlinuz-6.1.0-18-amd64",
            commandLine: "quiet mac=${netX/mac} console=ttyS0,115200 a=\"b c\" x=y#z",
            announcesRouter: "fd77::", tftpRoot: "/var/lib/some state/ü")
        _ = try settings(addresses: .proxyDHCP)
    }

    @Test(arguments: ["", "a b", "eth0\nport=53", "eth0,lo", "*", "a/b", "sixteen-letters-", "ü"])
    func refusesInterface(name: String) {
        expectRefusal("name of a network interface") { try settings(interface: name) }
    }

    @Test(arguments: ["", ".", "..", "a/b", "a b", "a\nboot", "a,rw", "${x}", "ü"])
    func refusesImage(name: String) {
        expectRefusal("name of an image") { try settings(image: name) }
    }

    @Test(arguments: [
        "", "/boot/vmlinuz", "boot/../etc/shadow", "boot//x", "a b", "a\n", "boot/", "${x}",
    ])
    func refusesKernelAndInitrd(path: String) {
        expectRefusal("cannot be fetched") { try settings(kernel: path) }
        expectRefusal("cannot be fetched") { try settings(initrd: path) }
    }

    @Test(arguments: [
        "relative", "/a\nport=53", "/a,b", "/a #b", "/a\"b", "/a\\b", "/a ", "/\u{2028}",
    ])
    func refusesPathForDnsmasq(path: String) {
        expectRefusal("cannot be given to dnsmasq") { try settings(tftpRoot: path) }
        expectRefusal("cannot be given to dnsmasq") { try settings(leaseFile: path) }
        expectRefusal("cannot be given to dnsmasq") { try settings(loaderDirectory: path) }
    }

    @Test func refusesCommandLineThatEndsTheCommand() {
        expectRefusal("one line") { try settings(commandLine: "quiet\nshell") }
        expectRefusal("one line") { try settings(commandLine: "quiet\r\nshell") }
        expectRefusal("one line") { try settings(commandLine: "quiet\tsplash") }
        for word in ["||", "&&", ";", "#comment"] {
            expectRefusal("ends a command") { try settings(commandLine: "quiet \(word) shell") }
        }
        expectRefusal("1500 bytes") {
            try settings(commandLine: String(repeating: "x", count: 1501))
        }
    }

    @Test func refusesRangesThatDoNotWork() {
        func range(_ first: String, _ last: String, _ seconds: Int = 3600) throws -> BootSettings {
            try settings(addresses: .range(first: first, last: last, leaseSeconds: seconds))
        }
        expectRefusal("not a range") { try range("10.77.3.99", "10.77.3.50") }
        expectRefusal("not a range") { try range("10.77.3.50,", "10.77.3.99") }
        expectRefusal("not inside") { try range("10.77.4.50", "10.77.4.99") }
        expectRefusal("not inside") { try range("10.77.3.0", "10.77.3.99") }
        expectRefusal("not inside") { try range("10.77.3.50", "10.77.3.255") }
        expectRefusal("own address") { try range("10.77.3.1", "10.77.3.99") }
        expectRefusal("lease") { try range("10.77.3.50", "10.77.3.99", 60) }
    }

    @Test func refusesOtherNumbers() {
        expectRefusal("not an IPv4 address") { try settings(address: "10.77.3.1\n") }
        expectRefusal("no room for machines") { try settings(prefixLength: 31) }
        expectRefusal("not a port") { try settings(httpPort: 0) }
        expectRefusal("IPv6 prefix") { try settings(announcesRouter: "fd77::,x") }
    }
}

import Testing

@testable import Netboot

@Suite struct BootEventTests {
    private func event(_ line: String) -> BootEvent? { BootEvent(line, tftpRoot: "/run/tftp") }

    @Test func readsLeases() {
        #expect(
            event("dnsmasq-dhcp: DHCPACK(br0) 10.77.2.50 52:54:00:12:34:56 node-1")
                == .leased(mac: "52:54:00:12:34:56", address: "10.77.2.50", hostname: "node-1"))
        #expect(
            event("dnsmasq-dhcp[3020]: DHCPACK(br0) 10.77.2.50 52:54:00:12:34:56 ")
                == .leased(mac: "52:54:00:12:34:56", address: "10.77.2.50", hostname: nil))
    }

    @Test func readsFiles() {
        #expect(
            event("dnsmasq-tftp: sent /run/tftp/boot.ipxe to 10.77.2.50")
                == .sent(file: "boot.ipxe", address: "10.77.2.50"))
        #expect(
            event("dnsmasq-tftp: file /run/tftp/x not found for 10.77.2.50")
                == .failed(file: "x", address: "10.77.2.50"))
        #expect(
            event("dnsmasq-tftp: failed sending /run/tftp/vmlinuz to 10.77.2.50")
                == .failed(file: "vmlinuz", address: "10.77.2.50"))
    }

    @Test func hostileNamesAreHarmless() {
        let lease = "dnsmasq-dhcp: DHCPACK(br0) 10.77.2.50 52:54:00:12:34:56 "
        for name in ["\u{1b}[2J", "ü", "", "a;b", String(repeating: "a", count: 254)] {
            #expect(
                event(lease + name)
                    == .leased(mac: "52:54:00:12:34:56", address: "10.77.2.50", hostname: nil))
        }
        #expect(
            event(
                "dnsmasq-tftp: file /run/tftp/a to 1.1.1.1 not found for 2.2.2.2 not found for 10.77.2.50"
            )
                == .failed(file: "a to 1.1.1.1 not found for 2.2.2.2", address: "10.77.2.50"))
        let long = "\u{1b}]0;\u{7}" + String(repeating: "é", count: 999)
        let shown = "?]0;?" + String(repeating: "?", count: 250)
        #expect(
            event("dnsmasq-tftp: sent \(long) to 10.77.2.50")
                == .sent(file: shown, address: "10.77.2.50"))
    }

    @Test(arguments: [
        "", "dnsmasq", "dnsmasq: started, version 2.90 DNS disabled", "sent x to 10.77.2.50",
        "dnsmasq-tftp: sent x to nowhere", "dnsmasq-tftp: sent x", "dnsmasq-dhcp: DHCPACK(br0)",
        "dnsmasq-dhcp: DHCPACK(br0) 10.77.2.50 52:54:00:12:34", "dnsmasq-dhcp: DHCPACK(br0) x y z",
        "dnsmasq-dhcp: DHCPACK(br0) 10.77.2.50 52:54:00:12:34:56 a b", "\u{0}: sent",
    ]) func leavesOtherLinesAlone(line: String) {
        #expect(event(line) == nil)
    }
}

import Testing

@testable import ROWProxy

@Suite struct AddressRangeTests {
    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.6", false),
        ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "::1", false),
        ("::/0", "203.0.113.9", false), ("::/0", "2001:db8::1", true),
        ("2001:db8::/33", "2001:db8:7fff::1", true), ("2001:db8::/33", "2001:db8:8000::1", false),
        ("2001:db8::1:0/112", "2001:db8::1:ffff", true),
        ("2001:db8::1:0/112", "2001:db8::2:0", false),
        // Version 4 through a socket of version 6.
        ("192.0.2.0/24", "::ffff:192.0.2.1", true), ("127.0.0.0/8", "::ffff:127.0.0.1", true),
    ])
    func aRangeHoldsWhatSharesItsPrefix(range: String, address: String, isInside: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try #require(IPAddress(address))) == isInside)
    }

    @Test(arguments: [
        "", "/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.1/24", "192.0.2/24", "host",
        "::/129", "192.0.2.0/24/24", "2001:db8::1/64",
    ])
    func whatIsNoRangeIsRefused(text: String) {
        #expect(AddressRange(text) == nil)
    }

    @Test(arguments: ["192.0.2.0/24", "10.1.2.3/32", "2001:db8::/32", "::1/128", "0.0.0.0/0"])
    func aRangeIsWrittenAsItIsRead(text: String) {
        #expect(AddressRange(text)?.description == text)
    }
}

import ROWProxy
import Testing

@Suite struct ListenAddressTests {
    @Test(arguments: [
        "2049", "0", "localhost:2049", "0.0.0.0:111", "[::1]:111", "[fe80::1%eth0]:65535",
    ])
    func isWrittenAsItWasRead(_ text: String) {
        #expect(ListenAddress(text)?.description == text)
    }

    @Test(arguments: [
        "", ":2049", "[]:111", "[[]]:111", "[[::1]]:111", "[::1:111", "::1]:111", "::1:111",
        "[localhost]:111",
        "[::1]", "localhost", "localhost:", "localhost:65536", "localhost:+1", "localhost:-1", "+1",
        "1 ",
    ])
    func whatIsNoAddressIsRefused(_ text: String) {
        #expect(ListenAddress(text) == nil)
    }
}

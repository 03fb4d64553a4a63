import Testing

@testable import Netboot

@Suite struct RequestPathTests {
    @Test(arguments: [
        ("/boot/vmlinuz", "boot/vmlinuz"), ("/a%20b", "a b"), ("/a%2Fb", "a/b"),
        ("/a?b=/../c", "a"),
        ("/%C3%BC", "ü"), ("/...", "..."), ("/a%25b", "a%b"),
    ]) func namesAFile(target: String, path: String) {
        #expect(RequestPath.path(of: target) == path)
    }

    @Test(arguments: [
        "", "/", "*", "boot", "http://a/b", "/../etc/shadow", "/a/../b", "/a/%2e%2E/b",
        "/a%2f..%2fb",
        "//etc", "/a/", "/a/./b", "/a%00b", "/%", "/%2", "/%zz", "/%FF", "/a%", "/%+1", "/?x",
        "/" + String(repeating: "a", count: 1024),
    ]) func namesNone(target: String) {
        #expect(RequestPath.path(of: target) == nil)
    }
}

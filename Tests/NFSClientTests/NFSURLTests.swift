import NFSClient
import Testing

@Suite struct NFSURLTests {
    @Test(arguments: [
        (
            "nfs://server/export",
            NFSURL(host: "server", path: Array("/export".utf8))
        ),
        (
            "nfs://10.0.0.1:2050/a/b?mountport=635",
            NFSURL(host: "10.0.0.1", port: 2050, mountPort: 635, path: Array("/a/b".utf8))
        ),
        (
            "nfs://[fe80::1]:2049/x",
            NFSURL(host: "fe80::1", port: 2049, path: Array("/x".utf8))
        ),
        (
            "nfs://host/x?xprtsec=mtls",
            NFSURL(host: "host", path: Array("/x".utf8), security: .mutual)
        ),
        (
            "nfs://host/x?xprtsec=tls&mountport=635",
            NFSURL(host: "host", mountPort: 635, path: Array("/x".utf8), security: .tls)
        ),
        ("nfs://host/x?xprtsec=none", NFSURL(host: "host", path: Array("/x".utf8))),
        ("nfs://[::1]/", NFSURL(host: "::1", path: Array("/".utf8))),
        (
            "NFS://host/%00x".replacing("%00", with: "%FF"),
            NFSURL(host: "host", path: [47, 255, 120])
        ),
        (
            "nfs://host/with%20space%3f%23%25",
            NFSURL(host: "host", path: Array("/with space?#%".utf8))
        ),
    ])
    func parsesAndWritesItBack(text: String, expected: NFSURL) throws {
        let url = try NFSURL(text)
        #expect(url == expected)
        #expect(try NFSURL(url.description) == expected)
    }

    @Test(arguments: [
        ("http://host/export", "nfs://"),
        ("nfs:/host/export", "nfs://"),
        ("nfs://host", "names no export"),
        ("nfs:///export", "names no host"),
        ("nfs://:2049/export", "names no host"),
        ("nfs://host:/export", "not in 1...65535"),
        ("nfs://host:0/export", "not in 1...65535"),
        ("nfs://host:65536/export", "not in 1...65535"),
        ("nfs://host:-1/export", "not in 1...65535"),
        ("nfs://host:+1/export", "not in 1...65535"),
        ("nfs://host:99999999999999999999/export", "not in 1...65535"),
        ("nfs://::1/export", "needs brackets"),
        ("nfs://[::1/export", "not closed"),
        ("nfs://[host]/export", "no IPv6 address"),
        ("nfs://[::1]x/export", "follows its address"),
        ("nfs://user@host/export", "user name"),
        ("nfs://host/a%2", "hexadecimal"),
        ("nfs://host/a%zz", "hexadecimal"),
        ("nfs://host/a%00b", "NUL"),
        ("nfs://host/a#b", "%23"),
        ("nfs://host/a?port=3", "unknown"),
        ("nfs://host/a?mountport", "unknown"),
        ("nfs://host/a?mountport=0", "mount port"),
        ("nfs://host/a?mountport=1&mountport=2", "twice"),
        ("nfs://host/a?xprtsec=tls&xprtsec=none", "twice"),
        ("nfs://host/a?xprtsec=ssl", "none, tls or mtls"),
        ("nfs://host/" + String(repeating: "x", count: 1024), "1024 bytes"),
    ])
    func saysWhatIsWrong(text: String, reason: String) throws {
        let error = try #require(throws: NFSClientError.self) { try NFSURL(text) }
        #expect(error.code == .badURL)
        #expect(error.context.contains(reason), "\(error.context)")
        #expect(error.context.contains("nfs://host[:port]/export[?mountport=N&xprtsec=mtls]"))
    }

    @Test func aPathOf1024BytesIsTaken() throws {
        let path = "/" + String(repeating: "x", count: 1023)
        #expect(try NFSURL("nfs://host" + path).path.count == 1024)
    }
}

import NFSClient
import ROWProxy
import Testing

/// How the servers of an image are written.
@Suite struct ImageServersTests {
    private func servers(_ text: String) throws -> [String] {
        guard case .servers(let urls) = try Proxy.Image.servers(parsing: text) else { return [] }
        return urls.map(\.description)
    }

    private func complaint(_ text: String) -> String? {
        do {
            _ = try Proxy.Image.servers(parsing: text)
            return nil
        } catch {
            return "\(error)"
        }
    }

    @Test func oneAndSeveralAreRead() throws {
        #expect(try servers("nfs://a/x") == ["nfs://a/x"])
        #expect(
            try servers("nfs://a/x,nfs://b:99/y?mountport=7") == [
                "nfs://a/x", "nfs://b:99/y?mountport=7",
            ])
        #expect(try servers("nfs://a/x%2Cy,nfs://[::1]/z") == ["nfs://a/x%2Cy", "nfs://[::1]/z"])
    }

    @Test func theFirstNamesTheImage() throws {
        let alone = try Proxy.Image.servers(parsing: "nfs://a/x?mountport=3")
        let two = try Proxy.Image.servers(parsing: "nfs://a/x,nfs://b/x")
        #expect(alone.canonicalName == two.canonicalName)
        let other = try Proxy.Image.servers(parsing: "nfs://b/x,nfs://a/x")
        #expect(other.canonicalName != two.canonicalName)
    }

    @Test func whatCannotBeMeantIsNamed() throws {
        for text in ["nfs://a/x,", ",nfs://a/x", "nfs://a/x,,nfs://b/x", "nfs://a/x,y"] {
            let message = try #require(complaint(text), "\(text)")
            #expect(message.contains("%2C"), "\(message)")
        }
        #expect(try #require(complaint("nfs://a/x,/local")).contains("/local"))
        #expect(try #require(complaint("nfs://a/x,nfs://b")).contains("names no export"))
        #expect(try #require(complaint("http://a/x")).contains("nfs://"))
        #expect(try #require(complaint("nfs://a/x,nfs://a/x")).contains("twice"))
        // However it is reached, it is one server.
        #expect(try #require(complaint("nfs://a/x,nfs://a/x?mountport=9")).contains("twice"))
    }
}

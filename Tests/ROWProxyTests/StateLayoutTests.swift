import ROWCore
import SystemPackage
import Testing

@testable import ROWProxy

/// The proxy and programs that import ROWCore find each other's images and sessions.
@Suite struct StateLayoutTests {
    private let directory = StateDirectory(FilePath("/state"))
    private let layout = StateLayout(FilePath("/state"))

    @Test(arguments: [
        "/", "/srv/image", "nfs://host:2049/export", "nfs://[::1]/a%20b",
        String(repeating: "/long", count: 100), "/ünï",
    ])
    func bothKeepAnImageInTheSamePlace(source: String) {
        #expect(directory.image(source) == layout.image(source))
    }

    @Test(arguments: [
        "a", "A-1_b.c", "", ".a", "-a", "a/b", "ä", "a b", String(repeating: "x", count: 64),
        String(repeating: "x", count: 65),
    ])
    func bothTakeTheSameNamesForSessions(name: String) {
        #expect(directory.session(name) == layout.session(name))
        #expect(
            isRefused { try StateDirectory.checkSessionName(name) }
                == isRefused { try StateLayout.check(sessionName: name) })
    }

    private func isRefused(_ check: () throws -> Void) -> Bool {
        do { try check() } catch { return true }
        return false
    }
}

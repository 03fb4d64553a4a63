import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// Sparse files on an NFS server that others wrote. Needs root.
@Suite(.serialized) struct ShadowServerGaneshaTests {
    private func files(in directory: String) throws -> [String] {
        let files = FileManager.default
        return try files.subpathsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".") }
            .sorted()
    }

    @Test func whatIsWrittenIsOnTheServerAndThereAfterARestart() async throws {
        let folder = try TemporaryDirectory("rowfs-shadow")
        let server = try await Ganesha.start(directory: folder.path, readOnly: false)
        var served = try await Served.directory { $0.shadow = try? NFSURL(server.export.url) }
        let new = try await served.create("new", "what is new\n")
        let hello = try await served.handle("hello")
        let written = try await served.client.write(
            hello, offset: 7, data: ByteBuffer(string: "ganesha"), stable: .unstable
        ).success
        #expect(written.committed == .unstable)
        let committed = try await served.client.commit(hello, offset: 0, count: 0).success
        #expect(committed.verifier == written.verifier)
        #expect(try await served.text(of: hello) == "hello, ganesha")

        let there = try files(in: folder.path)
        #expect(there.count == 3 && there.dropFirst().allSatisfy { $0.hasSuffix(".0") }, "\(there)")
        let directory =
            try FileManager.default.attributesOfItem(
                atPath: folder.path(there[0]))[.posixPermissions] as? Int
        #expect(directory == 0o700)
        let mode =
            try FileManager.default.attributesOfItem(
                atPath: folder.path(there[1]))[.posixPermissions] as? Int
        #expect(mode == 0o600)
        let local = served.folder.path("state/sessions/s/shadow")
        #expect(try FileManager.default.contentsOfDirectory(atPath: local) == [])

        served = try await served.restarted()
        #expect(try await served.text(of: new) == "what is new\n")
        #expect(try await served.text(of: hello) == "hello, ganesha")
        try await served.stop()
        try await server.stop()
    }
}

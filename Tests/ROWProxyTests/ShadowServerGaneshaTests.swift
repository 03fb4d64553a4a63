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

    @Test func aServerKilledBetweenWriteAndCommitHasTheClientSendAgain() async throws {
        let folder = try TemporaryDirectory("rowfs-shadow")
        let server = try await Ganesha.start(directory: folder.path, readOnly: false)
        var served = try await Served.directory { $0.shadow = try? NFSURL(server.export.url) }
        let file = try await served.create("new", "what is old\n")
        let data = ByteBuffer(string: "what is new\n")
        let written = try await served.client.write(
            file, offset: 0, data: data, stable: .unstable
        ).success
        try await server.kill()
        // Its write verifier is the second in which it began.
        let second = time(nil)
        try await poll(for: "next second", within: .seconds(10)) { time(nil) > second ? () : nil }
        try await server.restart()
        // The answer tells that something was lost, or the verifier does.
        let verifier = try await poll(for: "COMMIT", within: .seconds(30)) {
            let result = try await served.client.commit(file, offset: 0, count: 0)
            return result.status == .jukebox ? nil : try result.success.verifier
        }
        #expect(verifier != written.verifier)
        let again = try await served.client.write(
            file, offset: 0, data: data, stable: .unstable
        ).success
        let committed = try await served.client.commit(file, offset: 0, count: 0).success
        #expect(again.verifier == committed.verifier)
        #expect(
            try await served.proxy.status().events.contains { $0.message.contains("lost writes") })
        served = try await served.restarted()
        #expect(try await served.text(of: file) == "what is new\n")
        try await served.stop()
        try await server.stop()
    }

    @Test func writesLargerThanTheServerTakesGoInPieces() async throws {
        let folder = try TemporaryDirectory("rowfs-shadow")
        let server = try await Ganesha.start(
            directory: folder.path, readOnly: false, transferBytes: 16_384)
        let served = try await Served.directory { $0.shadow = try? NFSURL(server.export.url) }
        let bytes = (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 12) }
        let file = try await served.create("new")
        let written = try await served.client.write(
            file, offset: 5000, data: ByteBuffer(bytes: bytes), stable: .fileSync
        ).success
        #expect(written.count == 1 << 20)
        let (result, data) = try await served.client.read(file, offset: 5000, count: 1 << 20)
        #expect(try result.success.eof && data.readableBytesView.elementsEqual(bytes))
        try await served.stop()
        try await server.stop()
    }

    @Test func theProxyKilledLosesNothingThatItCalledStable() async throws {
        let folder = try TemporaryDirectory("rowfs-shadow")
        let server = try await Ganesha.start(
            directory: try folder.directory("export"), readOnly: false)
        let image = try folder.directory("image")
        _ = try folder.file("image/old", "0123456789")
        let proxy = try await RowctlProcess.start([
            "serve", image, "--session", "s", "--state", folder.path("state"), "--shadow",
            server.export.url,
        ])
        let client = try await NFSClient.connect(NFSURL(proxy.export.url))
        let new = try await client.create("new", "new")
        let old = try await client.lookup(NFS3.Filename("old"), in: client.rootHandle).success
            .object
        _ = try await client.setattr(old, NFS3.SetAttributes(size: 4)).success
        _ = try await client.write(
            old, offset: 8, data: ByteBuffer(string: "x"), stable: .fileSync
        ).success
        _ = try await client.write(
            new, offset: 3, data: ByteBuffer(string: "lost"), stable: .unstable
        ).success
        try await proxy.kill()
        try await proxy.restart()
        #expect(try await client.text(of: new) == "new")
        #expect(try await client.text(of: old) == "0123\0\0\0\0x")
        await client.close()
        try await proxy.terminate()
        try await server.stop()
    }
}

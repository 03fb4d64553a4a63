import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

/// How `rowctl serve` ends.
@Suite struct SignalTests {
    private struct Bench {
        let folder: TemporaryDirectory
        let proxy: RowctlProcess

        func client() async throws -> NFSClient {
            try await NFSClient.connect(NFSURL(proxy.export.url))
        }
    }

    private func bench(by wrapper: [String] = []) async throws -> Bench {
        let folder = try TemporaryDirectory("rowfs-signal")
        let proxy = try await RowctlProcess.start(
            [
                "serve", try folder.directory("image"), "--session", "s", "--state",
                folder.path("state"),
            ], by: wrapper)
        return Bench(folder: folder, proxy: proxy)
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func aSignalEndsItWhenEverythingIsDurable(signal: Int32) async throws {
        let bench = try await bench()
        let client = try await bench.client()
        let file = try await client.create("file")
        // Promised to nobody, and kept all the same.
        let written = try await client.write(
            file, offset: 0, data: ByteBuffer(string: "unstable"), stable: .unstable)
        #expect(try written.success.committed == .unstable)
        await client.close()
        #expect(try await bench.proxy.end(by: [signal]) == .exited(0))
        #expect(bench.proxy.errors.isEmpty)
        try await bench.proxy.restart()
        let later = try await bench.client()
        #expect(try await later.text(of: file) == "unstable")
        await later.close()
        try await bench.proxy.terminate()
    }

    @Test func aSecondSignalDoesNotWait() async throws {
        let bench = try await bench()
        #expect(try await bench.proxy.end(by: [SIGTERM, SIGINT]) == .exited(EXIT_FAILURE))
    }

    @Test func aHangupThatIsIgnoredFromTheStartStaysIgnored() async throws {
        let bench = try await bench(by: ["nohup"])
        bench.proxy.signal(SIGHUP)
        let client = try await bench.client()
        try await client.null()
        await client.close()
        // The second signal, had the first been one, would end it at once and by another code.
        #expect(try await bench.proxy.terminate() == .exited(0))
    }
}

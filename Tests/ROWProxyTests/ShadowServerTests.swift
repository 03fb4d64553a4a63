import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// A proxy whose session keeps its sparse files on a simulated server.
struct ShadowServed {
    let server: SimulatedNFSServer
    let served: Served

    static func start(
        _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> ShadowServed {
        let server = try await SimulatedNFSServer.start(.directory([]), isWritable: true)
        let served = try await Served.directory {
            $0.shadow = try? NFSURL(server.export.url)
            configure(&$0)
        }
        return ShadowServed(server: server, served: served)
    }

    func stop() async throws {
        try await served.stop()
        try await server.stop()
    }

    var client: NFSClient { served.client }

    func restarted() async throws -> ShadowServed {
        ShadowServed(server: server, served: try await served.restarted())
    }

    func write(
        _ file: NFS3.FileHandle, _ text: String, at offset: UInt64 = 0,
        _ stable: NFS3.Stability = .unstable
    ) async throws -> NFS3.Write.Result {
        try await client.write(
            file, offset: offset, data: ByteBuffer(string: text), stable: stable)
    }

    func text(_ file: NFS3.FileHandle) async throws -> String {
        try await patiently { try await client.read(file, offset: 0, count: 1 << 20) }
    }

    /// As a client does that is told JUKEBOX.
    func patiently(
        _ read: () async throws -> (result: NFS3.Read.Result, data: ByteBuffer)
    ) async throws -> String {
        try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
            let (result, data) = try await read()
            if result.status == .jukebox { return nil }
            _ = try result.success
            return String(buffer: data)
        }
    }

    func events() async throws -> String {
        try await served.proxy.status().events.map(\.message).joined(separator: "\n")
    }

    /// The session's directory on the server.
    func directory() throws -> String { try #require(server.listing("")?.first?.name) }

    /// The files in it.
    func files() throws -> [String] {
        try #require(server.listing(directory())).map(\.name)
    }

    /// What is in the only file.
    func stored() throws -> [UInt8] {
        let name = try #require(files().first)
        return try #require(server.contents("\(directory())/\(name)"))
    }
}

/// What a session does with a shadow server that answers as it should.
@Suite struct ShadowServerTests {
    @Test func partsOfBlocksAreOnTheServerWithTheirZerosAndTheRestIsMains() async throws {
        let shadow = try await ShadowServed.start()
        let large = try await shadow.served.handle("large")
        let old = String(repeating: "0123456789abcdef", count: 20_000)
        _ = try await shadow.write(large, "NEW", at: 10_000, .fileSync).success
        var expected = Array(old.utf8)
        expected.replaceSubrange(10_000..<10_003, with: Array("NEW".utf8))
        #expect(try await shadow.text(large) == String(decoding: expected, as: UTF8.self))
        #expect(try shadow.stored().count == 10_003, "nothing is read from main")

        // Past main's end the rest of the block goes along, as zeros.
        _ = try await shadow.write(large, "END", at: 320_100, .fileSync).success
        expected += [UInt8](repeating: 0, count: 100) + Array("END".utf8)
        #expect(try await shadow.text(large) == String(decoding: expected, as: UTF8.self))
        #expect(try shadow.stored().count == 323_584)
        try await shadow.stop()
    }

    @Test func directoryAndFilesAreTheSessionsAlone() async throws {
        let shadow = try await ShadowServed.start()
        _ = try await shadow.served.create("new", "text")
        #expect(shadow.server.listing("")?.map(\.mode) == [0o700])
        let files = try #require(shadow.server.listing(try shadow.directory()))
        #expect(files.map(\.mode) == [0o600])
        #expect(files[0].name.hasSuffix(".0"))
        try await shadow.stop()
    }

    @Test func aCutReachesTheServerAndGrowingAgainShowsZeros() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "0123456789")
        for size in [4, 8] as [UInt64] {
            _ = try await shadow.client.setattr(file, NFS3.SetAttributes(size: size)).success
        }
        #expect(try await shadow.text(file) == "0123\0\0\0\0")
        // The write waits until the cut is done.
        _ = try await shadow.write(file, "x", at: 7, .fileSync).success
        #expect(shadow.server.calls(.setattr) == 1)
        #expect(try shadow.stored().prefix(8) == [48, 49, 50, 51, 0, 0, 0, 120])
        #expect(try await shadow.text(file) == "0123\0\0\0x")
        try await shadow.stop()
    }

    @Test func aRemovedFileGoesFromTheServer() async throws {
        let shadow = try await ShadowServed.start()
        _ = try await shadow.served.create("new", "text")
        #expect(try shadow.files().count == 1)
        _ = try await shadow.client.remove(NFS3.Filename("new"), in: shadow.served.root).success
        try await poll(for: "removal", within: .seconds(10)) {
            try shadow.files().isEmpty ? () : nil
        }
        try await shadow.stop()
    }

    @Test func openingRemovesWhatNobodyRefersToAndReportsWhatItDoesNotKnow() async throws {
        var shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        let data = try shadow.files()
        let admin = try await NFSClient.connect(NFSURL(shadow.server.export.url))
        let directory = try await admin.lookup(
            NFS3.Filename(try shadow.directory()), in: admin.rootHandle
        ).success.object
        // One of the image's objects, one of the session's that is yet to be made, and a stranger.
        for name in ["7.0", "5000000000000000.0", "notes"] {
            _ = try await admin.create(
                NFS3.Filename(name), in: directory, .unchecked(NFS3.SetAttributes())
            ).success
        }
        shadow = try await shadow.restarted()
        let kept = (data + ["5000000000000000.0", "notes"]).sorted()
        try await poll(for: "removal", within: .seconds(10)) {
            try shadow.files() == kept ? () : nil
        }
        #expect(try await shadow.events().contains("notes at the shadow server is not a file"))
        #expect(try await shadow.text(file) == "text")
        await admin.close()
        try await shadow.stop()
    }

    @Test func aFileLongerThanOnRecordIsCutWhenItIsUsedFirst() async throws {
        var shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        let path = try "\(shadow.directory())/\(shadow.files()[0])"
        shadow = try await shadow.restarted()
        shadow.server.changeFile(path, to: Array("text".utf8) + [UInt8](repeating: 7, count: 9000))
        _ = try await shadow.write(file, "TE", .fileSync).success
        #expect(try shadow.stored() == Array("TExt".utf8))
        try await shadow.stop()
    }

    @Test func aFileThatIsMissingIsAnErrorAndNotMadeAnew() async throws {
        var shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        let admin = try await NFSClient.connect(NFSURL(shadow.server.export.url))
        let directory = try await admin.lookup(
            NFS3.Filename(try shadow.directory()), in: admin.rootHandle
        ).success.object
        _ = try await admin.remove(NFS3.Filename(try shadow.files()[0]), in: directory).success
        shadow = try await shadow.restarted()
        #expect(try await shadow.events().contains("is missing at the shadow server"))
        #expect(try await shadow.client.read(file, offset: 0, count: 4).result.status == .io)
        #expect(try await shadow.write(file, "x").status == .io)
        #expect(try shadow.files() == [])
        await admin.close()
        try await shadow.stop()
    }

    @Test func freeSpaceIsTheServers() async throws {
        let shadow = try await ShadowServed.start()
        let space = try await shadow.client.fsstat(shadow.served.root).success
        #expect(space.tbytes == 1 << 30 && space.abytes == 1 << 29 && space.tfiles == 1000)
        #expect(space.attributes?.fileid == 1)
        try await shadow.stop()
    }

    @Test func statusTellsServerStateAndCalls() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        #expect(try await shadow.text(file) == "text")
        let status = try await shadow.served.proxy.status()
        let url = shadow.server.export.url
        #expect(status.shadow?.server == "\(url) in \(try shadow.directory())")
        #expect(status.shadow?.state == "connected")
        #expect(status.calls.shadow == ["CREATE": 1, "WRITE": 1, "COMMIT": 1, "READ": 1])
        #expect(status.bytes.shadowStored == 4096)
        try await shadow.stop()
    }

    // MARK: Order

    @Test func writesThatDoNotTouchTheSameBlocksAreUnderWayTogether() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", String(repeating: "-", count: 8192))
        shadow.server.inject(.hold, on: .write, times: 2)
        async let first = shadow.write(file, "first", at: 0)
        async let second = shadow.write(file, "second", at: 4096)
        try await poll(for: "two WRITEs", within: .seconds(10)) {
            shadow.server.repliesHeld == 2 ? () : nil
        }
        shadow.server.release()
        _ = try await (first.success, second.success)
        try await shadow.stop()
    }

    @Test func aWriteWaitsForAnotherIntoTheSameBlock() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "-")
        shadow.server.inject(.hold, on: .write)
        async let first = shadow.write(file, "first", at: 100)
        try await poll(for: "WRITE", within: .seconds(10)) {
            shadow.server.repliesHeld == 1 ? () : nil
        }
        let before = shadow.server.calls(.write)
        async let second = shadow.write(file, "other", at: 200)
        async let read = shadow.text(file)
        async let cut = shadow.client.setattr(file, NFS3.SetAttributes(size: 150))
        // What comes later and touches nothing of it is answered.
        _ = try await shadow.served.create("more", "text")
        #expect(shadow.server.calls(.write) == before + 1)
        shadow.server.release()
        _ = try await (first.success, second.success, cut.success)
        #expect(try await read.hasPrefix("-"))
        let text = try await shadow.text(file)
        #expect(text.dropFirst(100).hasPrefix("first"))
        try await shadow.stop()
    }

    @Test func aFileThatIsRemovedDuringAWriteGoesWhenThatHasEnded() async throws {
        let shadow = try await ShadowServed.start()
        let file = try await shadow.served.create("new", "text")
        shadow.server.inject(.hold, on: .write)
        async let write = shadow.write(file, "more")
        try await poll(for: "WRITE", within: .seconds(10)) {
            shadow.server.repliesHeld == 1 ? () : nil
        }
        _ = try await shadow.client.remove(NFS3.Filename("new"), in: shadow.served.root).success
        #expect(try shadow.files().count == 1)
        shadow.server.release()
        #expect(try await write.status == .stale)
        try await poll(for: "removal", within: .seconds(10)) {
            try shadow.files().isEmpty ? () : nil
        }
        try await shadow.stop()
    }

    @Test func bytesBetweenTwoWrittenPartsAreNotTakenFromAnEarlierRead() async throws {
        let shadow = try await ShadowServed.start()
        let large = try await shadow.served.handle("large")
        let block = String(repeating: "x", count: 4096)
        for index in [0, 2] as [UInt64] {
            _ = try await shadow.write(large, block, at: index * 4096, .fileSync).success
        }
        shadow.server.inject(.hold, on: .read)
        async let read = shadow.text(large)
        try await poll(for: "READ", within: .seconds(10)) {
            shadow.server.repliesHeld == 1 ? () : nil
        }
        _ = try await shadow.write(large, block, at: 4096, .fileSync).success
        shadow.server.release()
        #expect(try await read.dropFirst(4096).prefix(4096).allSatisfy { $0 == "x" })
        try await shadow.stop()
    }
}

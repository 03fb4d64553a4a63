import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Synchronization
import Testing
import XDR

@testable import ROWProxy

/// A server of an image that means no good. `make attacks` has the same against a process, with its memory.
@Suite(.serialized) struct HostileMainTests {
    private static func attributes(
        _ fileid: UInt64, _ type: NFS3.FileType = .regular, size: UInt64 = 0
    ) -> NFS3.Attributes {
        let time = NFS3.Time(seconds: 1, nanoseconds: 0)
        return NFS3.Attributes(
            type: type, mode: 0o755, nlink: 1, uid: 0, gid: 0, size: size, used: 0,
            rdev: NFS3.Device(major: 0, minor: 0), fsid: 1, fileid: fileid, atime: time,
            mtime: time,
            ctime: time)
    }

    /// Answers READDIRPLUS of a directory with entries that name the directory itself.
    private static func page(
        _ call: SimulatedNFSServer.Exchange, isLast: Bool, _ entries: [(String, UInt64)]
    ) -> [UInt8]? {
        guard call.procedure == .readdirplus,
            let directory = try? NFS3.Readdirplus.Arguments(decoding: call.arguments).directory
        else { return nil }
        let entries = entries.map { name, cookie in
            NFS3.Readdirplus.Entry(
                fileid: cookie + 100, name: NFS3.Filename(name), cookie: cookie,
                attributes: attributes(cookie + 100), handle: directory)
        }
        let success = NFS3.Readdirplus.Success(
            attributes: nil, cookieVerifier: 0, entries: entries, eof: isLast)
        return call.record(NFS3.Readdirplus.Result.ok(success).encoded())
    }

    /// All names of a directory, or the status that a listing of it ends with.
    private func names(
        _ served: Served, _ directory: NFS3.FileHandle
    ) async throws -> Result<[String], UnexpectedStatus> {
        var names: [String] = []
        var cookie: UInt64 = 0
        while true {
            let page = try await served.client.readdir(directory, cookie: cookie, count: 8192)
            guard case .ok(let ok) = page else {
                return .failure(UnexpectedStatus(status: page.status))
            }
            names += ok.entries.map(\.name.description).filter { $0 != "." && $0 != ".." }
            if ok.eof { return .success(names) }
            cookie = try #require(ok.entries.last).cookie
        }
    }

    @Test func bytesBehindThoseThatWereAskedForAreNotTaken() async throws {
        let main = try await SimulatedNFSServer.start()
        for cacheSize in [0, 1 << 30] as [UInt64] {
            let served = try await Served.remote(main) {
                $0.cacheSize = ByteSize(bytes: cacheSize)
            }
            let (hello, large) = (
                try await served.handle("hello"), try await served.handle("large")
            )
            main.setScript { call in
                guard call.procedure == .read,
                    case .ok(var ok)? = try? NFS3.Read.Result(decoding: call.results)
                else { return nil }
                (ok.count, ok.data) = (1 << 20, 0..<1 << 20)
                return call.record(
                    NFS3.Read.Result.ok(ok).encoded() + [UInt8](repeating: 0x58, count: 1 << 20))
            }
            for file in [hello, large] {
                let read = try await served.client.read(file, offset: 0, count: 4096).result
                #expect(read.status == .io)
            }
            let events = try await served.proxy.status().events.map(\.message)
            #expect(events.contains { $0.contains("bytes where") })
            main.setScript(nil)
            #expect(try await served.text(of: hello) == "hello, world\n")
            let (result, data) = try await served.client.read(large, offset: 0, count: 4096)
            #expect(result.status == .ok)
            #expect(data.readableBytesView.elementsEqual(SimulatedTree.largeFile[..<4096]))
            try await served.stop()
        }
        try await main.stop()
    }

    @Test func namesThatNoObjectCanHaveAreLeftOut() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let directory = try await served.handle("directory")
        let bad = [
            "", "/", "../up", "a/b", "/etc/passwd", "nul\0", String(repeating: "n", count: 256),
        ]
        main.setScript { call in
            let names = [".", "..", "first"] + bad + ["last"]
            let entries = names.enumerated().map { ($1, UInt64($0) + 1) }
            return Self.page(call, isLast: true, entries)
        }
        #expect(try await names(served, directory).get() == ["first", "last"])
        let events = try await served.proxy.status().events.map(\.message)
        // Told once for each page, however many there are in it.
        let told = "\(bad.count) names of main in /directory are none and left out: "
        #expect(events.filter { $0.contains(told) }.count == 1)
        try await served.stop()
        try await main.stop()
    }

    /// Pages that lead nowhere: with the cookies of before, with new cookies and the names of before, with
    /// nothing but `.`, and with nothing.
    @Test(arguments: [0, 1, 2, 3])
    func aListingThatBringsNothingNewEndsWithAnError(kind: Int) async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let directory = try await served.handle("directory")
        let pages = Atomic<Int>(0)
        main.setScript { call in
            guard call.procedure == .readdirplus else { return nil }
            let fresh = UInt64(pages.add(1, ordering: .relaxed).newValue) * 1000
            let entries: [(String, UInt64)] =
                switch kind {
                case 0: (1...50).map { ("same\($0)", UInt64($0)) }
                case 1: (1...50).map { ("same\($0)", fresh + UInt64($0)) }
                case 2: [(".", fresh)]
                default: []
                }
            return Self.page(call, isLast: false, entries)
        }
        #expect(try await names(served, directory) == .failure(UnexpectedStatus(status: .io)))
        let events = try await served.proxy.status().events.map(\.message)
        #expect(events.contains { $0.contains("does not go on") })
        let asked = pages.load(ordering: .relaxed)
        #expect(asked <= 100, "main was asked for \(asked) pages")
        // The rest is served as before.
        #expect(try await served.text(of: served.handle("hello")) == "hello, world\n")
        main.setScript(nil)
        let found = try await names(served, directory).get()
        #expect((0..<40).allSatisfy { found.contains("file\($0)") })
        try await served.stop()
        try await main.stop()
    }

    @Test func aListingWithoutEndIsAskedForAsFarAsClientsGo() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let directory = try await served.handle("directory")
        let pages = Atomic<Int>(0)
        main.setScript { call in
            guard call.procedure == .readdirplus else { return nil }
            let start = UInt64(pages.add(1, ordering: .relaxed).newValue) * 1000
            return Self.page(call, isLast: false, (1...500).map { ("\(start + $0)", start + $0) })
        }
        let page = try await served.client.readdir(directory, cookie: 0, count: 8192).success
        #expect(!page.entries.isEmpty && !page.eof)
        let count = try await poll(for: "end of what is asked for ahead", within: .seconds(30)) {
            let before = pages.load(ordering: .relaxed)
            try await Task.sleep(for: .milliseconds(300))
            return pages.load(ordering: .relaxed) == before ? before : nil
        }
        #expect(count <= 2 + Int(NamesAhead.entriesAhead) / 500)
        try await served.stop()
        try await main.stop()
    }

    @Test(arguments: [1 << 63 - 1, 1 << 63, .max - 4096, .max] as [UInt64])
    func aSizeBeyondAllFilesIsNoTrap(size: UInt64) async throws {
        let main = try await SimulatedNFSServer.start()
        main.setScript { call in
            guard call.procedure == .lookup,
                case .ok(var ok)? = try? NFS3.Lookup.Result(decoding: call.results)
            else { return nil }
            ok.attributes?.size = size
            ok.attributes?.used = .max
            ok.attributes?.mtime = NFS3.Time(seconds: .max, nanoseconds: .max)
            return call.record(NFS3.Lookup.Result.ok(ok).encoded())
        }
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        let served = try await Served.remote(main)
        let file = try await served.handle("hello")
        let client = served.client
        for offset in [0, 4096, 1 << 62, 1 << 63 - 1, 1 << 63, size - 1, size, .max] as [UInt64] {
            for count in [1, 4096, 1 << 20] as [UInt32] {
                _ = try await client.read(file, offset: offset, count: count)
            }
            _ = try await client.write(
                file, offset: offset, data: ByteBuffer(string: "data"), stable: .fileSync)
        }
        // What was taken is there, and its neighbour is not affected.
        let written = try await client.write(
            file, offset: 8192, data: ByteBuffer(string: "data"), stable: .fileSync)
        if written.status == .ok {
            let (result, data) = try await client.read(file, offset: 8192, count: 4)
            #expect(result.status == .ok && String(buffer: data) == "data")
        }
        _ = try await client.setattr(file, NFS3.SetAttributes(size: 10))
        _ = try await client.getattr(file).success
        let kept = try await served.create("kept", "what was written")
        #expect(try await served.text(of: kept) == "what was written")
        let again = try await served.restarted()
        #expect(try await again.text(of: again.handle("kept")) == "what was written")
        try await again.stop()
        try await main.stop()
    }

    @Test(arguments: [0, 65, 4096, 1 << 20, -1])
    func aHandleOfALengthThatNoneHasIsAnError(bytes: Int) async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        main.setScript { call in
            guard call.procedure == .lookup else { return [UInt8]?.none }
            let handle =
                Message.words(UInt32(truncatingIfNeeded: bytes))
                + [UInt8](repeating: 7, count: max(0, (bytes + 3) & ~3))
            return call.record(Message.words(0) + handle + Message.words(0, 0))
        }
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        let found = try await served.client.lookup(NFS3.Filename("hello"), in: served.root)
        // One without any bytes is one for the protocol; the server refuses it when it is asked of it.
        #expect(found.status != .ok)
        main.setScript(nil)
        #expect(try await served.text(of: served.handle("hello")) == "hello, world\n")
        try await served.stop()
        try await main.stop()
    }

    @Test func answersThatComeTwiceOrThatNobodyAskedForAreNoAnswers() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        main.setScript { call in
            let reply = Message.record(call.reply)
            let strangers = (1...50).flatMap {
                call.record(call.results, xid: call.xid &+ $0 << 20)
            }
            return strangers + reply + reply
        }
        for index in 0..<40 {
            let file = try await served.handle("directory/file\(index)")
            #expect(try await served.text(of: file) == "this is file \(index)\n")
        }
        try await served.stop()
        try await main.stop()
    }
}

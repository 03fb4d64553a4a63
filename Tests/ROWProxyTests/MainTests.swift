import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import SystemPackage
import Testing

/// A main that fails, lies or changes.
@Suite struct MainTests {
    private func events(_ served: Served) async throws -> String {
        try await served.proxy.status().events.map(\.message).joined(separator: "\n")
    }

    /// Reads "hello" until the answer is another than JUKEBOX, as a client does.
    private func patientRead(_ served: Served, _ file: NFS3.FileHandle) async throws -> String {
        try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
            let (result, data) = try await served.client.read(file, offset: 0, count: 100)
            if case .failure(.jukebox, _) = result { return nil }
            _ = try result.success
            return String(buffer: data)
        }
    }

    @Test func aMainThatDiesIsWaitedForAndComesBackWithoutARestart() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let hello = try await served.handle("hello")
        let unknown = try await served.handle("directory")
        // Connections end a moment after the listener: nothing is answered over them any more.
        main.setSilent(true)
        try await main.stop()
        let read = try await served.client.read(hello, offset: 0, count: 100).result
        #expect(read.status == .jukebox)
        #expect(
            try await served.client.lookup(NFS3.Filename("file3"), in: unknown).status
                == .jukebox)
        // What is known or the session's own goes on.
        #expect(try await served.client.getattr(hello).status == .ok)
        let directory = try await served.client.getattr(served.root)
        #expect(directory.status == .ok)
        #expect(try await events(served).contains("main: "))
        let state = try await served.proxy.status().main.first
        #expect(state?.state == "disconnected" && state?.lastError != nil)

        let back = try await SimulatedNFSServer.start(port: main.port)
        #expect(try await patientRead(served, hello) == "hello, world\n")
        #expect(try await served.proxy.status().main.first?.state == "connected")
        try await served.stop()
        try await back.stop()
    }

    @Test func repliesThatAreLostDamagedOrDoubledAreAskedForAgain() async throws {
        let faults: [SimulatedNFSServer.Fault] = [
            .drop, .duplicate, .truncate(to: 20), .corrupt(at: 20), .disconnect,
        ]
        for fault in faults {
            let main = try await SimulatedNFSServer.start()
            let served = try await Served.remote(main)
            let hello = try await served.handle("hello")
            main.inject(fault, on: .read)
            #expect(try await patientRead(served, hello) == "hello, world\n", "\(fault)")
            try await served.stop()
            try await main.stop()
        }
    }

    @Test func aFileThatChangesUnderneathIsStaleAndReported() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let hello = try await served.handle("hello")
        #expect(try await served.text(of: hello) == "hello, world\n")
        main.changeFile("hello", to: Array("something else".utf8))
        let large = try await served.handle("large")
        main.changeFile("large", to: [1, 2, 3])
        #expect(
            try await served.client.read(large, offset: 4096, count: 4096).result.status == .stale)
        #expect(try await events(served).contains("the image changed under us: /large"))
        // Its neighbours are not affected.
        let link = try await served.handle("link")
        #expect(try await served.client.readlink(link).status == .ok)
        try await served.stop()
        try await main.stop()
    }

    @Test func aFileThatMainForgotIsLookedUpAgainAndThenStale() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let file = try await served.handle("directory/file3")
        let before = main.calls(.lookup)
        main.forget("directory/file3")
        #expect(
            try await served.client.read(file, offset: 0, count: 1).result.status == .stale)
        #expect(main.calls(.lookup) == before + 2)
        #expect(try await events(served).contains("/directory/file3"))
        let neighbour = try await served.handle("directory/file4")
        #expect(try await served.text(of: neighbour) == "this is file 4\n")
        try await served.stop()
        try await main.stop()
    }

    @Test func aMainThatForgotItsRootIsMountedAgain() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        let hello = try await served.handle("hello")
        #expect(try await served.text(of: hello) == "hello, world\n")
        main.setSilent(true)
        try await main.stop()
        // All its handles are others now, the root's among them.
        let reborn = try await SimulatedNFSServer.start(port: main.port, handleTag: 0x99)
        #expect(try await patientRead(served, hello) == "hello, world\n")
        let file = try await served.handle("directory/file3")
        #expect(try await served.text(of: file) == "this is file 3\n")
        #expect(try await events(served).contains("mounted again"))
        try await served.stop()
        try await reborn.stop()
    }

    @Test func whatMainLeavesOutIsAskedForPieceByPiece() async throws {
        let names = (0..<10).map { "file\($0)" }
        let main = try await StubMain.start(files: names)
        let folder = try TemporaryDirectory("rowfs-proxy")
        let served = try await Served.start(.server(try NFSURL(main.url)), in: folder)
        var found: [String] = []
        var cookie: UInt64 = 0
        var isComplete = false
        while !isComplete {
            let page = try await served.client.readdirplus(
                served.root, cookie: cookie, dircount: 4096, maxcount: 8192
            ).success
            for entry in page.entries where entry.name.description.hasPrefix("file") {
                found.append(entry.name.description)
                let file = try #require(entry.handle)
                #expect(try await served.text(of: file) == entry.name.description)
                #expect(entry.attributes?.size == 5)
            }
            cookie = page.entries.last?.cookie ?? cookie
            isComplete = page.eof
        }
        #expect(found == names)
        #expect(
            try await served.client.lookup(NFS3.Filename("nothing"), in: served.root).status
                == .noent)
        try await served.stop()
        try await main.stop()
    }

    @Test func equalQuestionsToMainAreAskedOnce() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        main.inject(.hold, on: .lookup)
        let client = served.client
        let root = served.root
        try await withThrowingTaskGroup(of: NFS3.Status.self) { group in
            for _ in 0..<20 {
                group.addTask { try await client.lookup(NFS3.Filename("hello"), in: root).status }
            }
            try await poll(for: "lookup held by main", within: .seconds(20)) {
                main.repliesHeld == 1 ? () : nil
            }
            try await client.null()
            main.release()
            for try await status in group { #expect(status == .ok) }
        }
        #expect(main.calls(.lookup) == 1)
        try await served.stop()
        try await main.stop()
    }
}

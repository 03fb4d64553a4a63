import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWTestKit
import Testing

@testable import ROWProxy

/// Servers that have not what the image is.
@Suite(.serialized) struct ReplicaCheckTests {
    private static let otherHello = Array("HELLO, WORLD\n".utf8)

    /// Reads some of everything and looks names up.
    private func use(_ image: Replicated) async throws {
        for name in ["hello", "large", "directory/file1", "directory/file2", "link"] {
            let handle = try await image.served.handle(name)
            if name == "link" {
                #expect(try await image.served.client.readlink(handle).status == .ok)
            } else {
                _ = try await image.read(handle).get()
            }
        }
    }

    @Test func aServerWithAnotherFileIsNeverUsed() async throws {
        let image = try await Replicated.start(
            3,
            changing: {
                $0[2].changeFile("hello", to: Array("something else".utf8))
                // Whoever answers first says what the image is.
                $0[2].setDelay(.seconds(1))
            },
            configure: { $0.replicaTiming.recheck = .hours(1) })
        try await image.waitUntil("connected", 0, 1)
        try await image.waitUntil("refused", 2)
        let refused = try await image.mains[2]
        #expect(try #require(refused.lastError).contains("/hello"))
        #expect(!refused.isActive)
        #expect(try await image.events.contains("is refused: /hello"))
        let calls = image.servers[2].callsOfAnyKind
        try await use(image)
        try await Replicated.kill(image.servers[0])
        try await use(image)
        try await Replicated.kill(image.servers[1])
        let file9 = try await image.served.handle("hello")
        #expect(try await image.read(file9) == .failure(UnexpectedStatus(status: .jukebox)))
        #expect(image.servers[2].callsOfAnyKind == calls)
        try await image.stop()
    }

    @Test func otherBytesUnderTheSameAttributesAreFound() async throws {
        let image = try await Replicated.start(
            changing: { $0[1].damageFile("hello", to: Self.otherHello) })
        let good = try #require(try await image.active)
        try await image.waitUntil("refused", 1 - good)
        #expect(
            try await image.mains[1 - good].lastError?.contains("/hello has other bytes") == true)
        // It is looked at again and again, and used when it is in order.
        image.servers[1 - good].damageFile("hello", to: Array("hello, world\n".utf8))
        image.servers[good].damageFile("hello", to: Array("hello, world\n".utf8))
        try await image.waitUntil("connected", 1 - good)
        #expect(try await image.events.contains("is as the image is again"))
        try await image.stop()
    }

    @Test func anotherRootIsRefused() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        let spare = 1 - (try #require(try await image.active))
        try await Replicated.kill(image.servers[spare])
        // Another tree has the place of the one that was checked.
        let other = try await SimulatedNFSServer.start(
            .directory([("hello", .file("hello, world\n")), ("extra", .file(""))]),
            port: image.servers[spare].port)
        try await image.waitUntil("refused", spare)
        let calls = other.callsOfAnyKind
        #expect(other.calls(.read) == 0)
        try await use(image)
        #expect(other.calls(.read) == 0 && other.callsOfAnyKind >= calls)
        try await image.stop()
        try await other.stop()
    }

    @Test func aDatabaseThatKnowsTheTreeIsEnoughToRefuse() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        _ = try await image.served.handle("directory/file7")
        for server in image.servers { try await Replicated.kill(server) }
        let changed = try await Replicated.server(
            0, tree: Replicated.sample(but: ["file7": "1"]), port: image.servers[0].port)
        try await image.waitUntil("refused", 0)
        #expect(
            try await image.mains[0].lastError?.contains("/directory/file7 has 1 bytes") == true)
        #expect(changed.calls(.read) == 0)
        try await image.stop()
        try await changed.stop()
    }

    @Test func whatIsKeptHereIsComparedWhenNobodyElseIsThere() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        let id = NodeID(
            rawValue: try await image.served.client.getattr(hello).success.attributes.fileid)
        try await image.served.proxy.setCachedBytes { node, range, then in
            guard node == id, range == 0..<13 else { return then(nil) }
            then(ByteBuffer(string: "hello, world\n"))
        }
        for server in image.servers { try await Replicated.kill(server) }
        let damaged = try await Replicated.server(
            0, tree: Replicated.sample(but: ["hello": "HELLO, WORLD\n"]),
            port: image.servers[0].port)
        try await image.waitUntil("refused", 0)
        #expect(try await image.mains[0].lastError?.contains("/hello has other bytes") == true)
        damaged.damageFile("hello", to: Array("hello, world\n".utf8))
        try await image.waitUntil("connected", 0)
        try await image.stop()
        try await damaged.stop()
    }

    @Test func aServerThatIsFoundToDifferWhenItIsUsedIsRefusedAndTheClientGetsWhatIsRight()
        async throws
    {
        let image = try await Replicated.start(
            changing: { $0[0].setDelay(.milliseconds(300)) },
            configure: { $0.replicaTiming.recheck = .hours(1) })
        try await image.waitUntil("connected", 0, 1)
        // The first that answered is asked as long as nothing is measured.
        try await image.waitUntilActive(1)
        let file3 = try await image.served.handle("directory/file3")
        let file4 = try await image.served.handle("directory/file4")
        #expect(try await image.served.text(of: file3) == "this is file 3\n")
        image.servers[1].changeFile("directory/file4", to: Array("this is not\n".utf8))
        #expect(try await image.served.text(of: file4) == "this is file 4\n")
        #expect(try await image.mains.map(\.state) == ["connected", "refused"])
        #expect(try await image.events.contains("/directory/file4"))
        #expect(try await !image.events.contains("changed under us"))
        try await image.stop()
    }

    @Test func aFileThatAllServersHaveChangedIsStaleForAWhile() async throws {
        let image = try await Replicated.start(configure: { $0.replicaTiming.stale = .hours(1) })
        try await image.waitUntil("connected", 0, 1)
        let file3 = try await image.served.handle("directory/file3")
        let hello = try await image.served.handle("hello")
        for server in image.servers { server.changeFile("directory/file3", to: [1, 2, 3]) }
        let stale = Result<String, UnexpectedStatus>.failure(UnexpectedStatus(status: .stale))
        #expect(try await image.read(file3) == stale)
        #expect(try await image.events.contains("the image changed under us: /directory/file3"))
        let reads = image.servers.map { $0.calls(.read) }
        #expect(try await image.read(file3) == stale)
        #expect(image.servers.map { $0.calls(.read) } == reads)
        #expect(try await image.mains.allSatisfy { $0.state == "connected" })
        #expect(try await image.served.text(of: hello) == "hello, world\n")
        try await image.stop()
    }

    @Test func aFileThatWasStaleIsAskedForAgain() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.replicaTiming.stale = .milliseconds(50) }
        let file3 = try await served.handle("directory/file3")
        main.changeFile("directory/file3", to: [1, 2, 3])
        #expect(try await served.client.read(file3, offset: 0, count: 9).result.status == .stale)
        let reads = main.calls(.read)
        try await poll(for: "another READ", within: .seconds(20)) {
            let status = try await served.client.read(file3, offset: 0, count: 9).result.status
            #expect(status == .stale)
            return main.calls(.read) > reads ? () : nil
        }
        try await served.stop()
        try await main.stop()
    }

    @Test func changesAreFoundInTheBackground() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) {
            $0.replicaTiming.changesFirst = .milliseconds(20)
            $0.replicaTiming.changes = .milliseconds(20)
        }
        func events() async throws -> String {
            try await served.proxy.status().events.map(\.message).joined(separator: "\n")
        }
        let file3 = try await served.handle("directory/file3")
        _ = try await served.handle("hello")
        main.touch("directory/file3")
        try await poll(for: "event of a ctime", within: .seconds(20)) {
            try await events().contains("ctime of /directory/file3") ? () : nil
        }
        #expect(try await served.text(of: file3) == "this is file 3\n")
        #expect(try await !events().contains("changed under us"))
        main.changeFile("hello", to: [1])
        try await poll(for: "event of a change", within: .seconds(20)) {
            try await events().contains("the image changed under us: /hello") ? () : nil
        }
        #expect(try await served.proxy.status().main.first?.lastError?.contains("/hello") == true)
        try await served.stop()
        try await main.stop()
    }
}

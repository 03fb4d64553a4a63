import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWProxy

/// An image on several servers of which some fail.
@Suite(.serialized) struct ReplicaTests {
    @Test func whenTheServerDiesTheNextAnswersWithTheSameIdsAndHandles() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        let first = try #require(try await image.active)
        let client = image.served.client
        let file3 = try await image.served.handle("directory/file3")
        let before = try await client.getattr(file3).success.attributes
        try await Replicated.kill(image.servers[first])

        #expect(try await image.served.text(of: file3) == "this is file 3\n")
        #expect(try await image.served.handle("directory/file3") == file3)
        #expect(try await client.getattr(file3).success.attributes == before)
        let file4 = try await image.served.handle("directory/file4")
        #expect(try await image.served.text(of: file4) == "this is file 4\n")
        #expect(try await image.active == 1 - first)
        #expect(try await image.events.contains("main is "))
        let mains = try await image.mains
        #expect(mains[first].state == "disconnected" && mains[first].lastError != nil)
        #expect(mains[1 - first].roundTripMS != nil)

        // It comes back, with other handles for everything, and the other one goes.
        let back = try await SimulatedNFSServer.start(
            port: image.servers[first].port, handleTag: 0x99, fileidOffset: 5000)
        try await image.waitUntil("connected", first)
        try await Replicated.kill(image.servers[1 - first])
        let file5 = try await image.served.handle("directory/file5")
        #expect(try await image.served.text(of: file5) == "this is file 5\n")
        #expect(try await image.served.text(of: file3) == "this is file 3\n")
        #expect(try await image.active == first)
        try await image.stop()
        try await back.stop()
    }

    @Test func callsUnderWayAreMadeAgainElsewhere() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        let first = try #require(try await image.active)
        let large = try await image.served.handle("large")
        image.servers[first].inject(.hold, on: .read, times: 100)
        let client = image.served.client
        let reads = (0..<8).map { index in
            Task { try await client.read(large, offset: UInt64(index) * 30_000, count: 10_000) }
        }
        try await poll(for: "read held", within: .seconds(20)) {
            image.servers[first].repliesHeld > 0 ? () : nil
        }
        try await Replicated.kill(image.servers[first])
        for (index, read) in reads.enumerated() {
            let (result, data) = try await read.value
            #expect(result.status == .ok)
            let start = index * 30_000
            #expect(
                data.readableBytesView.elementsEqual(
                    SimulatedTree.largeFile[start..<start + 10_000]))
        }
        try await image.stop()
    }

    @Test func aSilentServerIsLeftLongBeforeCallsRunOutOfTime() async throws {
        let image = try await Replicated.start(configure: { $0.mainTimeout = .seconds(20) })
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        let first = try #require(try await image.active)
        image.servers[first].setSilent(true)
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try await image.served.text(of: hello) == "hello, world\n")
        #expect(clock.now - start < .seconds(12))
        #expect(try await image.active == 1 - first)
        #expect(try await image.events.contains("has sent nothing for"))
        image.servers[first].setSilent(false)
        image.servers[first].disconnectAll()
        try await image.waitUntil("connected", first)
        try await image.stop()
    }

    @Test func aSpareThatFallsSilentIsNoticed() async throws {
        let image = try await Replicated.start(configure: {
            $0.replicaTiming.probe = .milliseconds(200)
        })
        try await image.waitUntil("connected", 0, 1)
        let spare = 1 - (try #require(try await image.active))
        image.servers[spare].setSilent(true)
        try await image.waitUntil("disconnected", spare)
        #expect(try await !image.mains[spare].isActive)
        try await image.stop()
    }

    @Test func aCallThatIsLostIsMadeElsewhere() async throws {
        let image = try await Replicated.start(configure: {
            $0.mainTimeout = .seconds(2)
            $0.replicaTiming.probe = .milliseconds(50)
        })
        try await image.waitUntil("connected", 0, 1)
        // Probes are answered meanwhile, so no server is silent.
        for server in image.servers {
            server.inject(.refuse(.io), on: .readdirplus, times: .max)
            server.inject(.drop, on: .lookup)
        }
        let name = NFS3.Filename("hello")
        let found = try await image.served.client.lookup(name, in: image.served.root)
        #expect(found.status == .jukebox)
        image.servers[try #require(try await image.active)].inject(.drop, on: .lookup)
        let hello = try await image.served.client.lookup(name, in: image.served.root).success.object
        #expect(try await image.served.text(of: hello) == "hello, world\n")
        #expect(try await image.mains.map(\.state) == ["connected", "connected"])
        try await image.stop()
    }

    @Test func aReadThatIsLostLeavesTheServerWhenNothingElseComesFromIt() async throws {
        let image = try await Replicated.start(configure: { $0.mainTimeout = .seconds(20) })
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        let first = try #require(try await image.active)
        image.servers[first].inject(.drop, on: .read)
        #expect(try await image.served.text(of: hello) == "hello, world\n")
        #expect(try await image.active == 1 - first)
        try await image.waitUntil("connected", first)
        try await image.stop()
    }

    @Test func whatOneServerCannotReadAnotherMay() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        let first = try #require(try await image.active)
        image.servers[first].inject(.refuse(.io), on: .read)
        #expect(try await image.served.text(of: hello) == "hello, world\n")
        for server in image.servers { server.inject(.refuse(.io), on: .read) }
        #expect(try await image.served.client.read(hello, offset: 0, count: 9).result.status == .io)
        try await image.stop()
    }

    @Test func aNearServerIsPreferredAndComesBackWhenItIsHealthyAgain() async throws {
        let image = try await Replicated.start(configure: {
            $0.replicaTiming.probe = .milliseconds(50)
        })
        try await image.waitUntil("connected", 0, 1)
        try await image.prefer(1)
        try await Replicated.kill(image.servers[1])
        let hello = try await image.served.handle("hello")
        #expect(try await image.served.text(of: hello) == "hello, world\n")
        #expect(try await image.active == 0)
        let back = try await Replicated.server(1, port: image.servers[1].port)
        try await image.waitUntilActive(1)
        try await poll(for: "READ at the near server", within: .seconds(30)) {
            let text = try await image.served.text(of: hello)
            #expect(text == "hello, world\n")
            return back.calls(.read) > 0 ? () : nil
        }
        try await image.stop()
        try await back.stop()
    }

    @Test func aListingGoesOnAtAnotherServer() async throws {
        let names = (0..<3000).map { "a rather long name, so that there are many pages \($0)" }
        let tree = SimulatedTree.Item.directory([
            ("many", .directory(names.map { ($0, .file("x")) }))
        ])
        let image = try await Replicated.start(tree: tree)
        try await image.waitUntil("connected", 0, 1)
        let many = try await image.served.handle("many")
        var found: [String] = []
        var cookie: UInt64 = 0
        var isAtEnd = false
        var killed: Int?
        while !isAtEnd {
            let page = try await image.served.client.readdirplus(
                many, cookie: cookie, dircount: 4096, maxcount: 32 << 10
            ).success
            found += page.entries.map(\.name.description).filter { $0.hasPrefix("a rather") }
            cookie = page.entries.last?.cookie ?? cookie
            isAtEnd = page.eof
            if found.count > 600, killed == nil {
                // Whichever it is that has told of them so far.
                let told = image.servers.map { $0.calls(.readdirplus) }
                killed = told[0] > told[1] ? 0 : 1
                try await Replicated.kill(image.servers[killed ?? 0])
            }
        }
        #expect(found.sorted() == names.sorted())
        #expect(image.servers.allSatisfy { $0.calls(.readdirplus) > 1 })
        try await image.stop()
    }

    @Test func namesOfOneFileAreOneNodeWhicheverServersToldOfThem() async throws {
        let tree = SimulatedTree.Item.directory([
            ("other", .file("twins")), ("one", .file("twins")), ("two", .sameAs("one")),
            ("more", .sameAs("other")),
        ])
        let image = try await Replicated.start(tree: tree)
        try await image.waitUntil("connected", 0, 1)
        func id(_ name: String) async throws -> UInt64 {
            let handle = try await image.served.handle(name)
            return try await image.served.client.getattr(handle).success.attributes.fileid
        }
        let one = try await id("one")
        let other = try await id("other")
        #expect(one != other)
        try await Replicated.kill(image.servers[try #require(try await image.active)])
        #expect(try await id("two") == one)
        #expect(try await id("more") == other)
        try await image.stop()
    }

    @Test func withAllServersGoneClientsAreToldToWaitInTimeAndItRecoversByItself() async throws {
        let image = try await Replicated.start(configure: { $0.mainTimeout = .seconds(1) })
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        for server in image.servers { try await Replicated.kill(server) }
        let clock = ContinuousClock()
        let start = clock.now
        let read = try await image.served.client.read(hello, offset: 0, count: 100).result
        #expect(read.status == .jukebox)
        #expect(clock.now - start < .seconds(5))
        #expect(try await image.active == nil)
        // What is known is told without them.
        #expect(try await image.served.client.getattr(hello).status == .ok)

        let back = try await Replicated.server(1, port: image.servers[1].port)
        _ = try await poll(for: "answer other than JUKEBOX", within: .seconds(30)) {
            () -> Bool? in
            let (result, data) = try await image.served.client.read(hello, offset: 0, count: 100)
            if result.status == .jukebox { return nil }
            #expect(String(buffer: data) == "hello, world\n")
            return true
        }
        try await image.stop()
        try await back.stop()
    }

    @Test func aCallThatComesWhileAllAreAwayIsAnsweredWhenOneIsBack() async throws {
        let image = try await Replicated.start(configure: { $0.mainTimeout = .seconds(60) })
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        for server in image.servers { try await Replicated.kill(server) }
        let client = image.served.client
        async let read = client.text(of: hello)
        try await image.waitUntil("disconnected", 0, 1)
        let back = try await Replicated.server(0, port: image.servers[0].port)
        #expect(try await read == "hello, world\n")
        try await image.stop()
        try await back.stop()
    }
}

import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWTestKit
import Testing

@testable import ROWProxy

/// Answers of servers that do not fit together, or that are missing.
@Suite(.serialized) struct ReplicaDoubtTests {
    @Test func aFileThatAllServersChangedWhileNobodyLookedDoesNotStopTheOthers() async throws {
        let image = try await Replicated.start()
        try await image.waitUntil("connected", 0, 1)
        let names = ["hello", "directory/file3", "directory/file4"]
        for name in names { _ = try await image.served.handle(name) }
        for server in image.servers {
            server.changeFile("directory/file3", to: [1, 2, 3])
            server.changeFile("directory/file4", to: [4])
        }
        let served = try await image.served.restarted()
        try await poll(for: "servers that are used", within: .seconds(30)) {
            let states = try await served.proxy.status().main.map(\.state)
            return states == ["connected", "connected"] ? () : nil
        }
        #expect(try await served.text(of: served.handle("hello")) == "hello, world\n")
        let file3 = try await served.handle("directory/file3")
        #expect(try await served.client.read(file3, offset: 0, count: 9).result.status == .stale)
        let events = try await served.proxy.status().events.map(\.message)
        for name in ["file3", "file4"] {
            #expect(events.contains("the image changed under us: /directory/\(name)"))
        }
        try await served.stop()
        for server in image.servers { try await server.stop() }
    }

    @Test func whoDoesNotAnswerIsNotTakenForOneThatDiffers() async throws {
        let image = try await Replicated.start(configure: {
            $0.mainTimeout = .seconds(2)
            $0.replicaTiming.recheck = .hours(1)
        })
        try await image.waitUntil("connected", 0, 1)
        let file4 = try await image.served.handle("directory/file4")
        _ = try await image.served.text(of: image.served.handle("hello"))
        let wrong = try #require(try await image.active)
        image.servers[wrong].changeFile("directory/file4", to: [1])
        image.servers[1 - wrong].inject(.refuse(.io), on: .lookup, times: .max)
        let read = try await image.served.client.read(file4, offset: 0, count: 99).result
        #expect(read.status == .jukebox)
        #expect(try await !image.events.contains("changed under us"))
        image.servers[1 - wrong].clearFaults()
        #expect(try await image.served.text(of: file4) == "this is file 4\n")
        #expect(try await image.mains[wrong].state == "refused")
        try await image.stop()
    }

    @Test func aReadThatIsLostWhileOtherBytesComeIsMadeElsewhere() async throws {
        let image = try await Replicated.start(configure: {
            $0.mainTimeout = .seconds(4)
            $0.replicaTiming.probe = .milliseconds(50)
        })
        try await image.waitUntil("connected", 0, 1)
        let hello = try await image.served.handle("hello")
        for server in image.servers { server.inject(.drop, on: .read) }
        // Of two lost ones the second is JUKEBOX; one lost is made elsewhere in time.
        let first = try #require(try await image.active)
        image.servers[1 - first].clearFaults()
        #expect(try await image.read(hello) == .success("hello, world\n"))
        #expect(try await image.mains.map(\.state) == ["connected", "connected"])
        try await image.stop()
    }

    @Test func aPageOfAListingThatIsNotHadAsAWholeIsAskedForAgain() async throws {
        let names = (0..<600).map { "a rather long name, so that there are many pages \($0)" }
        let main = try await SimulatedNFSServer.start(
            .directory([("many", .directory(names.map { ($0, .file("x")) }))]))
        main.inject(.refuse(.notSupp), on: .readdirplus, times: .max)
        let served = try await Served.remote(main)
        let many = try await served.handle("many")
        // In the middle of the second page or of a later one.
        main.inject(.refuse(.io), on: .lookup, skipping: 300)
        var found: Set<String> = []
        var cookie: UInt64 = 0
        var failures = 0
        var isAtEnd = false
        while !isAtEnd {
            let page = try await served.client.readdir(many, cookie: cookie, count: 8192)
            guard case .ok(let ok) = page else {
                failures += 1
                try #require(failures < 10)
                continue
            }
            found.formUnion(ok.entries.map(\.name.description))
            cookie = ok.entries.last?.cookie ?? cookie
            isAtEnd = ok.eof
        }
        #expect(main.calls(.lookup) > 600)
        #expect(found.isSuperset(of: names))
        try await served.stop()
        try await main.stop()
    }

    @Test func aListingThatGoesInACircleIsNoticed() throws {
        var state = Replica.Import()
        var steps = 0
        // A long way in, then around.
        var cookies = Array(UInt64(1)...100)
        for _ in 0..<100 { cookies += 50...100 }
        for cookie in cookies {
            guard let next = state.next(cookie, 0) else { break }
            state = next
            steps += 1
        }
        #expect(steps >= 100)
        #expect(steps < 300)
    }

    @Test func aNumberThatIsAnothersNowDoesNotMakeTwoFilesOne() async throws {
        let main = try await SimulatedNFSServer.start(
            .directory([("one", .file("first")), ("two", .sameAs("one"))]))
        // A root of which all names are known does not get any.
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        let served = try await Served.remote(main)
        let one = try await served.handle("one")
        #expect(try await served.text(of: one) == "first")
        try await Replicated.kill(main)
        // Made anew: the number that "one" had is that of "other".
        let anew = try await SimulatedNFSServer.start(
            .directory([
                ("other", .file("something else")), ("more", .sameAs("other")),
                ("one", .file("first")), ("two", .sameAs("one")),
            ]), port: main.port)
        let other = try await served.handle("other")
        #expect(other != one)
        #expect(try await served.text(of: other) == "something else")
        let more = try await served.handle("more")
        #expect(more == other)
        try await served.stop()
        try await anew.stop()
    }

    @Test func aTimeThatIsNoneIsNoTrap() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main)
        let hello = try await served.handle("hello")
        let other = try await served.client.getattr(hello).success.attributes
        var known = other
        known.mtime = NFS3.Time(seconds: 1, nanoseconds: .max)
        #expect(known.difference(of: other)?.contains("modified") == true)
        try await served.stop()
        try await main.stop()
    }
}

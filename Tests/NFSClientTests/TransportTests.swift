import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

/// A network that cuts, stalls, splits and damages.
@Suite struct TransportTests {
    /// Reads the large file over and over through a relay while `disturb` runs once per round.
    private func readsSurvive(
        rounds: Int, roundTrip: Duration? = nil,
        _ disturb: (FaultyTransport) async throws -> Void
    ) async throws -> RPCConnection.Statistics {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        if let roundTrip {
            try await relay.setLink(roundTrip: roundTrip, bitsPerSecond: 400_000_000)
        }
        let client = try await server.client(port: relay.port)
        let large = try server.existing("large")
        for _ in 0..<rounds {
            async let bytes = client.contents(of: large, size: 300_000, count: 3000)
            try await disturb(relay)
            #expect(try await bytes == SimulatedTree.largeFile)
        }
        let statistics = try await client.statistics()
        await client.close()
        try await relay.stop()
        try await server.stop()
        return statistics
    }

    @Test func cutConnectionsAreMadeAgain() async throws {
        let statistics = try await readsSurvive(rounds: 20) { try await $0.cut() }
        #expect(statistics.reconnects >= 1)
    }

    @Test func resetConnectionsAreMadeAgain() async throws {
        let statistics = try await readsSurvive(rounds: 20) { try await $0.reset() }
        #expect(statistics.reconnects >= 1)
    }

    @Test func connectionsOverALongLineAreMadeAgain() async throws {
        var isAbrupt = false
        let statistics = try await readsSurvive(rounds: 10, roundTrip: .milliseconds(10)) { relay in
            // While replies are on their way.
            try await Task.sleep(for: .milliseconds(12))
            isAbrupt.toggle()
            try await isAbrupt ? relay.reset() : relay.cut()
        }
        #expect(statistics.reconnects >= 1)
    }

    @Test func aLongLineThatStallsKeepsWhatIsOnItsWay() async throws {
        let statistics = try await readsSurvive(rounds: 10, roundTrip: .milliseconds(10)) { relay in
            try await Task.sleep(for: .milliseconds(12))
            try await relay.stall()
            try await Task.sleep(for: .milliseconds(5))
            try await relay.resume()
        }
        #expect(statistics.reconnects == 0)
    }

    @Test func aStallIsWaitedFor() async throws {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        let client = try await server.client(port: relay.port)
        try await client.null()
        try await relay.stall()
        let large = try server.existing("large")
        let bytes = Task { try await client.contents(of: large, size: 300_000, count: 3000) }
        try await poll(for: "calls", within: .seconds(10)) {
            let calls = try await client.statistics().callsByProcedure
            return calls[Int(NFS3.Procedure.read.rawValue)] == 100 ? () : nil
        }
        #expect(server.calls(.read) == 0)
        try await relay.resume()
        #expect(try await bytes.value == SimulatedTree.largeFile)
        #expect(try await client.statistics().reconnects == 0)
        await client.close()
        try await relay.stop()
        try await server.stop()
    }

    @Test func recordsInSingleBytesArriveWhole() async throws {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        try await relay.setSplitting(true)
        let client = try await server.client(port: relay.port)
        let hello = try server.existing("hello")
        for _ in 0..<20 {
            let (result, data) = try await client.read(hello, offset: 0, count: 100)
            #expect(try result.success.count == 13)
            #expect(String(buffer: data) == "hello, world\n")
        }
        let bytes = try await client.contents(
            of: server.existing("large"), size: 20_000, count: 3000)
        #expect(bytes == Array(SimulatedTree.largeFile[..<20_000]))
        await client.close()
        try await relay.stop()
        try await server.stop()
    }

    /// The first byte of the first record mark, inverted, announces 2 GiB.
    @Test func aStreamThatCannotBeFollowedIsLeftForANewOne() async throws {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        try await relay.corrupt(.toClient, at: 0)
        let client = try await server.client(port: relay.port)
        try await relay.untilAccepted(1)
        try await relay.corrupt(.toClient, at: nil)
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        let statistics = try await client.statistics()
        #expect(statistics.reconnects == 1)
        #expect(statistics.retransmissions == 1)
        await client.close()
        try await relay.stop()
        try await server.stop()
    }

    /// A mark that is too large by some KiB swallows the replies behind it: no reply ever completes,
    /// the call runs out of time, and the connection is left as silent.
    @Test func aStreamThatSwallowsRepliesIsLeftForANewOne() async throws {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        try await relay.corrupt(.toClient, at: 2)
        let client = try await server.client(port: relay.port)
        try await relay.untilAccepted(1)
        try await relay.corrupt(.toClient, at: nil)
        await #expect(throws: NFSClientError(.timedOut, "")) {
            try await client.hasty(.milliseconds(200)).getattr(client.rootHandle)
        }
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        #expect(try await client.statistics().reconnects == 1)
        await client.close()
        try await relay.stop()
        try await server.stop()
    }

    @Test func aServerThatHangsUpAtOnceIsNotHammered() async throws {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        let client = try await server.client(port: relay.port) {
            $0.connection.reconnection = .backoff(
                first: .milliseconds(50), maximum: .milliseconds(100))
        }
        try await client.null()
        try await relay.setRefusing(true)
        try await relay.cut()
        let error = await #expect(throws: NFSClientError.self) {
            try await client.hasty(.milliseconds(400)).getattr(client.rootHandle)
        }
        #expect(error?.code == .timedOut)
        #expect(error?.context.contains("Before that") == true)
        // Pauses of at least 25 ms from the second one: at most 18 attempts in 400 ms.
        #expect(try await relay.connectionsAccepted <= 20)
        try await relay.setRefusing(false)
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await relay.stop()
        try await server.stop()
    }

    @Test func anIdleConnectionThatIsCutIsMadeAgainOnlyForTheNextCall() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        try await client.null()
        server.disconnectAll()
        try await poll(for: "end of the connection", within: .seconds(10)) {
            try await client.statistics().reconnects == 0 && server.clientPorts.isEmpty ? () : nil
        }
        #expect(server.connectionsAccepted == 1)
        try await client.null()
        #expect(server.connectionsAccepted == 2)
        await client.close()
        try await server.stop()
    }
}

extension FaultyTransport {
    fileprivate func untilAccepted(_ count: Int) async throws {
        try await poll(for: "connection", within: .seconds(10)) {
            try await connectionsAccepted >= count ? () : nil
        }
    }
}

import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWTestKit
import Testing

/// A server that drops, holds, doubles or damages replies.
@Suite struct FaultTests {
    @Test func aDroppedReplyTimesOutAndTheOthersArrive() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.drop, on: .readlink)
        let link = try server.existing("link")
        let lost = Task { try await client.hasty(.milliseconds(300)).readlink(link) }
        for _ in 0..<10 { #expect(try await client.getattr(client.rootHandle).status == .ok) }
        let error = await #expect(throws: NFSClientError.self) { try await lost.value }
        #expect(error?.code == .timedOut)
        #expect(error?.context.contains("within 0.3 s") == true)
        #expect(try await client.readlink(link).status == .ok)
        let statistics = try await client.statistics()
        #expect(statistics.timeouts == 1)
        await client.close()
        try await server.stop()
    }

    @Test func aDuplicateReplyIsDropped() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.duplicate, on: .getattr, times: 3)
        for _ in 0..<5 { #expect(try await client.getattr(client.rootHandle).status == .ok) }
        #expect(try await client.statistics().unexpectedReplies == 3)
        await client.close()
        try await server.stop()
    }

    @Test func repliesOutOfOrderFindTheirCalls() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.hold, on: .read, times: .max)
        let large = try server.existing("large")
        let reads = Task { try await client.contents(of: large, size: 300_000, count: 20_000) }
        try await poll(for: "held replies", within: .seconds(10)) {
            server.repliesHeld == 15 ? () : nil
        }
        #expect(try await client.getattr(large).status == .ok)
        server.release()
        #expect(try await reads.value == SimulatedTree.largeFile)
        await client.close()
        try await server.stop()
    }

    @Test func aReplyAfterTheDeadlineIsDropped() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.hold, on: .readlink)
        let link = try server.existing("link")
        let late = client.eventLoop.makePromise(of: NFSClientError?.self)
        let other = client.eventLoop.makePromise(of: Void.self)
        // In one turn of the loop: the other reply is there before the deadline, however busy the tests'
        // threads are, and the connection does not count as silent.
        try await client.eventLoop.submit {
            let connection = client.loopConfinedConnection
            let credential = RPC.Credential.sys(RPC.AuthSys(uid: 0, gid: 0))
            connection.nfs3(
                .readlink, NFS3.Readlink.Arguments(symlink: link), credential: credential,
                timeout: .seconds(2)
            ) { result in
                if case .failure(let error) = result { return late.succeed(error) }
                late.succeed(nil)
            }
            connection.nfs3(
                .getattr, NFS3.Getattr.Arguments(object: link), credential: credential,
                timeout: .seconds(20)
            ) { result in other.completeWith(Result { _ = try result.get() }) }
        }.get()
        try await other.futureResult.get()
        #expect(try await late.futureResult.get() == NFSClientError(.timedOut, ""))
        server.release()
        #expect(try await client.readlink(link).status == .ok)
        let statistics = try await client.statistics()
        #expect(statistics.unexpectedReplies == 1)
        #expect(statistics.reconnects == 0)
        await client.close()
        try await server.stop()
    }

    /// Byte 4 is in the message type, 8 in reply_stat, 20 in accept_stat.
    @Test(arguments: [4, 8, 20])
    func aDamagedHeaderFailsOnlyItsCall(offset: Int) async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.corrupt(at: offset), on: .getattr)
        await #expect(throws: NFSClientError(.malformedReply, "")) {
            try await client.getattr(client.rootHandle)
        }
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        #expect(try await client.statistics().reconnects == 0)
        await client.close()
        try await server.stop()
    }

    @Test func aReplyCutAtAnyByteIsMalformedAndNeverMore() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        // A header of 24 bytes, a status and the attributes. Without its xid nobody knows the call.
        for count in stride(from: 4, to: 24 + 4 + 84, by: 1) {
            server.inject(.truncate(to: count), on: .getattr)
            await #expect(throws: NFSClientError(.malformedReply, ""), "cut at \(count)") {
                try await client.getattr(client.rootHandle)
            }
        }
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await server.stop()
    }

    @Test func aDisconnectIsBridgedByRetransmission() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.disconnect, on: .read, times: 3, skipping: 2)
        let bytes = try await client.contents(
            of: server.existing("large"), size: 300_000, count: 10_000)
        #expect(bytes == SimulatedTree.largeFile)
        let statistics = try await client.statistics()
        #expect(statistics.reconnects >= 1)
        #expect(statistics.retransmissions >= 1)
        #expect(statistics.timeouts == 0)
        await client.close()
        try await server.stop()
    }

    @Test func aSilentServerTimesOutAndIsConnectedToAgain() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        server.setSilent(true)
        await #expect(throws: NFSClientError(.timedOut, "")) {
            try await client.hasty(.milliseconds(100)).getattr(client.rootHandle)
        }
        server.setSilent(false)
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        #expect(try await client.statistics().reconnects == 1)
        await client.close()
        try await server.stop()
    }

    @Test func aServerThatRestartsIsFoundAgain() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        try await server.stop()
        async let pending = client.getattr(client.rootHandle)
        let successor = try await SimulatedNFSServer.start(port: server.port)
        #expect(try await pending.status == .ok)
        await client.close()
        try await successor.stop()
    }

    @Test func aCancelledCallEndsAtOnceAndTheConnectionLives() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.hold, on: .getattr)
        let task = Task { try await client.getattr(client.rootHandle) }
        try await poll(for: "held reply", within: .seconds(10)) {
            server.repliesHeld == 1 ? () : nil
        }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        server.release()
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        #expect(try await client.statistics().unexpectedReplies == 1)
        await client.close()
        try await server.stop()
    }

    @Test func aTaskCancelledBeforeItsCallNeverSendsIt() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await client.getattr(client.rootHandle)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(server.calls(.getattr) == 0)
        await client.close()
        try await server.stop()
    }

    /// Cancels at random moments: every task ends, with a result or with `CancellationError`.
    @Test func cancellationAtAnyMomentResumesEveryTaskOnce() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client { $0.connection.callsInFlightMaximum = 4 }
        let seed = Seed()
        var generator = seed.makeGenerator()
        for _ in 0..<100 {
            let tasks = (0..<20).map { _ in
                Task { try await client.getattr(client.rootHandle).status }
            }
            for task in tasks {
                for _ in 0..<Int.random(in: 0...3, using: &generator) { await Task.yield() }
                if Bool.random(using: &generator) { task.cancel() }
            }
            for task in tasks {
                switch await task.result {
                case .success(let status): #expect(status == .ok, "\(seed)")
                case .failure(let error): #expect(error is CancellationError, "\(seed): \(error)")
                }
            }
        }
        await client.close()
        try await server.stop()
    }

    @Test func closingFailsWhatWaitsAndWhatComesAfter() async throws {
        let server = try await SimulatedNFSServer.start()
        let client = try await server.client()
        server.inject(.hold, on: .getattr, times: .max)
        let task = Task { try await client.getattr(client.rootHandle) }
        try await poll(for: "held reply", within: .seconds(10)) {
            server.repliesHeld == 1 ? () : nil
        }
        await client.close()
        await #expect(throws: NFSClientError(.closed, "")) { try await task.value }
        await #expect(throws: NFSClientError(.closed, "")) { try await client.null() }
        try await poll(for: "end of the connection", within: .seconds(10)) {
            server.clientPorts.isEmpty ? () : nil
        }
        try await server.stop()
    }

    @Test func theLastReferenceEndsTheConnection() async throws {
        let server = try await SimulatedNFSServer.start()
        do {
            let client = try await server.client()
            try await client.null()
            #expect(server.clientPorts.count == 1)
        }
        try await poll(for: "end of the connection", within: .seconds(10)) {
            server.clientPorts.isEmpty ? () : nil
        }
        try await server.stop()
    }
}

import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWTestKit
import Testing
import XDR

@testable import ROWProxy

/// Clients that ask for more than they take.
@Suite(.serialized) struct LimitTests {
    @Test func aClientThatReadsNoRepliesIsNotServedFurther() async throws {
        let folder = try TemporaryDirectory()
        // A process of its own, whose memory nothing else uses.
        let proxy = try await RowctlProcess.start([
            "serve", try folder.directory("image"), "--session", "s", "--state",
            try folder.directory("state"),
        ])
        let client = try await Served.client(port: proxy.export.port, "s")
        let file = try await client.create("huge")
        _ = try await client.setattr(file, NFS3.SetAttributes(size: 1 << 20)).success
        let before = try ProcessMemory.residentBytes(of: proxy.processID)
        let raw = try await RawConnection.connect(port: proxy.export.port, isReading: false)
        let read = NFS3.Read.Arguments(file: file, offset: 0, count: 1 << 20)
        // A thousand megabytes of replies.
        for xid in 0..<1000 { raw.send(Message.nfs(xid: UInt32(xid), .read, read)) }
        // Others are served meanwhile.
        for _ in 0..<200 { #expect(try await client.getattr(file).status == .ok) }
        let grown = try ProcessMemory.residentBytes(of: proxy.processID) - before
        #expect(grown < 200 << 20, "\(grown >> 20) MiB")
        try await raw.startReading()
        for xid in 0..<1000 { #expect(try await raw.reply()?.xid == UInt32(xid)) }
        await client.close()
        try await proxy.terminate()
    }

    /// A client takes as many connections as it can get; there is room for others.
    @Test func oneClientCannotHaveAllConnections() async throws {
        let served = try await Served.directory { $0.connectionsOfOneMaximum = 3 }
        func isAnswered(_ raw: RawConnection) async throws -> Bool {
            raw.send(Message.record(Message.call(xid: 1, procedure: 0)))
            return try await raw.reply()?.xid == 1
        }
        var kept: [RawConnection] = []
        for _ in 0..<3 {
            let raw = try await served.raw(from: "127.0.0.2")
            #expect(try await isAnswered(raw))
            kept.append(raw)
        }
        for _ in 0..<5 {
            let refused = try await served.raw(from: "127.0.0.2")
            refused.send(Message.record(Message.call(xid: 1, procedure: 0)))
            #expect(try await refused.next() == nil)
        }
        // Another client, and as many as they like on this machine.
        for address in ["127.0.0.3", nil, nil, nil, nil] {
            let raw = try await served.raw(from: address)
            #expect(try await isAnswered(raw))
            kept.append(raw)
        }
        for raw in kept { #expect(try await isAnswered(raw)) }
        let events = try await served.proxy.status().events.map(\.message)
        #expect(events.contains { $0.contains("127.0.0.2: it has 3 already") })
        try await served.stop()
    }

    @Test func parkedCallsStopTheRecordsBehindThemUntilTheyAreAnswered() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        // The listing would answer what waits for a LOOKUP.
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        main.inject(.hold, on: .lookup, times: .max)
        let raw = try await served.raw()
        let count = 3 * RPCHandler.parkedCallsMaximum
        // One write: all of them arrive in a few reads.
        raw.send(
            (0..<count).flatMap { index in
                Message.nfs(
                    xid: UInt32(index), .lookup,
                    NFS3.Lookup.Arguments(
                        what: NFS3.DirectoryOperation(
                            directory: served.root, name: NFS3.Filename("missing\(index)"))))
            })
        try await poll(for: "lookups held by main", within: .seconds(20)) {
            main.repliesHeld >= RPCHandler.parkedCallsMaximum ? () : nil
        }
        // Another client's calls are looked at, this one's are not.
        for _ in 0..<50 { #expect(try await served.client.getattr(served.root).status == .ok) }
        #expect(main.repliesHeld == RPCHandler.parkedCallsMaximum)
        #expect(raw.repliesWaiting == 0)
        main.release()
        var seen: Set<UInt32> = []
        for _ in 0..<count { seen.insert(try #require(try await raw.reply()).xid) }
        #expect(seen.count == count)
        try await served.stop()
        try await main.stop()
    }

    @Test func thousandsOfPipelinedCallsAreAnsweredInOrder() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        let getattr = NFS3.Getattr.Arguments(object: served.root)
        let count = 20_000
        raw.send((0..<count).flatMap { Message.nfs(xid: UInt32($0), .getattr, getattr) })
        for xid in 0..<count { #expect(try await raw.reply()?.xid == UInt32(xid)) }
        try await served.stop()
    }

    @Test func callsWhoseClientLeavesAreForgotten() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        // The listing would answer what waits for a LOOKUP.
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        main.inject(.hold, on: .lookup, times: .max)
        let raw = try await served.raw()
        for index in 0..<100 {
            raw.send(
                Message.nfs(
                    xid: UInt32(index), .lookup,
                    NFS3.Lookup.Arguments(
                        what: NFS3.DirectoryOperation(
                            directory: served.root, name: NFS3.Filename("missing\(index)")))))
        }
        try await poll(for: "lookups held by main", within: .seconds(20)) {
            main.repliesHeld == 100 ? () : nil
        }
        try await raw.close()
        main.release()
        #expect(
            try await served.client.lookup(NFS3.Filename("hello"), in: served.root).status == .ok)
        try await served.stop()
        try await main.stop()
    }

    @Test(arguments: [Proxy.Durability.strict, .relaxed])
    func moreUnstableDataThanTheBudgetIsTakenAndKept(durability: Proxy.Durability) async throws {
        let budget = 96 << 20
        let served = try await Served.directory {
            $0.durability = durability
            $0.unstableBytesMaximum = budget
        }
        let file = try await served.create("much")
        let raw = try await served.raw()
        let chunk = [UInt8](repeating: 7, count: 1 << 20)
        let count = (budget >> 20) + 40
        for index in 0..<count {
            raw.send(
                Message.write(
                    xid: UInt32(index), file, offset: UInt64(index) << 20, chunk, .unstable))
        }
        var verifiers: Set<UInt64> = []
        for _ in 0..<count {
            let reply = try #require(try await raw.next(within: .seconds(120)))
            verifiers.insert(try reply.results(NFS3.Write.Result.self).success.verifier)
        }
        #expect(verifiers.count == 1)
        let commit = try await served.client.commit(file).success
        #expect(verifiers == [commit.verifier])
        #expect(
            try await served.client.getattr(file).success.attributes.size == UInt64(count) << 20)
        try await served.stop()
    }
}

import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
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

    // MARK: What all connections hold together

    private static let together = 4 << 20

    /// Of connections that nobody reads from none is ended: they get little at a time, and all of it in the end.
    @Test func connectionsThatTakeNoRepliesGetLittleWhileAllHoldMuch() async throws {
        let together = 16 << 20
        let served = try await Served.directory { $0.connectionBytesMaximum = together }
        let file = try await served.create("huge")
        _ = try await served.client.setattr(file, NFS3.SetAttributes(size: 1 << 20)).success
        let read = NFS3.Read.Arguments(file: file, offset: 0, count: 1 << 20)
        var slow: [RawConnection] = []
        // More replies than sockets hold.
        for _ in 0..<16 {
            let raw = try await served.raw(from: "127.0.0.2", isReading: false)
            raw.send((0..<64).flatMap { Message.nfs(xid: UInt32($0), .read, read) })
            slow.append(raw)
            #expect(try await served.client.getattr(file).status == .ok)
        }
        try await poll(for: "replies that nobody takes", within: .seconds(20)) {
            try await served.leftBytes() > together / 2 ? () : nil
        }
        // One that takes its replies, beside them.
        let patient = try await served.raw(from: "127.0.0.3")
        patient.send((0..<64).flatMap { Message.nfs(xid: UInt32($0), .read, read) })
        for xid in 0..<64 { #expect(try await patient.reply()?.xid == UInt32(xid)) }
        #expect(try await served.leftBytes() < together)
        var sizes: Set<UInt32> = []
        for raw in slow {
            try await raw.startReading()
            for _ in 0..<64 {
                let record = try #require(try await raw.next())
                sizes.insert(try record.results(NFS3.Read.Result.self).success.count)
            }
        }
        #expect(sizes == [32 << 10, 1 << 20])
        #expect(try await served.leftBytes() == 0)
        try await served.stop()
    }

    @Test func connectionsThatFinishNoRecordAreEndedWhenTheyHoldTooMuch() async throws {
        let served = try await Served.directory { $0.connectionBytesMaximum = Self.together }
        // Of another client, which holds less, and longer.
        let other = try await served.raw(from: "127.0.0.3")
        let slow = Message.record(Message.call(xid: 7, procedure: 0))
        other.send(Array(slow.dropLast()))
        let bytes = [UInt8](repeating: 0, count: RecordScanner.recordBytesMaximum - 1)
        var large: [RawConnection] = []
        for _ in 0..<16 {
            let raw = try await served.raw(from: "127.0.0.2")
            raw.send(Message.mark(RecordScanner.recordBytesMaximum) + bytes)
            large.append(raw)
        }
        // At once; those that stay would go one by one.
        let fitting = 2 * Self.together / RecordScanner.recordBytesMaximum
        try await poll(for: "end of all but \(fitting) connections", within: .seconds(20)) {
            large.count(where: \.isOver) >= large.count - fitting ? () : nil
        }
        other.send([slow.last!])
        #expect(try await other.reply()?.xid == 7)
        #expect(try await served.client.getattr(served.root).status == .ok)
        try await served.stop()
    }

    /// A hundred clients whose records come in small pieces are no burden, however much memory is read into.
    @Test func manyUnfinishedSmallRecordsAreKept() async throws {
        let served = try await Served.directory { $0.connectionBytesMaximum = Self.together }
        let record = Message.record(Message.call(xid: 9, procedure: 0))
        var clients: [RawConnection] = []
        for _ in 0..<100 { clients.append(try await served.raw()) }
        for count in [10, record.count - 1] {
            for client in clients { client.send(Array(record[(count == 10 ? 0 : 10)..<count])) }
            #expect(try await served.client.getattr(served.root).status == .ok)
        }
        for client in clients { client.send([record.last!]) }
        for client in clients { #expect(try await client.reply()?.xid == 9) }
        try await served.stop()
    }

    /// However many connections there are, few calls wait; the rest are looked at when those have ended.
    @Test func callsOfAllConnectionsThatWaitAreBoundedTogether() async throws {
        let main = try await SimulatedNFSServer.start()
        let (clients, each, bound) = (10, 30, 20)
        func lookup(_ xid: Int, in root: NFS3.FileHandle) -> [UInt8] {
            let name = NFS3.Filename("\(xid)")
            return Message.nfs(
                xid: UInt32(xid), .lookup,
                NFS3.Lookup.Arguments(
                    what: NFS3.DirectoryOperation(directory: root, name: name)))
        }
        let served = try await Served.remote(main) {
            $0.mainTimeout = .seconds(600)
            let call = lookup(
                1000, in: NFS3.FileHandle([UInt8](repeating: 0, count: VirtualHandle.byteCount))!)
            $0.connectionBytesMaximum = bound * (call.count - RPC.recordMarkSize) / 2
        }
        // The listing would answer what waits for a LOOKUP.
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        main.inject(.hold, on: .lookup, times: .max)
        var connections: [RawConnection] = []
        for client in 0..<clients {
            let raw = try await served.raw()
            raw.send((0..<each).flatMap { lookup(1000 + client * each + $0, in: served.root) })
            connections.append(raw)
        }
        // Those that have none of the first may have one each.
        let most = bound + clients - 1
        try await poll(for: "lookups held by main", within: .seconds(20)) {
            main.repliesHeld >= bound ? () : nil
        }
        for _ in 0..<50 { #expect(try await served.client.getattr(served.root).status == .ok) }
        #expect((bound...most).contains(main.repliesHeld), "\(main.repliesHeld)")
        main.release()
        for (client, raw) in connections.enumerated() {
            var seen: Set<UInt32> = []
            for _ in 0..<each { seen.insert(try #require(try await raw.reply()).xid) }
            #expect(seen == Set((0..<each).map { UInt32(1000 + client * each + $0) }))
        }
        try await served.stop()
        try await main.stop()
    }
}

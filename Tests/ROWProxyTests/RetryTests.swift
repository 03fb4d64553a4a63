import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWProxy
import ROWTestKit
import Testing
import XDR

/// Calls that are sent again (RFC 1813 §4.5): executed once, answered the same.
@Suite struct RetryTests {
    private func create(_ name: String, in root: NFS3.FileHandle, xid: UInt32) -> [UInt8] {
        Message.nfs(
            xid: xid, .create,
            NFS3.Create.Arguments(
                location: NFS3.DirectoryOperation(directory: root, name: NFS3.Filename(name)),
                how: .guarded(NFS3.SetAttributes(mode: 0o644))))
    }

    private func remove(_ name: String, in root: NFS3.FileHandle, xid: UInt32) -> [UInt8] {
        Message.nfs(
            xid: xid, .remove,
            NFS3.Remove.Arguments(
                object: NFS3.DirectoryOperation(directory: root, name: NFS3.Filename(name))))
    }

    @Test func aCallSentTwiceAtOnceIsExecutedOnce() async throws {
        let served = try await Served.directory { $0.durability = .strict }
        let raw = try await served.raw()
        let call = create("once", in: served.root, xid: 1)
        raw.send(call + call)
        let first = try #require(try await raw.next())
        #expect(try first.results(NFS3.Create.Result.self).status == .ok)
        // Only one answer: the next one is the next call's.
        raw.send(remove("once", in: served.root, xid: 2))
        let second = try #require(try await raw.next())
        #expect(try second.results(NFS3.Remove.Result.self).status == .ok)
        #expect(try RPC.parseReply(second.span.bytes).xid == 2)
        try await served.stop()
    }

    @Test func aRetryGetsTheAnswerOfTheFirst() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        for call in [
            create("again", in: served.root, xid: 1), remove("hello", in: served.root, xid: 2),
        ] {
            raw.send(call)
            let first = try #require(try await raw.next())
            raw.send(call)
            #expect(try await raw.next() == first)
            // Over another connection too: the client has lost this one.
            let other = try await served.raw()
            other.send(call)
            #expect(try await other.next() == first)
        }
        // A failure is an answer as well.
        let failing = remove("nothing", in: served.root, xid: 3)
        raw.send(failing)
        let noent = try #require(try await raw.next())
        _ = try await served.create("nothing")
        raw.send(failing)
        #expect(try await raw.next() == noent)
        try await served.stop()
    }

    @Test func theSameXIDWithOtherArgumentsIsAnotherCall() async throws {
        let served = try await Served.directory()
        let raw = try await served.raw()
        for name in ["a", "b", "c"] {
            raw.send(create(name, in: served.root, xid: 1))
            let reply = try #require(try await raw.next())
            #expect(try reply.results(NFS3.Create.Result.self).status == .ok)
        }
        try await served.stop()
    }

    @Test(arguments: [Proxy.Durability.strict, .relaxed])
    func aRetryAfterARestartGetsTheAnswerOfTheFirst(durability: Proxy.Durability) async throws {
        let served = try await Served.directory { $0.durability = durability }
        let raw = try await served.raw()
        let calls = [
            create("kept", in: served.root, xid: 1), remove("hello", in: served.root, xid: 2),
        ]
        var answers: [[UInt8]] = []
        for call in calls {
            raw.send(call)
            answers.append(try #require(try await raw.next()))
        }
        let again = try await served.restarted()
        let other = try await again.raw()
        for (call, answer) in zip(calls, answers) {
            other.send(call)
            #expect(try await other.next() == answer)
        }
        try await again.stop()
    }

    @Test func aStableWriteSentTwiceAtOnceIsWrittenOnce() async throws {
        let served = try await Served.directory { $0.durability = .strict }
        let file = try await served.create("w")
        let raw = try await served.raw()
        let call = Message.write(xid: 1, file, Array("data".utf8), .fileSync)
        let before = try await served.proxy.status().calls.shadow["WRITE"] ?? 0
        raw.send(call + call)
        #expect(try await raw.reply()?.xid == 1)
        raw.send(Message.nfs(xid: 2, .getattr, NFS3.Getattr.Arguments(object: file)))
        #expect(try await raw.reply()?.xid == 2)
        #expect(try await served.proxy.status().calls.shadow["WRITE"] == before + 1)
        // Once it is answered it may be written again.
        raw.send(call)
        #expect(try await raw.reply()?.xid == 1)
        #expect(try await served.proxy.status().calls.shadow["WRITE"] == before + 2)
        try await served.stop()
    }

    @Test func aRetryOverANewConnectionIsAnsweredThere() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        // The listing would answer what waits for a LOOKUP.
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        main.inject(.hold, on: .lookup)
        let call = create("new", in: served.root, xid: 1)
        let first = try await served.raw()
        first.send(call)
        try await poll(for: "lookup held by main", within: .seconds(20)) {
            main.repliesHeld == 1 ? () : nil
        }
        let second = try await served.raw()
        second.send(call)
        // Seen before the first connection goes.
        second.send(Message.record(Message.call(xid: 2, procedure: 0)))
        #expect(try await second.reply()?.xid == 2)
        try await first.close()
        main.release()
        let reply = try #require(try await second.next())
        #expect(try reply.results(NFS3.Create.Result.self).status == .ok)
        try await served.stop()
        try await main.stop()
    }

    @Test func aCallThatHasNotBegunGoesWithItsConnection() async throws {
        let main = try await SimulatedNFSServer.start()
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        // The listing would answer what waits for a LOOKUP.
        main.inject(.refuse(.io), on: .readdirplus, times: .max)
        main.inject(.hold, on: .lookup)
        let raw = try await served.raw()
        raw.send(create("never", in: served.root, xid: 1))
        try await poll(for: "lookup held by main", within: .seconds(20)) {
            main.repliesHeld == 1 ? () : nil
        }
        try await raw.close()
        // The end of the connection is seen no later than this call, which was sent after it.
        try await served.client.null()
        main.release()
        let found = try await served.client.lookup(NFS3.Filename("never"), in: served.root)
        #expect(found.status == .noent)
        // And it can be sent again.
        let again = try await served.raw()
        again.send(create("never", in: served.root, xid: 1))
        let reply = try #require(try await again.next())
        #expect(try reply.results(NFS3.Create.Result.self).status == .ok)
        try await served.stop()
        try await main.stop()
    }
}

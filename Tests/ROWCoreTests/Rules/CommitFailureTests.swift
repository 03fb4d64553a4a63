import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// When a transaction fails nothing of it has happened, in memory as on disk, and clients send again
/// what they were not told is safe.
@Suite struct CommitFailureTests {
    private let engine: Engine
    private let file: NodeID
    private let fault: Fault
    private let old = [UInt8](repeating: 5, count: 9000)

    init() throws {
        var tree = PlainTree()
        tree.make("main", data: [1, 2, 3])
        tree.make("d", .directory)
        engine = try Engine(PlainMain(tree))
        file = try engine.create(.root, "file")
        try engine.store(file, 0, old)
        fault = try Fault(engine)
    }

    private func failing(_ body: () throws -> Void) throws {
        let verifier = engine.session.writeVerifier
        try fault.on()
        #expect(throws: Refusal(.io)) { try body() }
        try fault.off()
        #expect(engine.session.writeVerifier != verifier)
        #expect(engine.events.contains { $0.contains("commit failed") })
    }

    @Test func namesAreAsTheyWere() throws {
        try failing { try engine.remove(.root, "main") }
        try failing { try engine.rename(.root, "file", .root, "other") }
        try failing { try engine.create(.root, "new") }
        try failing { try engine.rmdir(.root, "d") }
        for _ in 0..<2 {
            #expect(try engine.names(.root) == ["d", "file", "main"])
            #expect(try engine.read(try engine.lookup("main")).bytes == [1, 2, 3])
            #expect(try engine.read(try engine.lookup("file")).bytes == old)
            try engine.restart()
        }
    }

    @Test func attributesAreAsTheyWere() throws {
        let before = try engine.attributes(file)
        try failing { try engine.setAttributes(file, NFS3.SetAttributes(mode: 0o4777, uid: 9)) }
        #expect(try engine.attributes(file) == before)
        try engine.restart()
        #expect(try engine.attributes(file) == before)
    }

    @Test func aCutThatWasNotCommittedTakesNothingAway() throws {
        try failing { try engine.setSize(file, 10) }
        #expect(try engine.read(file).bytes == old)
        try engine.restart()
        #expect(try engine.read(file).bytes == old)
    }

    @Test func aWriteAfterACutWaitsUntilTheCutIsCommitted() throws {
        _ = try engine.run { session throws(Interrupt) in
            try session.setAttributes(
                file, NFS3.SetAttributes(size: 10), guardTime: nil, .root)
        }
        // It would write zeros over bytes that are still needed if the cut is taken back.
        try failing { try engine.write(file, 100, [1], .unstable) }
        #expect(try engine.read(file).bytes == old)
        try engine.setSize(file, 10)
        try engine.store(file, 100, [1])
        #expect(
            try engine.read(file).bytes == Array(old[..<10]) + [UInt8](repeating: 0, count: 90) + [
                1
            ])
    }

    @Test func aRemovalThatWasNotCommittedKeepsTheData() throws {
        try failing { try engine.remove(.root, "file") }
        #expect(try engine.read(file).bytes == old)
    }

    @Test func unrecordedWritesAreForgottenAndCanBeSentAgain() throws {
        try engine.write(file, 9000, [1, 2, 3], .unstable)
        try failing { try engine.store(file, 20_000, [4]) }
        #expect(try engine.read(file).bytes == old)
        try engine.store(file, 9000, [1, 2, 3])
        #expect(try engine.read(file).bytes == old + [1, 2, 3])
        engine.crash()
        try engine.open()
        #expect(try engine.read(file).bytes == old + [1, 2, 3])
    }

    @Test func everyoneWhoWaitedIsTold() throws {
        try fault.on()
        var statuses: [NFS3.Status?] = []
        for index in 0..<3 {
            _ = try engine.run { session throws(Interrupt) in
                try session.create(
                    .root, Array("n\(index)".utf8), .guarded(NFS3.SetAttributes()), .root)
            }
            engine.session.commit { statuses.append($0) }
        }
        #expect(throws: Refusal(.io)) { try engine.commit() }
        try fault.off()
        #expect(statuses == [.io, .io, .io])
        #expect(try engine.names(.root) == ["d", "file", "main"])
    }

    @Test func dataThatCannotBeSyncedIsNotRecorded() throws {
        var options = Engine.Options()
        options.isDurable = true
        let engine = try Engine(self.engine.main, options)
        let file = try engine.create(.root, "file")
        try engine.write(file, 0, [1, 2, 3], .unstable)
        // A pipe takes the place of the shadow's file: it cannot be synced.
        let (reading, writing) = try FileDescriptor.pipe()
        defer { try? writing.close() }
        let node = try engine.run { session throws(Interrupt) in try session.node(file) }
        node.content?.top.file = SparseFile(descriptor: reading)
        let verifier = engine.session.writeVerifier
        #expect(
            engine.status { session throws(Interrupt) in try session.commitFile(file) } == .io)
        #expect(engine.session.writeVerifier != verifier)
        #expect(try engine.attributes(file).size == 0)
        try engine.restart()
        #expect(try engine.read(file).bytes.isEmpty)
    }

    @Test func repliesGoWithTheirClientAndByCount() throws {
        func reply(_ client: UInt8, _ xid: UInt32) -> StoredReply {
            StoredReply(client: [client], xid: xid, procedure: 8, checksum: 9, body: [1])
        }
        let limit = UInt32(StoredReply.countPerClient)
        for xid in 0..<(limit + 3) { engine.session.store(reply(1, xid)) }
        engine.session.store(reply(2, 7))
        try engine.commit()
        var stored = try engine.session.storedReplies()
        #expect(stored.filter { $0.client == [1] }.map(\.xid) == Array(3..<(limit + 3)))
        #expect(stored.filter { $0.client == [2] }.map(\.xid) == [7])
        engine.session.forgetReplies(of: [1])
        try engine.commit()
        stored = try engine.session.storedReplies()
        #expect(stored.map(\.client) == [[2]])
    }

    @Test func repliesOfCallsThatFailedAreNotStored() throws {
        let reply = StoredReply(
            client: [127, 0, 0, 1], xid: 7, procedure: 8, checksum: 9, body: [1])
        try failing {
            _ = try engine.run { session throws(Interrupt) in
                try session.remove(.root, Array("main".utf8), .root)
            }
            engine.session.store(reply)
            try engine.commit()
        }
        #expect(try engine.session.storedReplies().isEmpty)
        engine.session.store(reply)
        try engine.commit()
        try engine.restart()
        #expect(try engine.session.storedReplies().map(\.xid) == [7])
    }
}

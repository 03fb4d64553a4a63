import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// After a failed sync the kernel takes for clean what it could not write: the next sync succeeds and
/// makes nothing durable. That is never taken for a success.
@Suite struct FailedSyncTests {
    private let root = PowerScratch.newPath()
    private let main: PlainTree
    private let recorder: StorageRecorder
    private let engine: Engine
    private let old = [UInt8](repeating: 5, count: 9000)

    init() throws {
        var tree = PlainTree()
        tree.make("main", data: old)
        main = tree
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        recorder = StorageRecorder(below: root)
        var options = Engine.Options()
        options.isDurable = true
        engine = try Engine(PlainMain(tree), directory: root + "/state", options)
    }

    private func ended() {
        recorder.stop()
        try? FileManager.default.removeItem(atPath: root)
    }

    /// Looks at what a loss of power would leave now.
    private func afterPowerLoss<T>(_ body: (Engine) throws -> T) throws -> T {
        var disk = SimulatedDisk()
        for (position, event) in recorder.events.enumerated() { disk.apply(event, at: position) }
        let place = PowerScratch.newPath()
        defer { try? FileManager.default.removeItem(atPath: place) }
        try disk.state(Fate(.old)).write(below: place)
        let engine = try Engine(PlainMain(main), directory: place + "/state")
        defer { engine.crash() }
        return try body(engine)
    }

    private func bytesAfterPowerLoss(_ file: NodeID) throws -> [UInt8] {
        try afterPowerLoss { try $0.read(file).bytes }
    }

    private func commitFile(_ file: NodeID) -> NFS3.Status? {
        engine.status { session throws(Interrupt) in try session.commitFile(file) }
    }

    enum Failure: CaseIterable {
        case dataAtCommit, dataAtStableWrite, dataOfBothFiles, log, directory
    }

    @Test(arguments: Failure.allCases)
    func whatWasNotSyncedIsSentAgain(_ failure: Failure) throws {
        defer { ended() }
        let file = try engine.lookup("main")
        let other = try engine.create(.root, "other")
        var expected = old
        if failure != .directory {
            try engine.store(file, 0, [1])
            try engine.store(other, 0, [1])
            expected[0] = 1
        }
        let verifier = engine.session.writeVerifier
        let names = [file, other].map { LayerID(node: $0, layer: 0).fileName }
        switch failure {
        case .dataAtCommit, .dataAtStableWrite: recorder.failSyncs(of: [names[0]])
        case .dataOfBothFiles: recorder.failSyncs(of: Set(names))
        case .log: recorder.failSyncs(of: ["session.sqlite-wal"])
        case .directory: recorder.failSyncs(of: ["shadow"])
        }
        try engine.write(file, 4096, [2], failure == .dataAtStableWrite ? .fileSync : .unstable)
        try engine.write(other, 0, [3], .unstable)
        // Both wait for the same transaction.
        var statuses: [NFS3.Status?] = []
        for id in [file, other] {
            _ = try engine.run { session throws(Interrupt) in try session.commitFile(id) }
            engine.session.commit { statuses.append($0) }
        }
        engine.wait { statuses.count == 2 }
        #expect(statuses == [.io, .io])
        #expect(engine.session.writeVerifier != verifier)
        #expect(engine.events.contains { $0.contains("commit failed") })
        recorder.failSyncs(of: [])

        // What succeeds now says nothing about what was lost.
        #expect(commitFile(file) == nil)
        try engine.store(file, 8192, [4])
        expected[8192] = 4
        #expect(commitFile(file) == nil)
        #expect(try engine.read(file).bytes == expected)
        #expect(try bytesAfterPowerLoss(file) == expected)
        #expect(try recordedParts(of: file, block: 1) == 0)

        // Sent again, it is there.
        try engine.write(file, 4096, [2], .unstable)
        #expect(commitFile(file) == nil)
        expected[4096] = 2
        try engine.store(other, 0, [3])
        #expect(try bytesAfterPowerLoss(file) == expected)
        #expect(try bytesAfterPowerLoss(other) == [3])
        engine.crash()
        try engine.open()
        #expect(try engine.read(file).bytes == expected)
    }

    private func recordedParts(of file: NodeID, block: Int) throws -> Int? {
        try engine.session.store.writer.readNow { db in
            try Int.fetchOne(
                db, sql: "SELECT count(*) FROM partial WHERE node = ? AND block = ?",
                arguments: [file.row, block])
        }
    }

    /// The log is kept until what it holds is in the database for sure.
    @Test func aDatabaseThatCannotBeSyncedLosesNothing() throws {
        defer { ended() }
        let file = try engine.lookup("main")
        try engine.store(file, 0, [1])
        var expected = old
        expected[0] = 1
        recorder.failSyncs(of: ["session.sqlite"])
        try engine.close()
        recorder.failSyncs(of: [])
        #expect(try bytesAfterPowerLoss(file) == expected)
        try engine.open()
        try engine.store(file, 1, [2])
        expected[1] = 2
        try engine.restart()
        #expect(try bytesAfterPowerLoss(file) == expected)
    }

    /// A number that main's objects are known by is not told before it is on disk.
    @Test func anObjectOfMainKeepsItsNumber() throws {
        defer { ended() }
        recorder.failSyncs(of: ["image.sqlite-wal"])
        #expect(throws: Refusal(.io)) { try engine.lookup("main") }
        recorder.failSyncs(of: [])
        let file = try engine.lookup("main")
        #expect(try afterPowerLoss { try $0.lookup("main") } == file)
    }

    @Test func aSnapshotThatCannotBeSyncedIsNotThere() throws {
        defer { ended() }
        let file = try engine.lookup("main")
        try engine.store(file, 0, [1])
        for name in ["shadow", "session.sqlite", "snapshots"] {
            recorder.failSyncs(of: [name])
            #expect(throws: StateError.self) { try engine.takeSnapshot("one") }
            recorder.failSyncs(of: [])
            try engine.store(file, 1, [2])
        }
        try engine.takeSnapshot("two")
        let tags = try afterPowerLoss { Snapshots.tags(of: .init($0.sessionDirectory)) }
        #expect(tags.contains("two"))
    }
}

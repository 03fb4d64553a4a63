import Foundation
import NFSProtocol
import Synchronization
import SystemPackage
import Testing

@testable import ROWCore

/// Everything that changes storage goes through one place, SQLite's changes too.
@Suite struct StorageTests {
    /// Notes what is done to which file, and fails the calls it is told to.
    private final class Notes: StorageObserver {
        private let lines = Mutex<[String]>([])
        /// Names of files whose syncs fail.
        let unsyncable = Mutex<Set<String>>([])

        func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int {
            let name = path.split(separator: "/").last.map(String.init) ?? ""
            let kind = "\(change)".prefix { $0 != "(" }
            lines.withLock { $0.append("\(kind) \(name)") }
            if case .sync = change, unsyncable.withLock({ $0.contains(name) }) {
                return -Int(Errno.ioError.rawValue)
            }
            return call()
        }

        func take() -> [String] { lines.withLock { lines in exchange(&lines, []) } }

        private func exchange<T>(_ value: inout T, _ new: T) -> T {
            defer { value = new }
            return value
        }
    }

    private let engine: Engine
    private let notes = Notes()
    private let old = [UInt8](repeating: 5, count: 9000)

    init() throws {
        var tree = PlainTree()
        tree.make("main", data: old)
        var options = Engine.Options()
        options.isDurable = true
        let directory =
            FileManager.default.temporaryDirectory.resolvingSymlinksInPath().path
            + "/rowcore." + UUID().uuidString
        Storage.observe(below: directory, by: notes)
        engine = try Engine(PlainMain(tree), directory: directory, options)
    }

    private func ended() {
        Storage.stopObserving(notes)
        try? FileManager.default.removeItem(atPath: engine.directory)
    }

    @Test func dataIsSyncedBeforeTheDatabaseThatTellsOfIt() throws {
        defer { ended() }
        let opening = notes.take()
        #expect(opening.contains("makeDirectories shadow"))
        #expect(opening.contains("sync session.sqlite-wal"))
        #expect(opening.contains("sync image.sqlite-wal"))
        let file = try engine.lookup("main")
        _ = notes.take()
        let before = Syncs.done
        try engine.store(file, 100, [1, 2, 3])
        let name = LayerID(node: file, layer: 0).fileName
        let calls = notes.take().filter { !$0.hasPrefix("write session.sqlite") }
        #expect(
            calls == [
                "create \(name)", "write \(name)", "sync \(name)", "syncDirectory shadow",
                "sync session.sqlite-wal",
            ])
        let after = Syncs.done
        #expect(after.data > before.data && after.directories > before.directories)
        #expect(after.databases > before.databases)
        try engine.close()
        #expect(notes.take().contains("sync session.sqlite"))
    }

    /// The kernel takes pages that it failed to write for clean, so the next sync tells of success.
    @Test func aFailedSyncIsNeverASuccessLater() throws {
        defer { ended() }
        let file = try engine.lookup("main")
        let other = try engine.create(.root, "other")
        try engine.store(file, 0, [1])
        try engine.write(file, 4096, [2], .unstable)
        let verifier = engine.session.writeVerifier
        _ = notes.unsyncable.withLock { $0.insert(LayerID(node: file, layer: 0).fileName) }
        // Both wait for the same transaction.
        try engine.write(other, 0, [3], .unstable)
        var statuses: [NFS3.Status?] = []
        for id in [file, other] {
            _ = try engine.run { session throws(Interrupt) in try session.commitFile(id) }
        }
        engine.session.commit { statuses.append($0) }
        engine.session.commit { statuses.append($0) }
        engine.wait { statuses.count == 2 }
        #expect(statuses == [.io, .io])
        #expect(engine.session.writeVerifier != verifier)
        #expect(engine.events.contains { $0.contains("commit failed") })
        notes.unsyncable.withLock { $0.removeAll() }

        // What comes now succeeds, and says nothing about what was lost.
        var expected = old
        expected[0] = 1
        #expect(try engine.read(file).bytes == expected)
        try engine.store(file, 8192, [4])
        expected[8192] = 4
        _ = try engine.call { session throws(Interrupt) in try session.commitFile(file) }
        #expect(try engine.read(file).bytes == expected)
        engine.crash()
        try engine.open()
        #expect(try engine.read(file).bytes == expected)
        #expect(try engine.read(other).bytes.isEmpty)

        // Sent again, it is there.
        try engine.store(file, 4096, [2])
        expected[4096] = 2
        engine.crash()
        try engine.open()
        #expect(try engine.read(file).bytes == expected)
    }

    @Test func aFailedSyncOfTheDatabaseIsAFailedCommit() throws {
        defer { ended() }
        let file = try engine.lookup("main")
        _ = notes.unsyncable.withLock { $0.insert("session.sqlite-wal") }
        let verifier = engine.session.writeVerifier
        #expect(throws: Refusal(.io)) { try engine.store(file, 0, [1]) }
        #expect(engine.session.writeVerifier != verifier)
        #expect(engine.events.contains { $0.contains("commit failed") })
        notes.unsyncable.withLock { $0.removeAll() }
        try engine.store(file, 1, [2])
        engine.crash()
        try engine.open()
        var expected = old
        expected[1] = 2
        #expect(try engine.read(file).bytes == expected)
    }

    /// SQLite would take a log of 4 MiB over into the database, or try to, whenever something is committed.
    @Test func aLongLogCostsACommitNoFurtherSyncs() throws {
        defer { ended() }
        engine.session.store(
            StoredReply(
                client: [1], xid: 1, procedure: 8, checksum: 9,
                body: [UInt8](repeating: 1, count: 5 << 20)))
        try engine.commit()
        #expect(try Disk.size(engine.sessionDirectory + "/session.sqlite-wal") > 5 << 20)
        try engine.remove(.root, "main")
        _ = notes.take()
        for round in 0..<3 {
            // The loop's reader needs what is in the log.
            #expect(try engine.names(.root).count == round)
            try engine.mkdir(.root, "d\(round)")
            let syncs = notes.take().filter { $0.hasPrefix("sync") }
            #expect(syncs == ["sync session.sqlite-wal"])
        }
    }

    @Test func aSyncCanBeDelayed() throws {
        defer { ended() }
        // Others sync meanwhile: a short delay, which harms nobody.
        Syncs.delayMilliseconds = 2
        defer { Syncs.delayMilliseconds = 0 }
        let clock = ContinuousClock()
        let time = try clock.measure { try engine.mkdir(.root, "d") }
        #expect(time >= .milliseconds(2))
    }
}

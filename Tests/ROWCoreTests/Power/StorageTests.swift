import Foundation
import Synchronization
import Testing

@testable import ROWCore

/// Everything that changes storage goes through one place, SQLite's changes too.
@Suite struct StorageTests {
    /// Notes what is done to which file.
    private final class Notes: StorageObserver {
        private let lines = Mutex<[String]>([])

        func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int {
            let name = path.split(separator: "/").last.map(String.init) ?? ""
            let kind = "\(change)".prefix { $0 != "(" }
            lines.withLock { $0.append("\(kind) \(name)") }
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
        let directory = Engine.newDirectory()
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
        // Imports the listing.
        #expect(try engine.names(.root).isEmpty)
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

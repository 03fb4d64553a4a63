import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// The files of a batch are synced several at a time, and still all before the transaction. Serialized:
/// the threads are the same for all.
@Suite(.serialized) struct ParallelSyncTests {
    /// Holds syncs of files back until so many of them, or the one that fails, have begun.
    ///
    /// `@unchecked Sendable`: every access to what changes is under the lock.
    private final class Gate: StorageObserver, @unchecked Sendable {
        private let condition = NSCondition()
        private var names: Set<String> = []
        private var wanted = 0
        private var failing: String?
        private var isOpen = false
        private var atWork = 0
        private var mostAtWork = 0
        private var synced: [String] = []
        private var hasTimedOut = false

        struct Outcome: Equatable {
            /// Of the files and of the log, in the order in which they ended.
            var synced: [String]
            var mostAtWork: Int
            var hasTimedOut: Bool
        }

        /// - Parameter count: how many syncs have to be at work at once.
        func close(_ names: [String], until count: Int, failing: String? = nil) {
            condition.withLock {
                self.names = Set(names)
                wanted = count
                self.failing = failing
                (isOpen, synced, mostAtWork) = (false, [], 0)
            }
        }

        var isIdle: Bool { condition.withLock { atWork == 0 } }

        var outcome: Outcome {
            condition.withLock {
                Outcome(synced: synced, mostAtWork: mostAtWork, hasTimedOut: hasTimedOut)
            }
        }

        func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int {
            guard case .sync = change else { return call() }
            let name = path.split(separator: "/").last.map(String.init) ?? ""
            return condition.withLock { names.contains(name) }
                ? sync(name, call)
                : noting(name, call)
        }

        private func noting(_ name: String, _ call: () -> Int) -> Int {
            let result = call()
            condition.withLock { synced.append(name) }
            return result
        }

        private func sync(_ name: String, _ call: () -> Int) -> Int {
            let isRefused = condition.withLock {
                atWork += 1
                mostAtWork = max(mostAtWork, atWork)
                if atWork == wanted || name == failing {
                    isOpen = true
                    condition.broadcast()
                }
                let deadline = Date(timeIntervalSinceNow: 120)
                while !isOpen, !hasTimedOut {
                    hasTimedOut = !condition.wait(until: deadline)
                }
                return name == failing
            }
            let result = isRefused ? -Int(Errno.ioError.rawValue) : call()
            condition.withLock {
                atWork -= 1
                synced.append(name)
            }
            return result
        }
    }

    private let engine: Engine
    private let gate = Gate()

    init() throws {
        var options = Engine.Options()
        options.isDurable = true
        let directory = Engine.newDirectory()
        Storage.observe(below: directory, by: gate)
        engine = try Engine(PlainMain(PlainTree()), directory: directory, options)
    }

    private func ended() {
        Storage.stopObserving(gate)
        try? FileManager.default.removeItem(atPath: engine.directory)
    }

    /// Files with data that is not recorded yet, and asked for.
    private func files(_ count: Int) throws -> [NodeID] {
        let files = try (0..<count).map { try engine.create(.root, "file.\($0)") }
        for (index, file) in files.enumerated() {
            try engine.write(file, 0, [UInt8(index)], .unstable)
        }
        for file in files {
            _ = try engine.run { session throws(Interrupt) in try session.commitFile(file) }
        }
        return files
    }

    private func names(_ files: [NodeID]) -> [String] {
        files.map { LayerID(node: $0, layer: 0).fileName }
    }

    @Test func filesOfABatchAreSyncedTogetherAndBeforeTheirRows() throws {
        defer { ended() }
        let files = try files(ParallelSync.width * 2 + 3)
        gate.close(names(files), until: ParallelSync.width)
        try engine.commit()
        let outcome = gate.outcome
        #expect(!outcome.hasTimedOut && outcome.mostAtWork == ParallelSync.width)
        #expect(outcome.synced.count == files.count + 1)
        #expect(Set(outcome.synced.dropLast()) == Set(names(files)))
        #expect(outcome.synced.last == "session.sqlite-wal")
        engine.crash()
        try engine.open()
        for (index, file) in files.enumerated() {
            #expect(try engine.read(file).bytes == [UInt8(index)])
        }
    }

    /// The others go on while one fails: nobody may hear of it before they have ended.
    @Test func oneFileThatCannotBeSyncedFailsTheBatchWhenAllHaveEnded() throws {
        defer { ended() }
        let files = try files(ParallelSync.width + 2)
        let failing = names(files)[3]
        // Also when all threads are at work on others: then the failing one is yet to come.
        gate.close(names(files), until: ParallelSync.width, failing: failing)
        var told: [(status: NFS3.Status?, isIdle: Bool)] = []
        for _ in 0..<2 { engine.session.commit { told.append(($0, gate.isIdle)) } }
        engine.wait { told.count == 2 }
        #expect(told.allSatisfy { $0.status == .io && $0.isIdle })
        #expect(!gate.outcome.hasTimedOut)
        #expect(Set(gate.outcome.synced) == Set(names(files)))

        // Nothing of the batch is recorded, not now and not by what comes later.
        gate.close([], until: 0)
        for round in 0..<2 {
            for file in files { #expect(try engine.read(file).bytes.isEmpty) }
            guard round == 0 else { break }
            try engine.store(files[0], 0, [9])
            try engine.setSize(files[0], 0)
            engine.crash()
            try engine.open()
        }
    }
}

import Foundation
import Testing

@testable import ROWCore

/// The power is lost at every sync of a long workload: what was promised is there, and nothing else.
@Suite struct PowerLossTests {
    static let isLong = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil

    /// One recording for all tests that try every sync: the same operations each time, but for the long
    /// form. Other operations each time are for ``whatWasPromisedIsThereAtAnyTime(lane:)``.
    static let recording = Result {
        try PowerWorkload.record(
            isLong ? Randomness(for: 77) : Randomness(seed: 77), count: 320)
    }

    static let lanes = 0..<4

    @Test(arguments: lanes)
    func whatWasPromisedIsThereAfterEverySync(lane: Int) throws {
        let recording = try Self.recording.get()
        #expect(recording.operationCount >= 300)
        #expect(recording.copies.count == 5)
        var random = Randomness(for: UInt64(lane))
        var disk = SimulatedDisk()
        var index = 0
        for (position, event) in recording.events.enumerated() {
            if event.isSync {
                if index % Self.lanes.count == lane {
                    let depth = Self.depth(recording, position, index / Self.lanes.count)
                    for fate in Self.fates(index, &random) {
                        do {
                            try PowerCheck(recording: recording, cut: position)
                                .check(disk.state(fate), depth)
                        } catch {
                            Issue.record(
                                "\(error) at event \(position) (\(event.summary)), \(fate); \(recording.note)"
                            )
                            return
                        }
                    }
                }
                index += 1
            }
            disk.apply(event, at: position)
        }
    }

    private static func depth(
        _ recording: PowerRecording, _ position: Int, _ index: Int
    ) -> PowerCheck.Depth {
        if index % 10 == 0 { return .all }
        return recording.copies.contains { abs($0.position - position) < 40 } ? .copies : .session
    }

    private static func fates(_ index: Int, _ random: inout Randomness) -> [Fate] {
        let others = Fate(.random(Randomness(seed: random.next())), hasGarbage: true)
        let torn = Fate(.torn(position: 0, keeping: Double(random.below(100)) / 100))
        if isLong { return [others, torn, Fate(.old)] }
        return [others, index % 2 == 0 ? torn : Fate(.old)]
    }

    // MARK: Cheating disks

    /// A disk that ignores one sync, or does it later than another one, is found out, unless nothing
    /// depends on the sync; then the log of events tells why.
    @Test func aDiskThatCheatsIsFoundOut() async throws {
        let recording = try Self.recording.get()
        let tally = try await withThrowingTaskGroup(of: [String: Int].self) { group in
            for lane in Self.lanes {
                group.addTask { try Self.cheat(recording, lane: lane) }
            }
            return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
        }
        let lines = tally.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        print("cheats:", lines.joined(separator: ", "))
        // Should a reason for harmlessness take too much in, this fails.
        for (kind, count) in Self.foundOutMinimum {
            let found = tally[kind + " found out", default: 0]
            #expect(found >= count, "\(kind): \(lines); \(recording.note)")
        }
    }

    private static let foundOutMinimum = [
        "ignores data": 10, "ignores directory": 5, "ignores log": 30, "ignores database": 5,
        "ignores snapshot": 3, "swaps directory": 2, "swaps log": 5, "delays data": 10,
        "delays directory": 3,
    ]

    private static func cheats(_ index: Int, _ event: StorageEvent) -> [Cheat] {
        let isOfShadow = ["data", "directory"].contains(kind(event))
        return [.ignores(index), .swaps(index)] + (isOfShadow ? [.delays(index)] : [])
    }

    /// - Returns: how many cheats of which kind came to what.
    private static func cheat(_ recording: PowerRecording, lane: Int) throws -> [String: Int] {
        let syncs = recording.syncs
        var tally: [String: Int] = [:]
        var disk = SimulatedDisk()
        var index = 0
        for (position, event) in recording.events.enumerated() {
            if event.isSync {
                if index % lanes.count == lane {
                    let cheater = CheatingDisk(
                        recording: recording, syncs: syncs, disk: disk, index: index)
                    for cheat in cheats(index, event) {
                        let outcome = try cheater.outcome(cheat)
                        tally["\(kind(cheat)) \(kind(event)) \(outcome)", default: 0] += 1
                        #expect(
                            outcome != .unnoticed,
                            "a disk that \(cheat) (\(event.summary)) goes unnoticed; \(recording.note)"
                        )
                    }
                }
                index += 1
            }
            disk.apply(event, at: position)
        }
        return tally
    }

    private static func kind(_ cheat: Cheat) -> String {
        switch cheat {
        case .ignores: "ignores"
        case .swaps: "swaps"
        case .delays: "delays"
        }
    }

    private static func kind(_ event: StorageEvent) -> String {
        if event.target.contains("/snapshots") { return "snapshot" }
        if case .syncDirectory = event { return "directory" }
        let path = event.target
        if path.hasSuffix("-wal") { return "log" }
        return path.contains(".sqlite") ? "database" : "data"
    }

    // MARK: Any time

    @Test(arguments: lanes)
    func whatWasPromisedIsThereAtAnyTime(lane: Int) throws {
        for round in 0..<(Self.isLong ? 25 : 1) {
            let random = Randomness(for: UInt64(1000 + 100 * lane + round))
            let recording = try PowerWorkload.record(random, count: 300)
            try Self.tryRandomCuts(recording, random, count: Self.isLong ? 200 : 25)
        }
    }

    private static func tryRandomCuts(
        _ recording: PowerRecording, _ random: Randomness, count: Int
    ) throws {
        var random = random
        let cuts = (0..<count).map { _ in random.below(recording.events.count + 1) }.sorted()
        var disk = SimulatedDisk()
        var done = 0
        for cut in cuts {
            for place in done..<cut { disk.apply(recording.events[place], at: place) }
            done = cut
            let fate = Fate(
                .random(Randomness(seed: random.next())), hasGarbage: random.below(2) == 0)
            do {
                try PowerCheck(recording: recording, cut: cut)
                    .check(disk.state(fate), random.below(4) == 0 ? .all : .session)
            } catch {
                Issue.record("\(error) before event \(cut), \(fate); \(recording.note)")
                return
            }
        }
    }
}

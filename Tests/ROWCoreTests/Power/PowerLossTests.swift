import Foundation
import Testing

@testable import ROWCore

/// The power is lost at every sync of a long workload: what was promised is there, and nothing else.
@Suite struct PowerLossTests {
    static let isLong = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil

    /// One recording for all tests that try every sync.
    static let recording = Result { try PowerWorkload.record(Randomness(for: 77), count: 320) }

    static let lanes = 0..<4

    @Test(arguments: lanes)
    func whatWasPromisedIsThereAfterEverySync(lane: Int) throws {
        let recording = try Self.recording.get()
        #expect(recording.operationCount >= 300)
        var random = Randomness(for: UInt64(lane))
        var disk = SimulatedDisk()
        var cuts = 0
        var states = 0
        var syncIndex = 0
        for (position, event) in recording.events.enumerated() {
            if event.isSync {
                if syncIndex % Self.lanes.count == lane {
                    let check = PowerCheck(recording: recording, cut: position)
                    for (index, fate) in Self.fates(&random).enumerated() {
                        do {
                            try check.check(
                                disk.state(fate), isThorough: index == 0 && cuts % 4 == 0)
                        } catch {
                            Issue.record(
                                "\(error) at event \(position) (\(event)), \(fate); \(recording.note)"
                            )
                            return
                        }
                        states += 1
                    }
                    cuts += 1
                }
                syncIndex += 1
            }
            disk.apply(event, at: position)
        }
        print(
            "lane \(lane): \(syncIndex) syncs, \(recording.events.count) events, \(cuts) cuts, \(states) states, \(recording.states.count) transactions, refused \(recording.refusedCount)"
        )
    }

    static func fates(_ random: inout Randomness) -> [Fate] {
        [
            Fate(.old), Fate(.random(Randomness(seed: random.next())), hasGarbage: true),
            Fate(.torn(position: 0, keeping: Double(random.below(100)) / 100)),
        ]
    }

    // MARK: Cheating disks

    /// A disk that ignores one sync, or does it after the next one, is found out, unless nothing
    /// depends on the sync; then the log of events tells why.
    @Test(arguments: lanes)
    func aDiskThatCheatsIsFoundOut(lane: Int) throws {
        let recording = try Self.recording.get()
        let syncs = recording.syncs
        var tally: [String: Int] = [:]
        var disk = SimulatedDisk()
        var index = 0
        for (position, event) in recording.events.enumerated() {
            if event.isSync {
                if index % Self.lanes.count == lane {
                    for cheat in [Cheat.ignores(index), .swaps(index)] {
                        let outcome = try Self.outcome(cheat, recording, disk, syncs)
                        tally["\(Self.kind(cheat)) \(Self.kind(event)) \(outcome)", default: 0] += 1
                        #expect(
                            outcome != "unnoticed",
                            "a disk that \(cheat) (\(event)) goes unnoticed; \(recording.note)")
                    }
                }
                index += 1
            }
            disk.apply(event, at: position)
        }
        for kind in ["ignores data", "ignores directory", "ignores log", "swaps data"] {
            #expect(tally[kind + " found out", default: 0] > 0, "\(kind): \(tally)")
        }
        print("lane \(lane): \(tally.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" })")
    }

    /// - Returns: `found out`, `unnoticed`, or why nothing depends on the sync.
    private static func outcome(
        _ cheat: Cheat, _ recording: PowerRecording, _ disk: SimulatedDisk, _ syncs: [Int]
    ) throws -> String {
        let lapses = recording.lapses(cheat, disk, syncs)
        if lapses.isEmpty { return Harmless.sameTarget.rawValue }
        var reason: Harmless?
        for lapse in lapses {
            if let known = lapse.isHarmless(recording) {
                reason = reason ?? known
                continue
            }
            let path = lapse.sync.target
            let fates = [
                Fate(.new, lost: path), Fate(.old), Fate(.new, lost: path, hasGarbage: true),
            ]
            // The last ones first: by then most has been promised.
            let cuts = (syncs.filter { lapse.start < $0 && $0 < lapse.end } + [lapse.end])
                .suffix(8).reversed()
            for cut in cuts {
                var later = lapse.disk
                for place in lapse.start + 1..<cut {
                    later.apply(recording.events[place], at: place)
                }
                for fate in fates where isFoundOut(recording, cut, later.state(fate)) {
                    return "found out"
                }
            }
            guard
                let why = try recording.reasonOfHarmlessness(lapse, Array(cuts.prefix(3)), fates)
            else { return "unnoticed" }
            reason = why
        }
        return reason?.rawValue ?? "unnoticed"
    }

    private static func isFoundOut(
        _ recording: PowerRecording, _ cut: Int, _ state: DiskState
    ) -> Bool {
        do {
            try PowerCheck(recording: recording, cut: cut).check(state)
            return false
        } catch { return true }
    }

    private static func kind(_ cheat: Cheat) -> String {
        if case .ignores = cheat { "ignores" } else { "swaps" }
    }

    private static func kind(_ event: StorageEvent) -> String {
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
                    .check(disk.state(fate), isThorough: random.below(4) == 0)
            } catch {
                Issue.record("\(error) before event \(cut), \(fate); \(recording.note)")
                return
            }
        }
    }
}

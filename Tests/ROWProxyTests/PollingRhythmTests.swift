import NIOCore
import Testing

@testable import ROWProxy

/// When a loop stays awake.
@Suite struct PollingRhythmTests {
    private var rhythm = PollingRhythm()
    private var now = NIODeadline.uptimeNanoseconds(1_000_000)

    /// A turn that ends after so many microseconds.
    private mutating func turn(after microseconds: Int64) -> Bool {
        now = now + .microseconds(microseconds)
        return rhythm.turnEnded(at: now)
    }

    /// A look for events after so many, which gives the processor away for so many.
    private mutating func look(after microseconds: Int64, yielding: Int64 = 1) -> Bool {
        now = now + .microseconds(microseconds)
        let start = now
        now = now + .microseconds(yielding)
        return rhythm.looked(from: start, to: now)
    }

    /// Quick turns until polling begins.
    private mutating func turnsToBegin() -> Int {
        var count = 1
        while !turn(after: 50) { count += 1 }
        return count
    }

    @Test mutating func itBeginsAfterSomeQuickTurns() {
        #expect(!turn(after: 0))
        #expect(turnsToBegin() == PollingRhythm.wantedMinimum)
        #expect(rhythm.isPolling)
    }

    @Test mutating func slowTurnsDoNotBeginIt() {
        for _ in 0..<100 { #expect(!turn(after: 300)) }
        for _ in 0..<100 {
            #expect(!turn(after: 300))
            for _ in 1..<PollingRhythm.wantedMinimum { #expect(!turn(after: 10)) }
        }
    }

    @Test mutating func itEndsWhenNothingComes() {
        _ = turn(after: 0)
        _ = turnsToBegin()
        for _ in 0..<9 { #expect(look(after: 9)) }
        #expect(!look(after: 20))
        #expect(!rhythm.isPolling)
        #expect(!look(after: 1))
    }

    @Test mutating func itEndsWhenSomebodyElseWantsTheProcessor() {
        _ = turn(after: 0)
        _ = turnsToBegin()
        #expect(look(after: 1, yielding: 20))
        #expect(!look(after: 1, yielding: 3_000))
    }

    @Test mutating func everyTimeItWasInVainItTakesLongerToBeginAgain() {
        var wanted = PollingRhythm.wantedMinimum
        for _ in 0..<20 {
            // The first comes long after the one before.
            #expect(turnsToBegin() == 1 + wanted)
            #expect(!look(after: 500))
            wanted = min(wanted * 2, PollingRhythm.wantedMaximum)
        }
        // While it is of use that is forgotten.
        _ = turnsToBegin()
        for _ in 0..<10 { #expect(!turn(after: 20)) }
        #expect(!look(after: 500))
        #expect(turnsToBegin() == 1 + 2 * PollingRhythm.wantedMinimum)
    }
}

import Foundation
import ROWTestKit
import Testing

@testable import ROWProxy

/// What a history keeps when there is more than it has room for, and what its file is worth.
/// `ROWFS_SEED=… swift test --filter HistoryTests` repeats a run.
@Suite struct HistoryTests {
    /// The fields that must not be lost, added up.
    private func sums(_ samples: [HistorySample]) -> [Int] {
        HistorySample.sums.map { sum in samples.reduce(0) { $0 + $1[keyPath: sum] } }
    }

    /// A sample of random content that begins at a time.
    private func sample(
        from start: Int, served: Int, _ random: inout Seed.Generator
    ) -> HistorySample {
        var sample = HistorySample()
        for field in HistorySample.stored {
            sample[keyPath: field] = Int.random(in: 0...1_000_000, using: &random)
        }
        (sample.startMS, sample.endMS, sample.servedMS) = (start, start + served, served)
        return sample
    }

    /// Samples of about a second, as they come while the proxy now and then is stopped for a while.
    private func samples(_ count: Int, _ random: inout Seed.Generator) -> [HistorySample] {
        var time = 1_700_000_000_000
        let restarts = Int.random(in: 1...500, using: &random)
        return (0..<count).map { _ in
            if Int.random(in: 0..<restarts, using: &random) == 0 {
                time += Int.random(in: 1...10_000_000, using: &random)
            }
            let sample = sample(
                from: time, served: Int.random(in: 1...1200, using: &random), &random)
            time = sample.endMS
            return sample
        }
    }

    @Test func mergingKeepsSumsOrderAndBounds() {
        let seed = Seed()
        var random = seed.makeGenerator()
        for count in [1, 2, 2047, 2048, 2049, Int.random(in: 5000...20_000, using: &random)] {
            let all = samples(count, &random)
            var history = History()
            for sample in all {
                history.append(sample)
                #expect(history.samples.count <= History.samplesMaximum, "\(seed)")
            }
            #expect(sums(history.samples) == sums(all), "\(count), \(seed)")
            #expect(sums([history.sum]) == sums(all), "\(count), \(seed)")
            #expect(history.samples.first?.startMS == all.first?.startMS, "\(seed)")
            #expect(history.samples.last?.endMS == all.last?.endMS, "\(seed)")
            #expect(history.samples.last?.touchedBytes == all.last?.touchedBytes, "\(seed)")
            #expect(
                history.samples.map(\.memoryBytes).max() == all.map(\.memoryBytes).max(), "\(seed)")
            for (one, next) in zip(history.samples, history.samples.dropFirst()) {
                #expect(one.startMS < one.endMS && one.endMS <= next.startMS, "\(seed)")
            }
            let few = History.merged(history.samples, atMost: 100)
            #expect(few.count <= 100 && sums(few) == sums(all), "\(seed)")
        }
    }

    @Test func samplesGrowWithTheTimeThatTheyCover() {
        var history = History()
        var random = Seed(1).makeGenerator()
        for second in 0..<10_000 {
            history.append(sample(from: second * 1000, served: 1000, &random))
        }
        #expect(history.resolutionMS == 8000)
        #expect(history.samples.dropLast().allSatisfy { (4000...8000).contains($0.servedMS) })
        #expect(history.samples.count > History.samplesMaximum / 2)
    }

    @Test func timesBetweenWhichTheSessionWasNotServedStayApart() {
        var history = History()
        var random = Seed(2).makeGenerator()
        for second in 0..<3000 {
            let pause = second / 1000 * 1_000_000
            history.append(sample(from: second * 1000 + pause, served: 1000, &random))
        }
        let gaps = zip(history.samples, history.samples.dropFirst()).filter {
            $0.endMS < $1.startMS
        }
        #expect(gaps.count == 2 && gaps.allSatisfy { $1.startMS - $0.endMS == 1_000_000 })
        #expect(history.samples.allSatisfy { $0.endMS - $0.startMS == $0.servedMS })
    }

    @Test func moreStartsThanSamplesAreBoundedToo() {
        var history = History()
        var random = Seed(3).makeGenerator()
        for start in 0..<5000 {
            history.append(sample(from: start * 60_000, served: 1000, &random))
        }
        #expect(history.samples.count <= History.samplesMaximum)
        #expect(history.samples.reduce(0) { $0 + $1.servedMS } == 5_000_000)
    }

    @Test func aSampleIsWhatLiesBetweenTwoReadingsWhateverTheClockDoes() {
        var first = HistorySample()
        (first.endMS, first.servedMS, first.cpuMicroseconds) = (5_000_000, 100, 7)
        var second = first
        (second.servedMS, second.cpuMicroseconds, second.memoryBytes) = (1100, 500_007, 42)
        for (clock, start, end) in [
            (5_001_000, 5_000_000, 5_001_000), (5_001_003, 5_000_000, 5_001_003),
            // It was put back, and ahead.
            (1_000_000, 5_000_000, 5_001_000), (9_000_000, 8_999_000, 9_000_000),
        ] {
            second.endMS = clock
            let sample = second.since(first)
            #expect(sample.startMS == start && sample.endMS == end)
            #expect(sample.servedMS == 1000 && sample.memoryBytes == 42)
            #expect(sample.cpuPercent == 50)
        }
    }

    @Test func marksOfClientsGoBeforeThoseOfOperators() {
        var history = History()
        for index in 0..<1000 {
            history.add(
                HistoryMark(
                    timeMS: index, text: "\(index)", isMount: index % 2 == 0, calls: CallCounts(),
                    sum: HistorySample()))
        }
        #expect(history.marks.count == History.marksMaximum)
        #expect(history.marks.last?.text == "999")
        #expect(history.marks.filter(\.isMount).count <= 1)
        #expect(HistoryMark.refusal(of: "boot") == nil && HistoryMark.refusal(of: "Ünï") == nil)
        for text in ["", "a\nb", "\u{1b}[31m", String(repeating: "x", count: 65)] {
            #expect(HistoryMark.refusal(of: text) != nil)
        }
    }

    // MARK: Its file

    private func history(_ count: Int, _ random: inout Seed.Generator) -> History {
        var history = History()
        for sample in samples(count, &random) { history.append(sample) }
        history.calls.client = ["READ": 12, "GETATTR": 1 << 40]
        history.calls.shadow = ["COMMIT": 1]
        for text in ["boot", "mount by ::1", "<&>\"ä"] {
            history.add(
                HistoryMark(
                    timeMS: history.sum.endMS, text: text, isMount: text.hasPrefix("mount"),
                    calls: history.calls, sum: history.sum))
        }
        return history
    }

    @Test func theFileHasAllOfIt() throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        #expect(try History(file: History().file) == History())
        for count in [1, 100, 5000] {
            let history = history(count, &random)
            #expect(try History(file: history.file) == history, "\(seed)")
        }
    }

    @Test func damageOfTheFileIsFoundWhereverItIs() throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let file = history(20, &random).file
        for length in 0..<file.count {
            #expect(throws: CheckedBytes.Damaged.self) { try History(file: file.prefix(length)) }
        }
        for index in file.indices {
            var damaged = file
            damaged[index] ^= UInt8.random(in: 1...255, using: &random)
            #expect(throws: CheckedBytes.Damaged.self, "\(index), \(seed)") {
                try History(file: damaged)
            }
        }
        #expect(throws: CheckedBytes.Damaged.self) { try History(file: TouchedBlocks().file) }
        #expect(throws: CheckedBytes.Damaged.self) { try History(file: file + Data([0])) }
    }
}

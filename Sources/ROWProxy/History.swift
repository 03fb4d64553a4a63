/// What was done for a session since it was first served, in as many samples as there may be at most, and
/// marks that tell what clients were at.
public struct History: Sendable, Equatable {
    static let samplesMaximum = 2048
    static let marksMaximum = 256

    /// In order of time; they do not overlap.
    public internal(set) var samples: [HistorySample] = []
    /// In order of time.
    public internal(set) var marks: [HistoryMark] = []
    /// All calls.
    public internal(set) var calls = CallCounts()
    /// What all samples add up to.
    public internal(set) var sum = HistorySample()
    /// How long samples are about, in milliseconds. Doubles each time that there are too many.
    public internal(set) var resolutionMS = 1000

    public init() {}

    /// Adds what was done in the time after the last sample.
    mutating func append(_ sample: HistorySample) {
        add(sample)
        guard let last = samples.last, last.endMS == sample.startMS, belongs(sample, to: last)
        else {
            if samples.count >= Self.samplesMaximum { halve() }
            samples.append(sample)
            return
        }
        samples[samples.count - 1].merge(sample)
    }

    /// Adds a sample to the sum.
    mutating func add(_ sample: HistorySample) {
        if samples.isEmpty { sum = sample } else { sum.merge(sample) }
    }

    /// Whether a sample that follows the last is to be a part of it: as long as that is shorter than it
    /// should be, and for less than half a second (as before a mark) also when it is little longer.
    private func belongs(_ sample: HistorySample, to last: HistorySample) -> Bool {
        if last.servedMS + sample.servedMS / 2 <= resolutionMS { return true }
        return sample.servedMS < 500 && last.servedMS < resolutionMS * 3 / 2
    }

    /// Merges samples in pairs. Those between which the session was not served stay apart, unless too few
    /// would be left to merge: then the time between is forgotten.
    private mutating func halve() {
        resolutionMS *= 2
        samples = Self.paired(samples) { $0.endMS == $1.startMS }
        if samples.count > Self.samplesMaximum * 3 / 4 {
            samples = Self.paired(samples) { _, _ in true }
        }
    }

    private static func paired(
        _ samples: [HistorySample], where mayMerge: (HistorySample, HistorySample) -> Bool
    ) -> [HistorySample] {
        var result: [HistorySample] = []
        var isWhole = true
        for sample in samples {
            if !isWhole, let last = result.last, mayMerge(last, sample) {
                result[result.count - 1].merge(sample)
                isWhole = true
            } else {
                result.append(sample)
                isWhole = false
            }
        }
        return result
    }

    /// Merges samples until there are no more than `count`.
    public static func merged(_ samples: [HistorySample], atMost count: Int) -> [HistorySample] {
        var merged = samples
        while merged.count > max(1, count) {
            let next = paired(merged) { $0.endMS == $1.startMS }
            // More stretches of time in which it was served than there is room for.
            merged = next.count < merged.count ? next : paired(merged) { _, _ in true }
        }
        return merged
    }

    /// Adds a mark. When there are too many the oldest goes, a client's before an operator's.
    mutating func add(_ mark: HistoryMark) {
        if marks.count >= Self.marksMaximum {
            marks.remove(at: marks.firstIndex { $0.isMount } ?? 0)
        }
        marks.append(mark)
    }
}

/// A moment that somebody gave a name to.
public struct HistoryMark: Codable, Sendable, Equatable {
    /// Milliseconds since 1970.
    public var timeMS: Int
    public var text: String
    /// That a client mounted the session; others were made with `rowctl mark`.
    public var isMount: Bool
    /// All calls before it, and what all samples before it add up to.
    public var calls: CallCounts
    public var sum: HistorySample

    /// Bytes of a mark's text.
    public static let textMaximum = 64

    /// Why something cannot be a mark's text, if so.
    public static func refusal(of text: String) -> String? {
        let isPrintable = text.unicodeScalars.allSatisfy {
            $0.properties.generalCategory != .control
        }
        guard (1...textMaximum).contains(text.utf8.count), isPrintable else {
            return "a mark is 1 to \(textMaximum) bytes of printable text, such as 'boot'"
        }
        return nil
    }
}

import Foundation
import ROWProxy

/// The time in which a session was served, as a length: what lies between two runs of the proxy takes up no
/// room, however long it was.
struct TimeAxis {
    /// Where each sample begins and ends on the axis, in seconds.
    private(set) var spans: [Range<Double>] = []
    private let samples: [HistorySample]
    let seconds: Double
    /// How long the axis is, in seconds; without samples it has some length, too.
    var length: Double { seconds > 0 ? seconds : 1 }

    init(_ samples: [HistorySample]) {
        self.samples = samples
        var time = 0.0
        for sample in samples {
            let end = time + sample.servedSeconds
            spans.append(time..<end)
            time = end
        }
        seconds = time
    }

    /// Where a moment is, in seconds from the start.
    /// - Parameter time: in milliseconds since 1970.
    func position(of time: Int) -> Double {
        // The first sample that ends after it.
        var (low, high) = (0, samples.count)
        while low < high {
            let middle = (low + high) / 2
            if samples[middle].endMS > time { high = middle } else { low = middle + 1 }
        }
        guard low < samples.count else { return seconds }
        let (sample, span) = (samples[low], spans[low])
        let part = Double(time - sample.startMS) / Double(max(1, sample.endMS - sample.startMS))
        return span.lowerBound + (span.upperBound - span.lowerBound) * min(max(0, part), 1)
    }

    /// Where the proxy was stopped and started again, and for how many seconds.
    var breaks: [(position: Double, seconds: Double)] {
        zip(zip(samples, samples.dropFirst()), spans.dropFirst()).compactMap { pair, span in
            let gap = pair.1.startMS - pair.0.endMS
            return gap > 0 ? (span.lowerBound, Double(gap) / 1000) : nil
        }
    }

    func isAfterBreak(_ index: Int) -> Bool {
        index > 0 && samples[index].startMS > samples[index - 1].endMS
    }

    /// What the axis counts, and how many seconds that is.
    var unit: (name: String, seconds: Double) {
        switch seconds {
        case ..<180: ("seconds", 1)
        case ..<10_800: ("minutes", 60)
        case ..<259_200: ("hours", 3600)
        default: ("days", 86_400)
        }
    }

    var startMS: Int? { samples.first?.startMS }
}

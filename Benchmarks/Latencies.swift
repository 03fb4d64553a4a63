import Foundation
import Histogram

/// How long each of many calls took.
struct Latencies: Encodable, Sendable {
    private var histogram = Histogram<UInt64>(numberOfSignificantValueDigits: .three)

    init(together parts: [Latencies]) {
        for part in parts { histogram.add(part.histogram) }
    }

    /// - Parameter file: nanoseconds, as 64-bit numbers of this machine (`nfsload --latencies`).
    init(contentsOf file: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: file))
        data.withUnsafeBytes { bytes in
            for value in bytes.bindMemory(to: UInt64.self) { _ = histogram.record(value) }
        }
    }

    /// The time that so many percent of the calls did not exceed, in microseconds.
    func microseconds(percentile: Double) -> Double {
        Double(histogram.valueAtPercentile(percentile)) / 1000
    }

    private enum Key: String, CodingKey {
        case p50Microseconds, p99Microseconds, p999Microseconds, maximumMicroseconds
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(microseconds(percentile: 50), forKey: .p50Microseconds)
        try container.encode(microseconds(percentile: 99), forKey: .p99Microseconds)
        try container.encode(microseconds(percentile: 99.9), forKey: .p999Microseconds)
        try container.encode(microseconds(percentile: 100), forKey: .maximumMicroseconds)
    }
}

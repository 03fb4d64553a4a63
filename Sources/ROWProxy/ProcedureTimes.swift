import NFSProtocol
import NIOCore

/// How long calls of each procedure took.
struct ProcedureTimes: Sendable {
    /// By number.
    private var histograms = [LatencyHistogram](
        repeating: LatencyHistogram(), count: NFS3.Procedure.allCases.count)

    /// - Parameter procedure: its number, which exists.
    mutating func add(_ procedure: UInt32, _ time: TimeAmount, count: Int = 1) {
        histograms[Int(procedure)].add(time, count: count)
    }

    mutating func merge(_ other: ProcedureTimes) {
        for index in histograms.indices { histograms[index].merge(other.histograms[index]) }
    }

    /// Those that were answered.
    var byName: [(name: String, times: LatencyHistogram)] {
        NFS3.Procedure.allCases.compactMap { procedure in
            let histogram = histograms[Int(procedure.rawValue)]
            return histogram.count > 0 ? (procedure.name, histogram) : nil
        }
    }

    var summaries: [String: SessionStatus.Latency] {
        Dictionary(uniqueKeysWithValues: byName.map { ($0.name, SessionStatus.Latency($0.times)) })
    }
}

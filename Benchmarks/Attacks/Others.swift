import Foundation

/// What other clients get of a server: READs, on connections that have one under way each.
struct Others {
    /// READs in a second of the slowest of them, in each round.
    private var rates: [Double] = []
    private(set) var longestWaitMilliseconds = 0.0

    var rate: Double { rates.sorted()[rates.count / 2] }

    private static let clients = 4
    private static let rounds = 5
    private static let seconds = 1.0

    /// Has them read.
    /// - Parameter localCopy: what they must find in `file`.
    init(reading file: String, of server: Server, localCopy: String) async throws {
        let load = Load(
            operation: .read, sizeBytes: 4096, inFlight: Self.clients, file: file,
            localCopy: localCopy, connections: Self.clients)
        for _ in 0..<Self.rounds {
            let result = try await load.run(on: server, seconds: Self.seconds)
            rates.append(result.callsPerSecond / Double(Self.clients) * result.fairness)
            longestWaitMilliseconds = max(
                longestWaitMilliseconds, result.latency.microseconds(percentile: 100) / 1000)
        }
    }
}

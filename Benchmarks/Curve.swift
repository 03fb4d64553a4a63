/// What an operation costs, by the size of something that it should not depend on.
struct Curve: Encodable {
    /// One operation.
    struct Line: Encodable {
        let name: String
        let points: [Point]
        /// The greatest of the medians to the least: 1 is flat.
        let ratio: Double
        /// The greatest to the least measurement of one place, where they differ most: what of the ratio
        /// may be chance.
        let noise: Double
        /// The server's processor time for what another line has the time of: not in the chart, which would
        /// have more lines than can be told apart.
        let isProcessorTime: Bool

        init(name: String, points: [Point], isProcessorTime: Bool = false) {
            self.name = name
            self.isProcessorTime = isProcessorTime
            self.points = points
            let medians = Samples(points.map(\.samples.median))
            ratio = medians.maximum / medians.minimum
            noise = points.map { $0.samples.maximum / $0.samples.minimum }.max() ?? 1
        }
    }

    struct Point: Encodable {
        let place: Double
        let samples: Samples
    }

    /// For a file's name.
    let name: String
    let title: String
    /// What the places are.
    let xTitle: String
    let unit: String
    let lines: [Line]

    /// - Precondition: there is a line.
    var places: [Double] { lines[0].points.map(\.place) }
}

extension Curve {
    /// Measures at all places in turns, again and again, so that what disturbs the machine disturbs all.
    /// - Parameter body: makes the measurement of a round at a place.
    static func rounds<Value>(
        _ count: Int, at places: [Int], _ body: (_ place: Int, _ round: Int) async throws -> Value
    ) async throws -> [[Value]] {
        var values = places.map { _ in [Value]() }
        for round in 0..<count {
            for (index, place) in places.enumerated() {
                values[index].append(try await body(place, round))
            }
        }
        return values
    }

    /// The line of what was measured at the places.
    static func line(
        _ name: String, _ places: [Int], _ values: [[Double]], isProcessorTime: Bool = false
    ) -> Line {
        Line(
            name: name,
            points: zip(places, values).map {
                Point(place: Double($0), samples: Samples($1))
            }, isProcessorTime: isProcessorTime)
    }

    /// The lines of loads: the time that passes for each call, and the server's processor time.
    static func lines(_ name: String, _ places: [Int], _ results: [[Load.Result]]) -> [Line] {
        [
            line(name, places, results.map { $0.map { 1e6 / $0.callsPerSecond } }),
            line(
                "\(name), CPU", places, results.map { $0.map(\.serverUsPerCall) },
                isProcessorTime: true),
        ]
    }
}

import Foundation
import Glibc

/// Prints results as they come, in columns, and keeps them for a JSON file.
final class Report {
    /// A part of the program measured alone.
    struct Part: Encodable {
        let name: String
        let nanosecondsPerOperation: Samples
        let goal: Goal?
    }

    /// The whole path beside nfs-ganesha.
    struct Comparison: Encodable {
        /// One server under the load.
        struct Side: Encodable {
            let callsPerSecond: Samples
            let megabytesPerSecond: Samples
            /// Processor time of the server, without main's.
            let serverMicrosecondsPerCall: Samples
            let p99Microseconds: Samples
        }

        let name: String
        let movesData: Bool
        let rowfs: Side
        let ganesha: Side
        /// Of the ratio.
        let goal: Goal?
        /// Of the medians; above 1 is faster than nfs-ganesha.
        let ratio: Double
        /// Of the measurements that were made one after the other.
        let ratioOfRounds: Samples
        /// Whether the ratio is what it should be; nil without a goal.
        let isMet: Bool?

        init(
            name: String, movesData: Bool, rowfs: Side, ganesha: Side, ratioOfRounds: Samples,
            goal: Goal?
        ) {
            self.name = name
            self.movesData = movesData
            self.rowfs = rowfs
            self.ganesha = ganesha
            self.goal = goal
            self.ratioOfRounds = ratioOfRounds
            ratio = rowfs.callsPerSecond.median / ganesha.callsPerSecond.median
            isMet = goal?.isMet(by: ratio)
        }
    }

    /// Many clients beside one, of one server.
    struct Scaling: Encodable {
        let name: String
        let one: Double
        let many: Double
        /// Of the ratio.
        let goal: Goal?
        /// Of many to one.
        let ratio: Double
        let isMet: Bool?

        init(name: String, one: Double, many: Double, goal: Goal?) {
            self.name = name
            self.one = one
            self.many = many
            self.goal = goal
            ratio = many / one
            isMet = goal?.isMet(by: ratio)
        }
    }

    private var parts: [Part] = []
    private var scalings: [Scaling] = []
    private var comparisons: [Comparison] = []
    private let congestion: String
    private let processors = ProcessInfo.processInfo.activeProcessorCount

    init() {
        let file = "/proc/sys/net/ipv4/tcp_congestion_control"
        let system = try? String(contentsOfFile: file, encoding: .utf8)
        congestion =
            Relaunch.ownCongestion
            ?? (system ?? "unknown").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func add(_ part: Part) {
        if parts.isEmpty {
            row("part, ns per operation", ["median", "min", "max"], goal: "goal")
        }
        parts.append(part)
        let samples = part.nanosecondsPerOperation
        row(
            part.name, [samples.median, samples.minimum, samples.maximum].map { figure($0) },
            goal: verdict(part.goal, on: samples.median))
    }

    func add(_ comparison: Comparison) {
        if comparisons.isEmpty {
            print()
            print("The whole path beside nfs-ganesha, congestion control \(congestion):")
            print(
                "ratio of medians, least and greatest of a round; medians of both sides, MB/s for")
            print("data, else calls/s; server CPU in µs per call, without main's")
            row(
                "case", ["ratio", "min", "max", "rowfs", "ganesha", "CPU", "its CPU"],
                goal: "goal")
        }
        comparisons.append(comparison)
        let sides = [comparison.rowfs, comparison.ganesha]
        let ratios = [
            comparison.ratio, comparison.ratioOfRounds.minimum, comparison.ratioOfRounds.maximum,
        ]
        let speeds = sides.map {
            comparison.movesData ? $0.megabytesPerSecond.median : $0.callsPerSecond.median
        }
        row(
            comparison.name,
            ratios.map { String(format: "%.2f", $0) } + speeds.map { figure($0) }
                + sides.map { figure($0.serverMicrosecondsPerCall.median) },
            goal: verdict(comparison.goal, on: comparison.ratio))
    }

    func add(_ scaling: Scaling) {
        if scalings.isEmpty {
            print()
            print("Of rowfs alone, \(DurabilityCase.clients.many) clients beside one:")
            print("syncs per call; calls/s where each sync takes longer")
            row("case", ["ratio", "one", "many"], goal: "goal")
        }
        scalings.append(scaling)
        row(
            scaling.name,
            [String(format: "%.2f", scaling.ratio), figure(scaling.one), figure(scaling.many)],
            goal: verdict(scaling.goal, on: scaling.ratio))
    }

    /// The last line.
    func finish() {
        let missed =
            parts.filter { $0.goal?.isMet(by: $0.nanosecondsPerOperation.median) == false }.count
            + comparisons.filter { $0.isMet == false }.count
            + scalings.filter { $0.isMet == false }.count
        let all = parts.map(\.goal) + comparisons.map(\.goal) + scalings.map(\.goal)
        let goals = all.compactMap(\.self).count
        print("\n\(goals - missed) of \(goals) goals met, on \(processors) processors")
    }

    func write(to path: String) throws {
        struct Document: Encodable {
            let processors: Int
            let congestion: String
            let parts: [Part]
            let comparisons: [Comparison]
            let scalings: [Scaling]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let document = Document(
            processors: processors, congestion: congestion, parts: parts,
            comparisons: comparisons, scalings: scalings)
        try encoder.encode(document).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    // MARK: Columns

    private static let nameWidth = 34
    private static let cellWidth = 9

    private func row(_ name: String, _ cells: [String], goal: String) {
        var line = name.padding(toLength: Self.nameWidth, withPad: " ", startingAt: 0)
        for cell in cells {
            line += String(repeating: " ", count: max(1, Self.cellWidth - cell.count)) + cell
        }
        print(goal.isEmpty ? line : line + "  " + goal)
        fflush(nil)
    }

    /// Three digits or all before the point.
    private func figure(_ value: Double) -> String {
        String(format: value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
    }

    private func verdict(_ goal: Goal?, on figure: Double) -> String {
        guard let goal else { return "" }
        return "\(goal) \(goal.isMet(by: figure) ? "met" : "NOT MET")"
    }
}

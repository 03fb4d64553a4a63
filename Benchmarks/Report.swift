import Foundation

/// Prints results as they come, in columns, and keeps them for a JSON file and charts.
final class Report {
    private(set) var parts: [PartResult] = []
    private(set) var scalings: [Scaling] = []
    private(set) var comparisons: [Comparison] = []
    private(set) var measured: [Measured] = []
    private(set) var curves: [Curve] = []
    /// What was found for each of the goals, by the name of the case.
    private var claims: [GoalRow: [(name: String, figure: Double)]] = [:]
    private(set) var section = Section.parts
    /// The columns that were printed last.
    private var heading: [String] = []
    /// Of single cases.
    private var verdicts = (met: 0, all: 0)
    private let congestion: String
    private let processors = ProcessInfo.processInfo.activeProcessorCount

    init() {
        let file = "/proc/sys/net/ipv4/tcp_congestion_control"
        let system = try? String(contentsOfFile: file, encoding: .utf8)
        congestion =
            Relaunch.ownCongestion
            ?? (system ?? "unknown").trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// What comes now belongs there.
    func begin(_ section: Section) {
        self.section = section
        heading = []
        print("\n# \(section.title)")
    }

    func add(_ part: PartResult) {
        head(["part, ns per operation", "median", "min", "max"])
        parts.append(part)
        let samples = part.nanosecondsPerOperation
        row(
            part.name, [samples.median, samples.minimum, samples.maximum].map(Table.figure),
            goal: verdict(part.goal, on: samples.median))
    }

    func add(_ comparison: Comparison) {
        head(
            [
                "case", "ratio", "min", "max", "rowfs", "ganesha", "CPU", "its CPU", "p50", "p99",
                "its p50", "its p99",
            ],
            about: """
                Beside nfs-ganesha, congestion control \(congestion): ratio of medians, least and \
                greatest of a round;
                medians of both sides, MB/s for data, entries/s for listings, else calls/s; server \
                CPU in µs per call,
                without main's; latencies of all rounds in µs
                """)
        comparisons.append(comparison)
        let sides = [comparison.rowfs, comparison.ganesha]
        let ratios = [
            comparison.ratio, comparison.ratioOfRounds.minimum, comparison.ratioOfRounds.maximum,
        ]
        let latencies = sides.flatMap {
            [$0.latency.microseconds(percentile: 50), $0.latency.microseconds(percentile: 99)]
        }
        row(
            comparison.name,
            ratios.map { String(format: "%.2f", $0) }
                + sides.map { Table.figure($0.speed(comparison.measure).median) }
                + sides.map { Table.figure($0.serverMicrosecondsPerCall.median) }
                + latencies.map(Table.figure),
            goal: verdict(comparison.goal, on: comparison.ratio))
    }

    func add(_ scaling: Scaling) {
        head(
            ["case", "ratio", "one", "many"],
            about: """
                Of rowfs alone, \(DurabilityCase.clients.many) clients beside one: syncs per call; \
                calls/s where each sync takes longer
                """)
        scalings.append(scaling)
        row(
            scaling.name,
            [
                String(format: "%.2f", scaling.ratio), Table.figure(scaling.one),
                Table.figure(scaling.many),
            ],
            goal: verdict(scaling.goal, on: scaling.ratio))
    }

    func add(_ item: Measured) {
        head(["case, by whom", "unit", "median", "min", "max", "ratio"])
        measured.append(item)
        let figures = item.samples.map { [$0.median, $0.minimum, $0.maximum].map(Table.figure) }
        let ratio = item.ratio.map { String(format: "%.2f", $0) } ?? ""
        row(
            "\(item.name), \(item.side)", [item.unit] + (figures ?? ["-", "-", "-"]) + [ratio],
            goal: [verdict(item.goal, on: item.ratio ?? .nan), item.note ?? ""]
                .filter { !$0.isEmpty }.joined(separator: "; "))
    }

    /// Prints a row for each line of the curve, a column for each of its places.
    func add(_ curve: Curve) {
        curves.append(curve)
        heading = []
        head(
            [curve.xTitle] + curve.places.map(Table.count) + ["max/min", "noise"],
            about: "\(curve.title): medians in \(curve.unit)")
        for line in curve.lines {
            row(
                line.name,
                line.points.map { Table.figure($0.samples.median) }
                    + [line.ratio, line.noise].map { String(format: "%.2f", $0) }, goal: "")
        }
    }

    /// A figure that counts for one of the goals.
    func claim(_ row: GoalRow, _ name: String, _ figure: Double) {
        claims[row, default: []].append((name, figure))
    }

    /// The last table, and the last line.
    func finish() {
        print("\n# Goals: the worst of the cases that count for each")
        head(["goal", "bound", "figure"])
        for row in GoalRow.allCases {
            let worst = claims[row]?.min {
                row.goal.margin(of: $0.figure) < row.goal.margin(of: $1.figure)
            }
            self.row(
                row.title,
                [row.goal.description, worst.map { Table.figure($0.figure) } ?? "-"],
                goal: worst.map {
                    "\(row.goal.isMet(by: $0.figure) ? "met" : "NOT MET"): \($0.name)"
                } ?? "not measured")
        }
        let met = claims.filter { row, found in
            found.allSatisfy { row.goal.isMet(by: $0.figure) }
        }
        print(
            """

            \(met.count) of the \(claims.count) goals that were measured are met, by \
            \(verdicts.met) of \(verdicts.all) cases, on \(processors) processors
            """)
    }

    func write(to path: String) throws {
        struct Claim: Encodable {
            let goal: String
            let bound: Goal
            let name: String
            let figure: Double
            let isMet: Bool
        }
        struct Document: Encodable {
            let processors: Int
            let congestion: String
            let parts: [PartResult]
            let comparisons: [Comparison]
            let scalings: [Scaling]
            let measured: [Measured]
            let curves: [Curve]
            let goals: [Claim]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let goals = GoalRow.allCases.flatMap { row in
            (claims[row] ?? []).map {
                Claim(
                    goal: row.title, bound: row.goal, name: $0.name, figure: $0.figure,
                    isMet: row.goal.isMet(by: $0.figure))
            }
        }
        let document = Document(
            processors: processors, congestion: congestion, parts: parts,
            comparisons: comparisons, scalings: scalings, measured: measured, curves: curves,
            goals: goals)
        try encoder.encode(document).write(to: URL(fileURLWithPath: path), options: .atomic)
    }

    // MARK: Columns

    /// Prints the columns, unless they are those of before.
    private func head(_ cells: [String], about: String? = nil) {
        guard heading != cells else { return }
        heading = cells
        print()
        if let about { print(about) }
        row(cells[0], Array(cells.dropFirst()), goal: "")
    }

    private func row(_ name: String, _ cells: [String], goal: String) {
        print(Table.row(name, cells, end: goal))
        fflush(nil)
    }

    private func verdict(_ goal: Goal?, on figure: Double) -> String {
        guard let goal else { return "" }
        let isMet = goal.isMet(by: figure)
        verdicts.all += 1
        verdicts.met += isMet ? 1 : 0
        return "\(goal) \(isMet ? "met" : "NOT MET")"
    }
}

/// How results are printed.
enum Table {
    private static let nameWidth = 58
    private static let cellWidth = 9

    static func row(_ name: String, _ cells: [String], end: String) -> String {
        var line = name + String(repeating: " ", count: max(0, nameWidth - name.count))
        for cell in cells {
            line += String(repeating: " ", count: max(1, cellWidth - cell.count)) + cell
        }
        return end.isEmpty ? line : line + "  " + end
    }

    /// A round number, as people say it.
    static func count(_ value: Double) -> String {
        for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K")] where value >= unit {
            return String(format: "%.3g\(name)", value / unit)
        }
        return String(format: "%g", value)
    }

    /// Three digits or all before the point.
    static func figure(_ value: Double) -> String {
        String(format: value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
    }
}

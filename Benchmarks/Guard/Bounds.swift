import Foundation
import ROWTestKit

/// What the workloads may cost: a file that is committed.
struct Bounds: Codable {
    /// A workload may cost so much more, for what is a matter of chance.
    let toleratedPercent: Double
    let costs: [Cost]

    /// One more for each operation is five times that; buffers grow now and then.
    private static let toleratedAllocations = 0.2
    /// A bound that is that much too high would let a loss go unnoticed.
    private static let worthLoweringPercent = 5.0
    private static let standardPercent = 3.0

    static let rule = """
        What is slower by mistake is to be mended. If it must cost more, commit the new figures \
        ('make guard-update' writes them to Benchmarks/Guard/bounds.json) with a message that says why.
        """

    struct Comparison {
        var table = ""
        var failures: [String] = []
        var notes: [String] = []
    }

    // MARK: Comparing

    func compare(with figures: [Cost]) -> Comparison {
        var comparison = Comparison()
        let bounds = Dictionary(uniqueKeysWithValues: costs.map { ($0.name, $0) })
        for figure in figures {
            comparison.table += Self.row(figure, bounds[figure.name])
            guard let bound = bounds[figure.name] else {
                comparison.failures.append("'\(figure.name)' has no bound")
                continue
            }
            comparison.failures += failures(of: figure, bound)
            if figure.instructions < bound.instructions * (1 - Self.worthLoweringPercent / 100) {
                comparison.notes.append(
                    "'\(figure.name)' takes \(Self.change(figure, bound)) instructions than its bound: "
                        + "lower it by 'make guard-update'")
            }
        }
        let measured = Set(figures.map(\.name))
        comparison.failures += costs.filter { !measured.contains($0.name) }.map {
            "'\($0.name)' has a bound, and is not measured"
        }
        return comparison
    }

    private func failures(of figure: Cost, _ bound: Cost) -> [String] {
        var failures: [String] = []
        if figure.instructions > bound.instructions * (1 + toleratedPercent / 100) {
            failures.append(
                "'\(figure.name)' takes \(Self.text(figure.instructions)) instructions, and its bound is "
                    + "\(Self.text(bound.instructions)) (\(Self.change(figure, bound)), "
                    + "\(Self.text(toleratedPercent)) % are tolerated)")
        }
        if figure.allocations > bound.allocations + Self.toleratedAllocations {
            failures.append(
                "'\(figure.name)' makes \(Self.text(figure.allocations)) allocations, and its bound is "
                    + "\(Self.text(bound.allocations))")
        }
        return failures
    }

    private static func row(_ figure: Cost, _ bound: Cost?) -> String {
        let name = figure.name.padding(toLength: 34, withPad: " ", startingAt: 0)
        let columns = [text(figure.instructions), bound.map { change(figure, $0) } ?? "new"]
            .map { String(repeating: " ", count: max(1, 12 - $0.count)) + $0 }
        return "\(name)\(columns.joined()) \(text(figure.allocations)) allocations\n"
    }

    private static func change(_ figure: Cost, _ bound: Cost) -> String {
        let percent = (figure.instructions / bound.instructions - 1) * 100
        return String(format: "%+.2f %%", percent)
    }

    private static func text(_ number: Double) -> String {
        number.formatted(.number.precision(.fractionLength(0...2)).locale(Locale(identifier: "en")))
    }

    // MARK: The file

    private static let file = ProjectPaths.root.appendingPathComponent(
        "Benchmarks/Guard/bounds.json")

    static func read() throws -> Bounds {
        try JSONDecoder().decode(Bounds.self, from: Data(contentsOf: file))
    }

    static func write(_ costs: [Cost]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let bounds = Bounds(toleratedPercent: standardPercent, costs: costs)
        try (encoder.encode(bounds) + Data("\n".utf8)).write(to: file)
    }
}

import Foundation
import ROWReport

extension Report {
    /// Draws a chart of each section that has results, as `SECTION.svg`.
    func writeCharts(to directory: String) throws {
        let folder = URL(fileURLWithPath: directory)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for section in Section.allCases {
            guard let chart = chart(of: section) else { continue }
            let file = folder.appendingPathComponent("\(section.rawValue).svg")
            try Data(chart.utf8).write(to: file, options: .atomic)
        }
        for curve in curves {
            let file = folder.appendingPathComponent("curve-\(curve.name).svg")
            try Data(chart(of: curve).utf8).write(to: file, options: .atomic)
        }
    }

    private func chart(of section: Section) -> String? {
        if section == .parts { return parts.isEmpty ? nil : partsChart }
        let comparisons = comparisons.filter { $0.section == section }
        if !comparisons.isEmpty { return chart(of: comparisons, section) }
        let measured = measured.filter { $0.section == section }
        return measured.isEmpty ? nil : chart(of: measured, section)
    }

    private func chart(of curve: Curve) -> String {
        CurveChart(
            title: curve.title, xTitle: curve.xTitle, unit: curve.unit,
            series: curve.lines.filter { !$0.isProcessorTime }.map { line in
                CurveChart.Series(
                    name: line.name,
                    points: line.points.map { ($0.place, $0.samples.median) })
            }
        ).svg
    }

    private var partsChart: String {
        ValueChart(
            title: Section.parts.title, unit: "ns per operation, logarithmic",
            sides: ["rowfs"],
            rows: parts.map {
                ValueChart.Row(name: $0.name, value: $0.nanosecondsPerOperation.median)
            }, isLogarithmic: true
        ).svg
    }

    private func chart(of comparisons: [Comparison], _ section: Section) -> String {
        ValueChart(
            title: section.title, unit: "speed as a multiple of nfs-ganesha's, medians",
            sides: ["rowfs"],
            rows: comparisons.map {
                ValueChart.Row(name: $0.name, value: $0.ratio, goal: $0.goal?.bound)
            }
        ).svg
    }

    /// What was measured is not always of one unit, its ratio to what it is compared with is.
    private func chart(of measured: [Measured], _ section: Section) -> String {
        let sides = measured.map(\.side).reduce(into: [String]()) { sides, side in
            if !sides.contains(side) { sides.append(side) }
        }
        let rows = measured.map { item in
            let amount = item.samples.map { "(\(Table.figure($0.median)) \(item.unit))" }
            return ValueChart.Row(
                name: item.name, side: sides.firstIndex(of: item.side) ?? 0, value: item.ratio,
                note: [amount, item.note].compactMap(\.self).joined(separator: " "),
                goal: item.goal?.bound)
        }
        return ValueChart(
            title: section.title, unit: section.ratioTitle, sides: sides, rows: rows,
            isLogarithmic: section == .redirect
        ).svg
    }
}

import Foundation

/// Amounts of bytes below each other, each beside a whole (§4.3 of the paper).
struct ShareChart {
    let title: String
    let rows: [Row]
    /// What percentages are of; nil when that is not known.
    let whole: Int?

    struct Row {
        let name: String
        let bytes: Int
        /// Whether it is a part of the whole.
        var isShare = true
        /// Put before its number, such as "at least".
        var qualifier = ""
    }

    private static let rowHeight = 34.0
    private static let left = 250.0
    /// Room for the number behind the longest bar.
    private static let right = 726.0

    var svg: Markup {
        let height = Double(rows.count) * Self.rowHeight + 8
        return Plot(title: title, frameHeight: height).svg { plot in
            let most = rows.map(\.bytes).max() ?? 0
            let unit = Measure.bytes.unit(for: Double(most))
            let ticks = Ticks(through: Double(most) / unit.size)
            let x = { (bytes: Double) in
                Self.left + (Self.right - Self.left) * min(1, bytes / unit.size / ticks.end)
            }
            for value in ticks.values {
                let place = number(x(value * unit.size))
                plot.add(
                    "line",
                    [
                        "x1": place, "x2": place, "y1": number(Plot.top), "y2": number(plot.bottom),
                        "stroke": value == 0 ? Palette.axis : Palette.grid,
                    ])
                plot.bottomTick(x(value * unit.size), ticks.label(value))
            }
            plot.bottomTitle(unit.name)
            for (index, row) in rows.enumerated() {
                draw(row, Plot.top + 4 + Double(index) * Self.rowHeight, index, x, &plot)
            }
        }
    }

    private func draw(
        _ row: Row, _ top: Double, _ index: Int, _ x: (Double) -> Double, _ plot: inout Plot
    ) {
        let middle = number(top + Self.rowHeight / 2)
        let end = row.bytes > 0 ? max(x(Double(row.bytes)), Self.left + 1) : Self.left
        plot.add(
            "text",
            [
                "x": number(Self.left - 10), "y": middle, "text-anchor": "end",
                "dominant-baseline": "middle",
            ], row.name)
        plot.add(
            "rect",
            [
                "x": number(Self.left), "y": number(top + 6), "width": number(end - Self.left),
                "height": number(Self.rowHeight - 12),
                "fill": row.isShare ? Palette.series[0] : Palette.muted,
            ])
        plot.add(
            "text",
            ["x": number(end + 8), "y": middle, "dominant-baseline": "middle"], text(of: row))
    }

    private func text(of row: Row) -> String {
        let amount = row.qualifier + Measure.bytes.text(row.bytes)
        guard row.isShare, let whole, whole > 0 else { return amount }
        let percent = Double(row.bytes) / Double(whole) * 100
        return amount + String(format: percent < 10 ? " (%.2f %%)" : " (%.0f %%)", percent)
    }
}

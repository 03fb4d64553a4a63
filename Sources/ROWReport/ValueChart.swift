import Foundation

/// Values of named things as bars below each other, each with its number, in the colors of several sides.
package struct ValueChart {
    package struct Row {
        let name: String
        /// Of ``ValueChart/sides``.
        let side: Int
        /// Nil for what has none, with ``note`` in its place.
        let value: Double?
        let note: String
        /// What it should be, as a mark on its line.
        let goal: Double?

        package init(
            name: String, side: Int = 0, value: Double?, note: String = "", goal: Double? = nil
        ) {
            self.name = name
            self.side = side
            self.value = value
            self.note = note
            self.goal = goal
        }
    }

    let title: String
    /// What the axis counts, with its unit.
    let unit: String
    let sides: [String]
    let rows: [Row]
    let scale: ValueScale

    /// - Parameter isLogarithmic: for values that differ by powers of ten; all must be above 0.
    package init(
        title: String, unit: String, sides: [String], rows: [Row], isLogarithmic: Bool = false
    ) {
        self.title = title
        self.unit = unit
        self.sides = sides
        self.rows = rows
        scale = ValueScale(rows.flatMap { [$0.value, $0.goal] }, isLogarithmic: isLogarithmic)
    }

    private static let rowHeight = 16.0
    private static let left = 380.0
    /// Room for the number behind the longest bar.
    private static let right = 850.0

    /// An SVG document.
    package var svg: String {
        let height = Double(max(1, rows.count)) * Self.rowHeight + 8
        return Plot(title: title, frameHeight: height).svg { plot in
            var keys = zip(sides, Palette.all).map { Plot.Key(name: $0, color: $1) }
            if rows.contains(where: { $0.goal != nil }) {
                keys.append(Plot.Key(name: "goal", color: Palette.mark))
            }
            plot.legend(keys)
            for tick in scale.ticks {
                let place = x(tick.value)
                plot.add(
                    "line",
                    [
                        "x1": number(place), "x2": number(place), "y1": number(Plot.top),
                        "y2": number(plot.bottom), "stroke": Palette.grid,
                    ])
                plot.bottomTick(place, tick.label)
            }
            plot.bottomTitle(unit)
            if rows.isEmpty { plot.nothing("nothing was measured") }
            for (index, row) in rows.enumerated() {
                draw(row, Plot.top + 4 + Double(index) * Self.rowHeight, &plot)
            }
        }.text
    }

    private func x(_ value: Double) -> Double {
        Self.left + (Self.right - Self.left) * scale.place(value)
    }

    private func draw(_ row: Row, _ top: Double, _ plot: inout Plot) {
        let middle = number(top + Self.rowHeight / 2)
        plot.add(
            "text",
            [
                "x": number(Self.left - 8), "y": middle, "text-anchor": "end",
                "dominant-baseline": "middle", "font-size": "11",
            ], row.name)
        let end = row.value.map { max(x($0), Self.left + 1) } ?? Self.left
        if row.value != nil {
            plot.add(
                "rect",
                [
                    "x": number(Self.left), "y": number(top + 3),
                    "width": number(end - Self.left), "height": number(Self.rowHeight - 5),
                    "fill": Palette.all[row.side % Palette.all.count],
                ])
        }
        if let goal = row.goal {
            plot.add(
                "line",
                [
                    "x1": number(x(goal)), "x2": number(x(goal)), "y1": number(top + 1),
                    "y2": number(top + Self.rowHeight), "stroke": Palette.mark,
                    "stroke-width": "2",
                ])
        }
        let texts = [row.value.map(ValueScale.text) ?? "", row.note].filter { !$0.isEmpty }
        plot.add(
            "text",
            [
                "x": number(end + 6), "y": middle, "dominant-baseline": "middle",
                "font-size": "11",
            ], texts.joined(separator: " "))
    }
}

/// Counts of the same things on several sides, as bars beside each other (Figure 5 of the paper).
struct BarChart {
    let title: String
    let unit: String
    let groups: [Group]
    let sides: [String]

    struct Group {
        let name: String
        /// One for each side.
        let counts: [Int]
    }

    var svg: Markup {
        Plot(title: title, frameHeight: 240, below: 50).svg { plot in
            plot.legend(zip(sides, Palette.series).map { Plot.Key(name: $0, color: $1) })
            let most = groups.flatMap(\.counts).max() ?? 0
            // Room for the numbers above the highest bar.
            let ticks = Ticks(through: Double(most) * 1.15, isWhole: true)
            plot.leftScale(ticks, unit: unit)
            plot.bottomTitle("procedure")
            guard !groups.isEmpty else { return plot.nothing("no calls yet") }
            let width = (Plot.right - Plot.left) / Double(groups.count)
            for (index, group) in groups.enumerated() {
                draw(group, from: Plot.left + Double(index) * width, width, ticks, &plot)
            }
        }
    }

    private func draw(
        _ group: Group, from left: Double, _ width: Double, _ ticks: Ticks, _ plot: inout Plot
    ) {
        let bar = min(width * 0.84 / Double(sides.count), 26)
        let start = left + (width - bar * Double(sides.count)) / 2
        for (side, count) in group.counts.enumerated() {
            let x = start + Double(side) * bar
            let y = count > 0 ? min(plot.y(Double(count), of: ticks), plot.bottom - 1) : plot.bottom
            plot.add(
                "rect",
                [
                    "x": number(x), "y": number(y), "width": number(bar - 1),
                    "height": number(plot.bottom - y), "fill": Palette.series[side],
                ]
            ) { $0.add("title", [:], "\(group.name), \(sides[side]): \(count)") }
            guard count > 0 else { continue }
            let place = "\(number(x + bar / 2 + 3)) \(number(y - 4))"
            plot.add(
                "text",
                ["font-size": "10", "transform": "translate(\(place)) rotate(-90)"],
                shortCount(count))
        }
        // Long names of many groups are drawn smaller rather than over each other.
        let size = min(12, max(6.5, 12 * (width - 4) / Plot.textWidth(group.name, size: 13)))
        plot.add(
            "text",
            [
                "x": number(left + width / 2), "y": number(plot.bottom + 15),
                "text-anchor": "middle", "font-size": number(size),
            ], group.name)
    }
}

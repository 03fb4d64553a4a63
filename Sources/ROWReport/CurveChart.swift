import Foundation

/// How values depend on a number that runs over powers of ten: lines with their points.
package struct CurveChart {
    package struct Series {
        let name: String
        let points: [(x: Double, y: Double)]

        package init(name: String, points: [(x: Double, y: Double)]) {
            self.name = name
            self.points = points
        }
    }

    let title: String
    /// What the lower axis counts, and what the left one counts, with its unit.
    let xTitle: String
    let unit: String
    let series: [Series]

    package init(title: String, xTitle: String, unit: String, series: [Series]) {
        self.title = title
        self.xTitle = xTitle
        self.unit = unit
        self.series = series
    }

    /// An SVG document.
    package var svg: String {
        let points = series.flatMap(\.points)
        let scale = ValueScale(points.map(\.x), isLogarithmic: true)
        let ticks = Ticks(through: points.map(\.y).max() ?? 0)
        let x = { (value: Double) in
            Plot.left + (Plot.right - Plot.left) * scale.place(value)
        }
        return Plot(title: title, frameHeight: 240).svg { plot in
            plot.legend(zip(series, Palette.all).map { Plot.Key(name: $0.name, color: $1) })
            plot.leftScale(ticks, unit: unit)
            plot.bottomTitle(xTitle)
            guard !points.isEmpty else { return plot.nothing("nothing was measured") }
            for tick in scale.ticks { plot.bottomTick(x(tick.value), tick.label) }
            for (series, color) in zip(series, Palette.all) {
                let places = series.points.map { (x($0.x), plot.y($0.y, of: ticks)) }
                plot.add(
                    "polyline",
                    [
                        "points": places.map { "\(number($0)),\(number($1))" }
                            .joined(separator: " "),
                        "fill": "none", "stroke": color, "stroke-width": "2",
                    ])
                for place in places {
                    plot.add(
                        "circle",
                        [
                            "cx": number(place.0), "cy": number(place.1), "r": "3",
                            "fill": color,
                        ])
                }
            }
        }.text
    }
}

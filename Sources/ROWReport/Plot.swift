import Foundation

/// The picture of a chart: its title, its legend, and a frame with a scale at its left.
struct Plot {
    static let width = 960.0
    static let left = 76.0
    static let right = 936.0
    static let top = 64.0

    /// Of the frame's lower edge, and of the whole picture.
    let bottom: Double
    let height: Double
    private(set) var markup = Markup()

    struct Key {
        let name: String
        let color: String
    }

    /// - Parameter frameHeight: of the frame.
    /// - Parameter below: room for the labels below it.
    init(title: String, frameHeight: Double, below: Double = 48) {
        bottom = Self.top + frameHeight
        height = bottom + below
        self.title = title
    }

    private let title: String

    /// The whole picture.
    func svg(_ draw: (inout Plot) -> Void) -> Markup {
        var plot = self
        draw(&plot)
        var result = Markup()
        let size = "0 0 \(number(Self.width)) \(number(height))"
        result.add(
            "svg",
            [
                "xmlns": "http://www.w3.org/2000/svg", "viewBox": size, "role": "img",
                "aria-label": title, "font-family": "sans-serif", "font-size": "12",
                "fill": Palette.text,
            ]
        ) { svg in
            svg.add("title", [:], title)
            svg.add("rect", ["width": "100%", "height": "100%", "fill": "#ffffff"])
            svg.add(
                "text", ["x": "12", "y": "22", "font-size": "15", "font-weight": "bold"], title)
            svg.add(plot.markup)
        }
        return result
    }

    mutating func add(
        _ name: String, _ attributes: Markup.Attributes, _ content: String? = nil
    ) {
        markup.add(name, attributes, content)
    }

    mutating func add(
        _ name: String, _ attributes: Markup.Attributes, _ body: (inout Markup) -> Void
    ) {
        markup.add(name, attributes, body)
    }

    /// What the colors stand for, at the right above the frame.
    mutating func legend(_ keys: [Key]) {
        guard keys.count > 1 else { return }
        var x = Self.right - keys.reduce(0) { $0 + Self.textWidth($1.name) + 34 } + 14
        for key in keys {
            add(
                "rect",
                [
                    "x": number(x), "y": "12", "width": "12", "height": "12", "fill": key.color,
                ])
            add("text", ["x": number(x + 17), "y": "22"], key.name)
            x += Self.textWidth(key.name) + 34
        }
    }

    /// The scale at the left with lines across the frame, and what it counts.
    func y(_ value: Double, of ticks: Ticks) -> Double {
        bottom - (bottom - Self.top) * min(max(0, value / ticks.end), 1)
    }

    mutating func leftScale(_ ticks: Ticks, unit: String) {
        for value in ticks.values {
            let y = number(y(value, of: ticks))
            add(
                "line",
                [
                    "x1": number(Self.left), "x2": number(Self.right), "y1": y, "y2": y,
                    "stroke": value == 0 ? Palette.axis : Palette.grid,
                ])
            add(
                "text",
                [
                    "x": number(Self.left - 8), "y": y, "text-anchor": "end",
                    "dominant-baseline": "middle",
                ], ticks.label(value))
        }
        add(
            "line",
            [
                "x1": number(Self.left), "x2": number(Self.left), "y1": number(Self.top),
                "y2": number(bottom), "stroke": Palette.axis,
            ])
        let middle = number((Self.top + bottom) / 2)
        add(
            "text",
            [
                "x": "18", "y": middle, "text-anchor": "middle",
                "transform": "rotate(-90 18 \(middle))",
            ], unit)
    }

    /// A label at a place of the lower edge.
    mutating func bottomTick(_ x: Double, _ label: String) {
        add(
            "line",
            [
                "x1": number(x), "x2": number(x), "y1": number(bottom), "y2": number(bottom + 5),
                "stroke": Palette.axis,
            ])
        add(
            "text", ["x": number(x), "y": number(bottom + 18), "text-anchor": "middle"], label)
    }

    /// What the lower edge counts.
    mutating func bottomTitle(_ text: String) {
        add(
            "text",
            [
                "x": number((Self.left + Self.right) / 2), "y": number(height - 10),
                "text-anchor": "middle",
            ], text)
    }

    /// Says why there is nothing in the frame.
    mutating func nothing(_ text: String) {
        add(
            "text",
            [
                "x": number((Self.left + Self.right) / 2), "y": number((Self.top + bottom) / 2),
                "text-anchor": "middle", "fill": Palette.muted,
            ], text)
    }

    /// About how wide a text is.
    static func textWidth(_ text: String, size: Double = 12) -> Double {
        Double(text.count) * size * 0.56
    }
}

enum Palette {
    static let text = "#24292f"
    static let muted = "#6e7781"
    static let axis = "#57606a"
    static let grid = "#e4e7eb"
    static let mark = "#8250df"
    /// Told apart by people who do not see all colors, too.
    static let series = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"]
    /// For more, of which each has its name beside it, too.
    static let all = series + ["#56b4e9", "#d55e00", "#999999"]
}

/// A coordinate, to a tenth of a point.
func number(_ value: Double) -> String {
    let rounded = (value * 10).rounded() / 10
    return rounded == rounded.rounded() ? "\(Int(rounded))" : "\(rounded)"
}

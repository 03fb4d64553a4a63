import Foundation
import ROWProxy

/// Values over the time in which a session was served, with marks (Figure 4 of the paper).
struct TimeChart {
    let title: String
    let measure: Measure
    let series: [Series]
    let samples: [HistorySample]
    let marks: [HistoryMark]

    struct Series {
        let name: String
        let value: (HistorySample) -> Double

        init(_ name: String, _ value: @escaping (HistorySample) -> Double) {
            self.name = name
            self.value = value
        }

        /// A sum as so much in a second.
        init(_ name: String, rate sum: KeyPath<HistorySample, Int>) {
            self.init(name) { sample in
                sample.servedMS > 0 ? Double(sample[keyPath: sum]) / sample.servedSeconds : 0
            }
        }
    }

    /// More would not be seen.
    private static let samplesMaximum = 640
    private static let breaksMaximum = 40

    var svg: Markup {
        Plot(title: title, frameHeight: 180).svg { plot in
            plot.legend(
                zip(series, Palette.series).map { Plot.Key(name: $0.name, color: $1) })
            let axis = TimeAxis(samples)
            let most = series.flatMap { samples.map($0.value) }.max() ?? 0
            let unit = measure.unit(for: most)
            let ticks = Ticks(through: most / unit.size)
            plot.leftScale(ticks, unit: unit.name)
            drawTime(axis, &plot)
            guard axis.seconds > 0 else { return plot.nothing("no samples yet") }
            for (series, color) in zip(series, Palette.series) {
                draw(series, color, axis, unit.size, ticks, &plot)
            }
            drawBreaks(axis, &plot)
            drawMarks(axis, &plot)
        }
    }

    private static func x(_ seconds: Double, _ axis: TimeAxis) -> Double {
        Plot.left + (Plot.right - Plot.left) * seconds / axis.length
    }

    private func drawTime(_ axis: TimeAxis, _ plot: inout Plot) {
        let unit = axis.unit
        let ticks = Ticks(through: axis.length / unit.seconds, atMost: 10)
        // The axis ends with the last sample.
        for value in ticks.values where value * unit.seconds <= axis.length * 1.0001 {
            plot.bottomTick(Self.x(value * unit.seconds, axis), ticks.label(value))
        }
        let since = axis.startMS.map { ", from \(timeText(milliseconds: $0))" } ?? ""
        plot.bottomTitle("\(unit.name) of service\(since)")
    }

    /// Each sample's value for as long as it lasts.
    private func draw(
        _ series: Series, _ color: String, _ axis: TimeAxis, _ size: Double, _ ticks: Ticks,
        _ plot: inout Plot
    ) {
        var (line, area, start) = ("", "", 0.0)
        let base = number(plot.bottom)
        for (index, sample) in samples.enumerated() {
            let from = number(Self.x(axis.spans[index].lowerBound, axis))
            let to = number(Self.x(axis.spans[index].upperBound, axis))
            let y = number(plot.y(series.value(sample) / size, of: ticks))
            if index == 0 || axis.isAfterBreak(index) {
                if !area.isEmpty { area += "V\(base)Z" }
                start = Self.x(axis.spans[index].lowerBound, axis)
                line += "M\(from) \(y)"
                area += "M\(number(start)) \(base)V\(y)"
            } else {
                line += "V\(y)"
                area += "V\(y)"
            }
            line += "H\(to)"
            area += "H\(to)"
        }
        area += "V\(base)Z"
        plot.add("path", ["d": area, "fill": color, "fill-opacity": "0.12"])
        plot.add(
            "path",
            [
                "d": line, "fill": "none", "stroke": color, "stroke-width": "1.5",
                "stroke-linejoin": "round",
            ])
    }

    private func drawBreaks(_ axis: TimeAxis, _ plot: inout Plot) {
        for (position, seconds) in axis.breaks.prefix(Self.breaksMaximum) {
            let x = number(Self.x(position, axis))
            plot.add(
                "line",
                [
                    "x1": x, "x2": x, "y1": number(Plot.top), "y2": number(plot.bottom),
                    "stroke": Palette.muted, "stroke-dasharray": "1 3",
                ]
            ) { $0.add("title", [:], "not served for \(durationText(seconds: seconds))") }
        }
    }

    /// A line for each mark, and its text above the frame where there is room, an operator's first.
    private func drawMarks(_ axis: TimeAxis, _ plot: inout Plot) {
        var taken: [[Range<Double>]] = [[], []]
        for mark in marks.filter({ !$0.isMount }) + marks.filter(\.isMount) {
            let x = Self.x(axis.position(of: mark.timeMS), axis)
            let color = mark.isMount ? Palette.muted : Palette.mark
            plot.add(
                "line",
                [
                    "x1": number(x), "x2": number(x), "y1": number(Plot.top - 2),
                    "y2": number(plot.bottom), "stroke": color, "stroke-dasharray": "4 3",
                ]
            ) { $0.add("title", [:], "\(mark.text), \(timeText(milliseconds: mark.timeMS))") }
            let text = mark.text.count > 24 ? mark.text.prefix(23) + "…" : mark.text
            let width = Plot.textWidth(text, size: 11)
            let isAtEnd = x + width > Plot.right
            let start = isAtEnd ? x - width : x
            let place = start - 4..<start + width + 4
            guard let row = taken.firstIndex(where: { !$0.contains { $0.overlaps(place) } }) else {
                continue
            }
            taken[row].append(place)
            plot.add(
                "text",
                [
                    "x": number(x), "y": number(Plot.top - 6 - Double(row) * 13), "font-size": "11",
                    "text-anchor": isAtEnd ? "end" : "start", "fill": color,
                ], text)
        }
    }

    /// The charts of a history's samples, merged as far as a picture allows.
    init(
        _ title: String, _ measure: Measure, _ series: [Series], of report: SessionReport
    ) {
        self.title = title
        self.measure = measure
        self.series = series
        samples = History.merged(report.samples, atMost: Self.samplesMaximum)
        marks = report.marks
    }
}

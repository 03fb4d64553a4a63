import Foundation
import FoundationXML
import Testing

@testable import ROWReport

/// Charts of measurements.
@Suite struct ChartTests {
    private static let hostile = "<a & \"b\">"

    /// Whether it is XML, and how many of an element it has.
    private func count(of element: String, in svg: String) throws -> Int {
        final class Counter: NSObject, XMLParserDelegate {
            var counts: [String: Int] = [:]

            func parser(
                _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
                qualifiedName: String?, attributes: [String: String]
            ) { counts[name, default: 0] += 1 }
        }
        let counter = Counter()
        let parser = XMLParser(data: Data(svg.utf8))
        parser.delegate = counter
        guard parser.parse() else { throw parser.parserError ?? CocoaError(.coderReadCorrupt) }
        return counter.counts[element] ?? 0
    }

    @Test func eachValueHasABarAndEachGoalAMark() throws {
        let rows = [
            ValueChart.Row(name: Self.hostile, value: 2.5, goal: 3),
            ValueChart.Row(name: "none", side: 1, value: nil, note: Self.hostile),
        ]
        let with = ValueChart(
            title: Self.hostile, unit: "ms", sides: ["one", Self.hostile], rows: rows)
        // The background, the keys of two sides and of the goal, and a bar.
        #expect(try count(of: "rect", in: with.svg) == 5)
        let empty = ValueChart(title: "t", unit: "ms", sides: ["one"], rows: [])
        #expect(try count(of: "rect", in: empty.svg) == 1)
    }

    @Test func curvesHaveAllTheirPoints() throws {
        let series = ["a", Self.hostile].map { name in
            CurveChart.Series(name: name, points: [(1, 5), (1000, 7), (1e6, 6)])
        }
        let chart = CurveChart(title: "t", xTitle: "blocks", unit: "ns", series: series)
        #expect(try count(of: "circle", in: chart.svg) == 6)
        #expect(try count(of: "polyline", in: chart.svg) == 2)
        let empty = CurveChart(title: "t", xTitle: "blocks", unit: "ns", series: [])
        #expect(try count(of: "polyline", in: empty.svg) == 0)
    }

    @Test func scalesGoFromEndToEnd() {
        let linear = ValueScale([3, nil, 8], isLogarithmic: false)
        #expect(linear.place(0) == 0)
        #expect(linear.place(8) == linear.place(4) * 2)
        let powers = ValueScale([0.02, 3000], isLogarithmic: true)
        #expect(powers.ticks.map(\.label) == ["0.01", "0.1", "1", "10", "100", "1 K", "10 K"])
        #expect(powers.place(0.01) == 0)
        #expect(abs(powers.place(10) - 0.5) < 1e-9)
        #expect(powers.place(1e9) == 1)
    }
}

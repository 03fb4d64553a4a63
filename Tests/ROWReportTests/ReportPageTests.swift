import Foundation
import FoundationXML
import ROWTestKit
import Testing

@testable import ROWProxy
@testable import ROWReport

/// The page of a report: well-formed whatever is in it, and in need of nothing else.
@Suite struct ReportPageTests {
    private static let hostile = "</svg><script>alert('x')</script>&\"\u{1}\u{FFFE}]]>"

    /// What a parser makes of a text.
    private final class Elements: NSObject, XMLParserDelegate {
        private(set) var counts: [String: Int] = [:]
        private(set) var attributes: [(name: String, value: String)] = []
        private(set) var text = ""

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
            qualifiedName: String?, attributes: [String: String]
        ) {
            counts[name, default: 0] += 1
            self.attributes += attributes.map { ($0.key, $0.value) }
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
    }

    /// - Throws: the parser's error.
    private func parse(_ xml: String) throws -> Elements {
        let parser = XMLParser(data: Data(xml.utf8))
        let elements = Elements()
        parser.delegate = elements
        guard parser.parse() else {
            throw parser.parserError ?? CocoaError(.coderReadCorrupt)
        }
        return elements
    }

    private func page(_ report: SessionReport) throws -> Elements {
        let html = ReportPage(report).html
        #expect(html.hasPrefix("<!DOCTYPE html>\n"))
        return try parse(String(html.dropFirst("<!DOCTYPE html>\n".count)))
    }

    private func sample(_ second: Int, _ random: inout Seed.Generator) -> HistorySample {
        var sample = HistorySample()
        for field in HistorySample.stored {
            sample[keyPath: field] = Int.random(in: 0...10_000_000, using: &random)
        }
        sample.startMS = 1_700_000_000_000 + second * 1000
        (sample.endMS, sample.servedMS) = (sample.startMS + 1000, 1000)
        return sample
    }

    /// A report with so many samples, in two runs, and marks of any text.
    private func report(_ count: Int, _ seed: Seed) -> SessionReport {
        var random = seed.makeGenerator()
        var history = History()
        for index in 0..<count {
            history.append(sample(index < count / 2 ? index : index + 90_000, &random))
        }
        history.calls.client = ["READ": 1800, "GETATTR": 12_500, Self.hostile: 3]
        history.calls.main = ["READ": 1800]
        for text in ["boot", Self.hostile, String(repeating: "w", count: 64)] {
            let time = history.samples.randomElement(using: &random)?.startMS ?? 0
            history.marks.append(
                HistoryMark(
                    timeMS: time, text: text, isMount: text == "boot", calls: CallCounts(),
                    sum: HistorySample()))
        }
        var report = SessionReport(
            session: Self.hostile, image: Self.hostile, history: history, timeMS: 1_700_000_000_000)
        report.bytes.image = 934 << 20
        report.bytes.touched = 16 << 20
        report.notes = [Self.hostile]
        return report
    }

    @Test(arguments: [0, 1, 2, 7, 640, 641, 3000])
    func thePageIsWellFormedAndNeedsNothingElse(count: Int) throws {
        let seed = Seed()
        let elements = try page(report(count, seed))
        #expect(elements.counts["svg"] ?? 0 >= 8, "\(seed)")
        for name in ["script", "link", "img", "image", "iframe", "object", "use", "a"] {
            #expect(elements.counts[name] == nil, "\(seed)")
        }
        for (name, value) in elements.attributes {
            #expect(!["href", "src", "xlink:href", "style"].contains(name), "\(seed)")
            #expect(!value.contains("NaN") && !value.contains("nan"), "\(name)=\(value), \(seed)")
            #expect(!value.contains("inf"), "\(name)=\(value), \(seed)")
            #expect(!value.contains("://") || name == "xmlns", "\(name)=\(value), \(seed)")
        }
        #expect(!elements.text.contains("url(") && !elements.text.contains("@import"))
        #expect(elements.text.contains("alert('x')"))
        #expect(elements.text.contains("no samples yet") == (count == 0), "\(seed)")
    }

    @Test func aReportOfNothingHasChartsWithAxesTitlesAndUnits() throws {
        let empty = SessionReport(session: "s", image: "/", history: History(), timeMS: 0)
        let text = try page(empty).text
        for words in [
            "Processor", "% of a core", "Disk", "Network", "B/s", "Memory", "seconds of service",
            "no samples yet", "no calls yet", "calls", "procedure", "0.2",
        ] {
            #expect(text.contains(words), "\(words)")
        }
    }

    @Test func everyChartHasATitleAndLegendsWhereThereIsMoreThanOneSeries() throws {
        var report = report(100, Seed(4))
        report.marks = []
        for (title, legend) in [
            ("Disk", ["read", "written"]), ("Network, with protocol headers", ["in", "out"]),
        ] {
            let chart = TimeChart(
                title, .bytesPerSecond,
                legend.map { TimeChart.Series($0, rate: \.diskReadBytes) }, of: report)
            let text = try parse(chart.svg.text).text
            for words in legend + [
                title, "MiB/s", "seconds of service, from 2023-11-14 22:13:20 UTC",
            ] {
                #expect(text.contains(words), "\(words)")
            }
        }
    }

    @Test func timeInWhichItWasNotServedTakesUpNoRoom() {
        var random = Seed(5).makeGenerator()
        let samples = [sample(0, &random), sample(1, &random), sample(1000, &random)]
        let axis = TimeAxis(samples)
        #expect(axis.seconds == 3)
        #expect(axis.breaks.map(\.position) == [2] && axis.breaks.map(\.seconds) == [998])
        let start = samples[0].startMS
        #expect(axis.position(of: start - 5000) == 0)
        #expect(axis.position(of: start + 500) == 0.5)
        #expect(axis.position(of: start + 500_000) == 2)
        #expect(axis.position(of: start + 1_000_500) == 2.5)
        #expect(axis.position(of: start + 9_000_000) == 3)
    }

    @Test(
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (16_777_216, "16.0 MiB"),
            (979_369_984, "934 MiB"), (1_000_000_000_000_000_000, "888 PiB"),
        ] as [(Double, String)])
    func bytesHaveThreeDigitsAndAUnit(bytes: Double, text: String) {
        #expect(Measure.bytes.text(bytes) == text)
    }

    @Test(
        arguments: [
            (0.0, "0.0 s"), (95, "95 s"), (750, "12 min 30 s"), (11_100, "3 h 5 min"),
            (187_200, "2 d 4 h"),
        ] as [(Double, String)])
    func timesHaveTwoUnits(seconds: Double, text: String) {
        #expect(durationText(seconds: seconds) == text)
    }
}

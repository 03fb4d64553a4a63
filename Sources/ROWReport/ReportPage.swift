public import ROWProxy

/// A page of HTML about one session, with its charts in it: it needs nothing from anywhere else.
public struct ReportPage {
    private let report: SessionReport

    public init(_ report: SessionReport) { self.report = report }

    public var html: String {
        var page = Markup()
        page.add("html", ["lang": "en"]) { html in
            html.add("head") { head in
                head.add("meta", ["charset": "utf-8"])
                head.add(
                    "meta",
                    [
                        "http-equiv": "Content-Security-Policy",
                        "content": "default-src 'none'; style-src 'unsafe-inline'",
                    ])
                head.add(
                    "meta",
                    ["name": "viewport", "content": "width=device-width, initial-scale=1"])
                head.add("title", [:], "ROW-FS session \(report.session)")
                head.add("style", [:], Self.style)
            }
            html.add("body") { body in
                body.add("h1", [:], "Session \(report.session)")
                addFacts(to: &body)
                for note in report.notes { body.add("p", ["class": "note"], note) }
                addCalls(to: &body)
                addUsage(to: &body)
                addBytes(to: &body)
                addPhases(to: &body)
            }
        }
        return "<!DOCTYPE html>\n" + page.text + "\n"
    }

    // No character in it means anything to XML.
    private static let style = """
        body { font: 15px/1.45 sans-serif; color: #24292f; max-width: 960px; margin: 24px auto; padding: 0 16px; } \
        h1 { font-size: 24px; } h2 { font-size: 18px; margin: 36px 0 4px; } \
        svg { width: 100%; height: auto; display: block; margin: 12px 0; border: 1px solid #e4e7eb; } \
        table { border-collapse: collapse; font-size: 13px; margin: 12px 0; } \
        th, td { padding: 3px 12px 3px 0; text-align: right; border-bottom: 1px solid #e4e7eb; } \
        th:first-child, td:first-child { text-align: left; } td { white-space: nowrap; } \
        p { margin: 4px 0; } .facts td { text-align: left; } .note { color: #9a3412; } \
        summary { cursor: pointer; }
        """

    // MARK: What it is about

    private func addFacts(to body: inout Markup) {
        let sum = report.samples.reduce(into: HistorySample()) { $0.merge($1) }
        var facts = [
            ("image", report.image), ("state", report.state),
            ("report of", timeText(milliseconds: report.timeMS)),
            ("served for", durationText(seconds: sum.servedSeconds)),
        ]
        if !report.samples.isEmpty {
            let seconds = durationText(seconds: Double(sum.cpuMicroseconds) / 1_000_000)
            facts += [
                (
                    "processor",
                    "\(seconds), \(Measure.percent.text(sum.cpuPercent)) of a core on average"
                ),
                ("memory", "\(Measure.bytes.text(sum.memoryBytes)) at most"),
                (
                    "network",
                    "\(Measure.bytes.text(sum.networkInBytes)) in, "
                        + "\(Measure.bytes.text(sum.networkOutBytes)) out"
                ),
            ]
        }
        body.add("table", ["class": "facts"]) { table in
            for (name, value) in facts {
                table.add("tr") { row in
                    row.add("th", [:], name)
                    row.add("td", [:], value)
                }
            }
        }
    }

    // MARK: Calls

    private func addCalls(to body: inout Markup) {
        body.add("h2", [:], "Calls by procedure and side")
        body.add(
            "p", [:],
            "Calls of this session's clients and to its shadow; calls to main are those of all "
                + "sessions that the process served meanwhile.")
        body.add(Self.bars("All calls", report.calls).svg)
        body.add("details") { details in
            details.add("summary", [:], "The same as a table")
            details.add(Self.table(report.calls))
        }
        for phase in report.phases where report.phases.count > 1 {
            let name = Self.name(of: phase)
            body.add("details") { details in
                details.add("summary", [:], "Calls in the phase \(name)")
                details.add(Self.bars("Calls in the phase \(name)", phase.calls).svg)
            }
        }
    }

    /// Most called first.
    private static func groups(_ calls: CallCounts) -> [BarChart.Group] {
        let names = Set(CallCounts.sides.flatMap { calls[keyPath: $0.counts].keys })
        let groups = names.map { name in
            BarChart.Group(
                name: name,
                counts: CallCounts.sides.map { calls[keyPath: $0.counts][name] ?? 0 })
        }
        return groups.sorted { one, other in
            let (first, second) = (one.counts.max() ?? 0, other.counts.max() ?? 0)
            return (second, one.name) < (first, other.name)
        }
    }

    private static func bars(_ title: String, _ calls: CallCounts) -> BarChart {
        BarChart(
            title: title, unit: "calls", groups: groups(calls),
            sides: CallCounts.sides.map(\.name))
    }

    private static func table(_ calls: CallCounts) -> Markup {
        let groups = groups(calls)
        let sums = CallCounts.sides.map { calls[keyPath: $0.counts].values.reduce(0, +) }
        return table(
            ["procedure"] + CallCounts.sides.map(\.name),
            groups.map { [$0.name] + $0.counts.map(String.init) }
                + [["all"] + sums.map(String.init)])
    }

    private static func table(_ heading: [String], _ rows: [[String]]) -> Markup {
        var result = Markup()
        result.add("table") { table in
            table.add("tr") { row in
                for cell in heading { row.add("th", [:], cell) }
            }
            for cells in rows {
                table.add("tr") { row in
                    for cell in cells { row.add("td", [:], cell) }
                }
            }
        }
        return result
    }

    // MARK: Over time

    private func addUsage(to body: inout Markup) {
        body.add("h2", [:], "What the proxy used")
        body.add(
            "p", [:],
            "Of the whole process. Dashed lines are marks; dotted ones are where it was stopped and "
                + "started again, which takes up no room.")
        let charts = [
            TimeChart(
                "Processor", .percent, [.init("processor") { $0.cpuPercent }], of: report),
            TimeChart(
                "Disk", .bytesPerSecond,
                [
                    .init("read", rate: \.diskReadBytes),
                    .init("written", rate: \.diskWrittenBytes),
                ], of: report),
            TimeChart(
                "Network, with protocol headers", .bytesPerSecond,
                [.init("in", rate: \.networkInBytes), .init("out", rate: \.networkOutBytes)],
                of: report),
            TimeChart(
                "Memory", .bytes, [.init("memory") { Double($0.memoryBytes) }], of: report),
        ]
        for chart in charts { body.add(chart.svg) }
    }

    // MARK: Bytes

    private func addBytes(to body: inout Markup) {
        body.add("h2", [:], "Bytes of the image")
        body.add("p", [:], imageText)
        let bytes = report.bytes
        var rows: [ShareChart.Row] = []
        if let image = bytes.image {
            rows.append(
                .init(
                    name: "image", bytes: image, isShare: false,
                    qualifier: bytes.unlistedDirectories > 0 ? "at least " : ""))
        }
        rows += [
            .init(
                name: "asked for by clients", bytes: bytes.touched,
                qualifier: bytes.isTouchedLeast ? "at least " : ""),
            .init(name: "sent by main", bytes: bytes.fromMain),
            .init(name: "stored in the shadow", bytes: bytes.shadowStored),
        ]
        // Part of an image whose size is not known would be too large a part.
        let whole = bytes.unlistedDirectories == 0 ? bytes.image : nil
        body.add(
            ShareChart(title: "Asked for, sent and stored", rows: rows, whole: whole).svg)
        body.add(
            TimeChart(
                "Main and what was kept of it", .bytesPerSecond,
                [
                    .init("sent by main", rate: \.fromMainBytes),
                    .init("kept here, read by clients", rate: \.cacheHitBytes),
                ], of: report
            ).svg)
        body.add(
            TimeChart(
                "Asked for and stored so far", .bytes,
                [
                    .init("asked for by clients") { Double($0.touchedBytes) },
                    .init("stored in the shadow") { Double($0.storedBytes) },
                ], of: report
            ).svg)
    }

    private var imageText: String {
        let asked = "What clients asked for counts once however often they did, in blocks of 4 KiB."
        guard report.bytes.image != nil else { return "The image's size is not known. \(asked)" }
        let unlisted = report.bytes.unlistedDirectories
        let size =
            unlisted == 0
            ? "The image has \(report.bytes.imageFiles) files."
            : "The image has \(report.bytes.imageFiles) files in what is known of it, and "
                + "\(unlisted) directories that nobody has listed, so its size is not known."
        return "\(size) \(asked)"
    }

    // MARK: Phases

    private func addPhases(to body: inout Markup) {
        guard !report.phases.isEmpty else { return }
        body.add("h2", [:], "From mark to mark")
        let heading = [
            "phase", "served", "of a core", "client calls", "main calls", "shadow calls",
            "from main", "kept here", "asked for so far", "stored so far",
        ]
        let rows = report.phases.map { phase in
            let sum = phase.sum
            return [
                Self.name(of: phase), durationText(seconds: sum.servedSeconds),
                Measure.percent.text(sum.cpuPercent), "\(sum.clientCalls)", "\(sum.mainCalls)",
                "\(sum.shadowCalls)", Measure.bytes.text(sum.fromMainBytes),
                Measure.bytes.text(sum.cacheHitBytes), Measure.bytes.text(sum.touchedBytes),
                Measure.bytes.text(sum.storedBytes),
            ]
        }
        body.add(Self.table(heading, rows))
    }

    private static func name(of phase: SessionReport.Phase) -> String {
        phase.name.isEmpty ? "before the first mark" : phase.name
    }
}

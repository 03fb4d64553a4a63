internal import Crypto
internal import Foundation
internal import ROWProxy
internal import ROWReport

/// The page. A script shows and renews what `/status.json` says; who has none gets the figures of the moment as tables.
enum StatusPage {
    /// The only things that a browser may do with the page: run its script, use its style, and fetch from where it
    /// came from.
    static let policy =
        "default-src 'none'; script-src '\(digest(of: script))'; style-src '\(digest(of: style))'; "
        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    private static func digest(of text: String) -> String {
        "sha256-" + Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
    }

    static func html(_ status: ServiceStatus) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>ROW-FS on \(Markup.escaped(status.host))</title>
        <style>\(style)</style>
        </head>
        <body>
        <noscript>\(tables(status).text)</noscript>
        <script>\(script)</script>
        </body>
        </html>

        """
    }

    // MARK: Without a script

    private static func tables(_ status: ServiceStatus) -> Markup {
        var markup = Markup()
        markup.add("h1", [:], "ROW-FS on \(status.host)")
        let time = Date(timeIntervalSince1970: status.time).formatted(.iso8601)
        markup.add("p", [:], "As of \(time). Load the page again for newer figures.")
        if status.silentImages > 0 {
            markup.add("p", ["class": "bad"], "\(status.silentImages) images do not answer.")
        }
        for image in status.images { add(image, to: &markup) }
        if !status.leases.isEmpty {
            add(
                "Leases", ["version", "error"],
                status.leases.map { [$0.image, $0.lastError ?? ""] }, to: &markup)
        }
        return markup
    }

    private static func add(_ image: ImageStatus, to markup: inout Markup) {
        markup.add("h2", [:], image.image)
        add(
            "Servers", ["server", "state", "error"],
            image.main.map { [$0.server, $0.state, $0.lastError ?? ""] }, to: &markup)
        let bytes = Measure.bytes
        add(
            "Bytes", ["fetched", "from what is kept here", "to clients", "from clients"],
            [
                [
                    image.bytes.fromMain, image.bytes.cacheHit, image.bytes.toClient,
                    image.bytes.fromClient,
                ].map { bytes.text($0) }
            ], to: &markup)
        add(
            "Sessions", ["session", "calls", "changed files", "stored", "served for"],
            image.sessions.map {
                [
                    $0.session, "\($0.calls.client.values.reduce(0, +))", "\($0.changed.files)",
                    bytes.text($0.bytes.shadowStored), durationText(seconds: $0.uptimeSeconds),
                ]
            }, to: &markup)
        let names = Set(image.calls.client.keys).union(image.calls.main.keys)
            .union(image.calls.shadow.keys)
        add(
            "Calls", ["procedure", "clients", "p50 ms", "p99 ms", "main", "shadow"],
            names.sorted().map { name in
                let latency = image.latency.client[name]
                return [
                    name, "\(image.calls.client[name] ?? 0)", milliseconds(latency?.p50MS),
                    milliseconds(latency?.p99MS), "\(image.calls.main[name] ?? 0)",
                    "\(image.calls.shadow[name] ?? 0)",
                ]
            }, to: &markup)
        if !image.machines.isEmpty {
            add(
                "Machines", ["address", "name", "stage"],
                image.machines.map { [$0.address, $0.hostname ?? "", $0.stage] }, to: &markup)
        }
        add(
            "Events", ["time", "session", "event"],
            image.events.reversed().map {
                [
                    Date(timeIntervalSince1970: $0.time).formatted(.iso8601), $0.session ?? "",
                    $0.message,
                ]
            }, to: &markup)
    }

    private static func milliseconds(_ value: Double?) -> String {
        value.map { String(format: "%.3f", $0) } ?? ""
    }

    private static func add(
        _ title: String, _ heading: [String], _ rows: [[String]], to markup: inout Markup
    ) {
        guard !rows.isEmpty else { return }
        markup.add("h3", [:], title)
        markup.add("table") { table in
            table.add("tr") { row in
                for cell in heading { row.add("th", [:], cell) }
            }
            for cells in rows {
                table.add("tr") { row in
                    for cell in cells { row.add("td", [:], cell) }
                }
            }
        }
    }
}

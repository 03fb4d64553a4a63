import Foundation
package import ROWProxy

/// What a session does, as the lines of a screen.
package enum SessionScreen {
    /// A session at a moment.
    package struct Look: Sendable {
        /// Seconds, of a clock that only goes forward.
        let time: Double
        let status: SessionStatus

        package init(time: Double, status: SessionStatus) {
            self.time = time
            self.status = status
        }
    }

    /// More are not shown.
    package static let looksMaximum = 512

    /// - Parameter looks: the latest last; rates are those between two.
    /// - Returns: as many lines as fit, none wider than the screen.
    package static func lines(
        _ looks: [Look], _ size: TerminalSize, isUnicode: Bool
    ) -> [StyledLine] {
        guard let status = looks.last?.status else { return [] }
        var lines = head(status) + rates(looks, size, isUnicode) + storage(status, size)
        let sections = [
            Section("SERVERS", servers(status)), Section("STORED", largest(status)),
            Section("EVENTS", events(status)),
        ].filter { !$0.lines.isEmpty }
        lines += Section.lines(of: sections, rows: size.rows - lines.count)
        return lines.prefix(max(size.rows, 0)).map { $0.prefix(columns: size.columns) }
    }

    // MARK: What is always there

    private static func head(_ status: SessionStatus) -> [StyledLine] {
        let isRunning = status.state == "running"
        return [
            StyledLine(status.session, .bold).adding("  ")
                .adding(status.state, isRunning ? .good : .bad)
                .adding(", \(status.durability), for \(durationText(status.uptimeSeconds))")
                .adding("; q quits"),
            StyledLine(status.image),
            StyledLine(),
        ]
    }

    private static func rates(
        _ looks: [Look], _ size: TerminalSize, _ isUnicode: Bool
    ) -> [StyledLine] {
        let columns = size.columns - 32
        let line = { (title: String, now: String, values: [Double]) in
            StyledLine(padded(title, 16) + aligned(now, 12) + "  ").adding(
                Sparkline.text(values, columns: columns, isUnicode: isUnicode), .good)
        }
        let rate = { (title: String, unit: (Double) -> String, count: (SessionStatus) -> Int) in
            let values = perSecond(looks, count)
            return line(title, values.last.map { unit($0) + "/s" } ?? "-", values)
        }
        let bytes = { (value: Double) in byteText(whole(value)) }
        let shares = hitShares(looks)
        return [
            rate("calls", { "\(whole($0))" }, { $0.calls.client.values.reduce(0, +) }),
            rate("to clients", bytes, \.bytes.toClient),
            rate("from clients", bytes, \.bytes.fromClient),
            rate("from main", bytes, \.bytes.fromMain),
            line(
                "cache hits", shares.last.flatMap(\.self).map { "\(Int($0 * 100)) %" } ?? "-",
                shares.map { $0 ?? 0 }),
            StyledLine(),
        ]
    }

    private static func storage(_ status: SessionStatus, _ size: TerminalSize) -> [StyledLine] {
        var lines = [
            StyledLine(
                padded("changed", 16) + "\(byteText(status.bytes.shadowStored)) stored, "
                    + "\(status.changed.files) files, \(status.changed.blocks) blocks")
        ]
        if let cache = status.cache {
            let share = cache.limit > 0 ? Double(cache.used) / Double(cache.limit) : 0
            lines.append(
                StyledLine(
                    padded("cache", 16) + Sparkline.bar(share: share, columns: 20)
                        + " \(byteText(Int(clamping: cache.used)))"
                        + " of \(byteText(Int(clamping: cache.limit)))"))
        }
        return lines
    }

    // MARK: Sections

    private static func servers(_ status: SessionStatus) -> [StyledLine] {
        var lines = status.main.map { server(server: $0, isShadow: false) }
        if let shadow = status.shadow { lines.append(server(server: shadow, isShadow: true)) }
        return lines
    }

    private static func server(server: SessionStatus.Main, isShadow: Bool) -> StyledLine {
        let isWell = ["connected", "local"].contains(server.state)
        let role = isShadow ? "shadow" : server.isActive ? "main" : "spare"
        let time = server.roundTripMS.map { String(format: "  %.1f ms", $0) } ?? ""
        return StyledLine("  \(padded(role, 7))\(server.server)  ")
            .adding(server.state, isWell ? .good : .bad)
            .adding(time + (server.lastError.map { "  \($0)" } ?? ""))
    }

    private static func largest(_ status: SessionStatus) -> [StyledLine] {
        (status.largest ?? []).map {
            StyledLine(aligned(byteText($0.storedBytes), 12) + "  " + $0.path)
        }
    }

    /// The latest first.
    private static func events(_ status: SessionStatus) -> [StyledLine] {
        status.events.reversed().map {
            let time = Date(timeIntervalSince1970: $0.time).formatted(.iso8601)
            return StyledLine("  \(time)  \($0.message)")
        }
    }

    private struct Section {
        let title: String
        let lines: [StyledLine]

        init(_ title: String, _ lines: [StyledLine]) {
            self.title = title
            self.lines = lines
        }

        /// Gives each section its title and a line as long as there is room, and then each one more in turn.
        static func lines(of sections: [Section], rows: Int) -> [StyledLine] {
            var left = rows
            var counts = [Int](repeating: 0, count: sections.count)
            for index in sections.indices where left >= 3 {
                counts[index] = 1
                left -= 3
            }
            while left > 0 {
                let before = left
                for index in sections.indices
                where left > 0 && counts[index] > 0 && counts[index] < sections[index].lines.count {
                    counts[index] += 1
                    left -= 1
                }
                if left == before { break }
            }
            return zip(sections, counts).flatMap { section, count in
                count == 0
                    ? []
                    : [StyledLine(), StyledLine(section.title, .bold)] + section.lines.prefix(count)
            }
        }
    }

    // MARK: Figures

    /// Of a counter, which begins anew when the process does.
    private static func perSecond(
        _ looks: [Look], _ count: (SessionStatus) -> Int
    ) -> [Double] {
        zip(looks, looks.dropFirst()).map { earlier, later in
            let seconds = max(later.time - earlier.time, 0.001)
            return Double(max(count(later.status) - count(earlier.status), 0)) / seconds
        }
    }

    /// The share of main's bytes that were kept here; nil where none was asked for.
    private static func hitShares(_ looks: [Look]) -> [Double?] {
        let hits = perSecond(looks, \.bytes.cacheHit)
        return zip(hits, perSecond(looks, \.bytes.fromMain)).map { hit, missed in
            hit + missed > 0 ? hit / (hit + missed) : nil
        }
    }

    private static func whole(_ value: Double) -> Int { Int(min(value.rounded(), 1e18)) }

    private static func padded(_ text: String, _ columns: Int) -> String {
        text + String(repeating: " ", count: max(columns - text.columns, 0))
    }

    private static func aligned(_ text: String, _ columns: Int) -> String {
        String(repeating: " ", count: max(columns - text.columns, 0)) + text
    }
}

/// A time for people, in two units at most.
package func durationText(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e9 else { return "long" }
    let whole = max(Int(seconds.rounded()), 0)
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60)
    if days > 0 { return "\(days) d \(hours) h" }
    if hours > 0 { return "\(hours) h \(minutes) min" }
    return minutes > 0 ? "\(minutes) min \(whole % 60) s" : "\(whole) s"
}

/// How far something is that takes long.
package struct ProgressState: Sendable {
    /// Of the same unit.
    package var done: UInt64
    /// Nil where it is not known.
    package var total: UInt64?
    /// Of what there is besides, for people.
    package var details: String

    package init(done: UInt64, total: UInt64? = nil, details: String) {
        self.done = done
        self.total = total
        self.details = details
    }
}

/// One line that says how far something is.
package enum ProgressBar {
    private static let barColumns = 10...40

    /// - Parameter rate: of `done`, a second; nil where it is not known yet.
    /// - Parameter columns: of the window. The last one stays free: some terminals go to the next line there.
    /// - Parameter unit: makes text of an amount.
    package static func line(
        _ state: ProgressState, rate: Double?, columns: Int, unit: (UInt64) -> String
    ) -> String {
        let room = max(columns - 1, 0)
        var parts = [state.details]
        let speed = rate.map { unit(UInt64(min(max($0, 0), 1e18))) + "/s" }
        guard let total = state.total, total > 0 else {
            return fitted(parts + [speed].compactMap(\.self), room)
        }
        let share = min(Double(state.done) / Double(total), 1)
        parts.append("\(Int(share * 100)) %")
        if let speed { parts.append(speed) }
        if let rate, rate > 0, total > state.done {
            parts.append("\(durationText(Double(total - state.done) / rate)) left")
        }
        // The bar has what the rest leaves.
        let left = room - parts.reduce(0) { $0 + $1.columns + 2 } - 2
        guard left >= barColumns.lowerBound else { return fitted(parts, room) }
        let bar = Sparkline.bar(share: share, columns: min(left, barColumns.upperBound))
        return fitted([parts[0], bar] + parts.dropFirst(), room)
    }

    /// The first of the parts, as many as fit.
    private static func fitted(_ parts: [String], _ room: Int) -> String {
        var line = ""
        for part in parts {
            let longer = line.isEmpty ? part : "\(line)  \(part)"
            guard longer.columns <= room else { break }
            line = longer
        }
        return line.isEmpty ? (parts.first ?? "").prefix(columns: room) : line
    }
}

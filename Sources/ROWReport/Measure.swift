import Foundation

/// What an axis counts.
package enum Measure {
    case calls
    /// Percent of one processor.
    case percent
    case bytes
    case bytesPerSecond

    /// A unit that makes values of up to `maximum` short, and how much of the base it is.
    func unit(for maximum: Double) -> (name: String, size: Double) {
        switch self {
        case .calls: return ("calls", 1)
        case .percent: return ("% of a core", 1)
        case .bytes, .bytesPerSecond:
            var (index, size) = (0, 1.0)
            while maximum >= 1024 * size, index < Self.byteUnits.count - 1 {
                index += 1
                size *= 1024
            }
            let perSecond = if case .bytesPerSecond = self { "/s" } else { "" }
            return (Self.byteUnits[index] + perSecond, size)
        }
    }

    private static let byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

    /// A value with its unit, in about three digits.
    package func text(_ value: Double) -> String {
        let unit = unit(for: value)
        let scaled = value / unit.size
        let isWhole = unit.size == 1 && scaled == scaled.rounded()
        let digits = isWhole || scaled >= 99.95 ? 0 : scaled >= 9.995 ? 1 : 2
        let number = String(format: "%.\(digits)f", scaled)
        switch self {
        case .calls: return number
        case .percent: return "\(number) %"
        case .bytes, .bytesPerSecond: return "\(number) \(unit.name)"
        }
    }

    package func text(_ value: Int) -> String { text(Double(value)) }
}

/// A count for the narrow space above a bar.
func shortCount(_ count: Int) -> String {
    switch count {
    case ..<10_000: "\(count)"
    case ..<1_000_000: String(format: "%.1fk", Double(count) / 1000)
    default: String(format: "%.1fM", Double(count) / 1_000_000)
    }
}

/// A length of time: `95 s`, `12 min 30 s`, `3 h 5 min`, `2 d 4 h`.
package func durationText(seconds: Double) -> String {
    if seconds < 10 { return String(format: "%.1f s", max(0, seconds)) }
    let whole = Int(seconds.rounded())
    switch whole {
    case ..<120: return "\(whole) s"
    case ..<7200: return "\(whole / 60) min \(whole % 60) s"
    case ..<172_800: return "\(whole / 3600) h \(whole % 3600 / 60) min"
    default: return "\(whole / 86_400) d \(whole % 86_400 / 3600) h"
    }
}

/// A moment, in universal time.
func timeText(milliseconds: Int) -> String {
    Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        .formatted(.iso8601.dateTimeSeparator(.space).timeZoneSeparator(.omitted))
        .replacingOccurrences(of: "Z", with: " UTC")
}

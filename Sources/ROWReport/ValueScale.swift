import Foundation

/// An axis of values: from 0 in equal steps, or by powers of ten.
struct ValueScale {
    struct Tick {
        let value: Double
        let label: String
    }

    let ticks: [Tick]
    private let isLogarithmic: Bool
    private let first: Double
    private let last: Double

    init(_ values: [Double?], isLogarithmic: Bool) {
        let values = values.compactMap(\.self).filter { $0.isFinite && ($0 > 0 || !isLogarithmic) }
        self.isLogarithmic = isLogarithmic
        guard isLogarithmic else {
            let ticks = Ticks(through: values.max() ?? 0)
            self.ticks = ticks.values.map { Tick(value: $0, label: ticks.label($0)) }
            (first, last) = (0, ticks.end)
            return
        }
        let lowest = Int(log10(values.min() ?? 1).rounded(.down))
        let highest = max(lowest + 1, Int(log10(values.max() ?? 1).rounded(.up)))
        ticks = (lowest...highest).map { power in
            Tick(value: pow(10, Double(power)), label: Self.label(power))
        }
        (first, last) = (Double(lowest), Double(highest))
    }

    /// Where a value is, from 0 to 1.
    func place(_ value: Double) -> Double {
        let value = isLogarithmic ? log10(max(value, .leastNormalMagnitude)) : value
        return min(max(0, (value - first) / (last - first)), 1)
    }

    private static func label(_ power: Int) -> String {
        switch power {
        case 9...: "\(Int(pow(10, Double(power - 9)))) G"
        case 6...8: "\(Int(pow(10, Double(power - 6)))) M"
        case 3...5: "\(Int(pow(10, Double(power - 3)))) K"
        case 0...2: "\(Int(pow(10, Double(power))))"
        default: String(format: "%.\(min(12, -power))f", pow(10, Double(power)))
        }
    }

    /// A value with three digits, or all before the point.
    static func text(_ value: Double) -> String {
        String(format: value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value)
    }
}

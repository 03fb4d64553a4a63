import Foundation

/// Where an axis that begins at 0 has its marks: at multiples of 1, 2 or 5 times a power of ten.
public struct Ticks: Equatable, Sendable {
    public let step: Double
    /// From 0 to the first that is not below all values.
    public let values: [Double]

    /// - Parameter maximum: the largest value. An axis without any goes to 1, and so does one whose largest
    ///   is not above 0, or out of all bounds.
    /// - Parameter count: of steps, at most.
    /// - Parameter isWhole: for what there cannot be a half of.
    public init(through maximum: Double, atMost count: Int = 5, isWhole: Bool = false) {
        let largest = (1e-9...1e100).contains(maximum) ? maximum : 1
        let count = max(1, count)
        var step = Self.steps(around: largest / Double(count)).first {
            Self.stepCount(largest, $0) <= count
        }
        if isWhole { step = step.map { max(1, $0) } }
        let chosen = step ?? largest
        self.step = chosen
        // Multiplied, since a sum of tenths drifts.
        values = (0...max(1, Self.stepCount(largest, chosen))).map { Double($0) * chosen }
    }

    public var end: Double { values[values.count - 1] }

    private static func steps(around value: Double) -> [Double] {
        let power = Int(log10(value).rounded(.down))
        let digits: [Double] = [1, 2, 5]
        return digits.map { scaled($0, power) } + digits.map { scaled($0, power + 1) }
    }

    /// Divided rather than multiplied by a fraction, which would not be exact.
    private static func scaled(_ digit: Double, _ power: Int) -> Double {
        let factor = pow(10, Double(abs(power)))
        return power < 0 ? digit / factor : digit * factor
    }

    private static func stepCount(_ largest: Double, _ step: Double) -> Int {
        // A value that is a multiple but for rounding needs no further step.
        Int((largest / step - 1e-9).rounded(.up))
    }

    /// A tick's label: as many digits as the step has.
    public func label(_ value: Double) -> String {
        let power = (log10(step) + 1e-9).rounded(.down)
        return String(format: "%.\(max(0, min(12, Int(-power))))f", value)
    }
}

import ROWReport
import ROWTestKit
import Testing

/// Where the marks of an axis are.
@Suite struct TicksTests {
    @Test func stepsAreOneTwoOrFiveTimesAPowerOfTenAndCoverAllValues() {
        let seed = Seed()
        var random = seed.makeGenerator()
        for _ in 0..<2000 {
            let power = Double.random(in: -6...15, using: &random)
            let maximum = Double.random(in: 1...10, using: &random) * exponent(power)
            let count = Int.random(in: 1...12, using: &random)
            let ticks = Ticks(through: maximum, atMost: count)
            var digit = ticks.step
            while digit < 0.99 { digit *= 10 }
            while digit > 9.9 { digit /= 10 }
            #expect([1, 2, 5].contains(digit.rounded()), "\(ticks.step), \(seed)")
            #expect(abs(digit - digit.rounded()) < 1e-6, "\(ticks.step), \(seed)")
            #expect(ticks.values.count <= count + 1, "\(maximum), \(seed)")
            #expect(ticks.values.first == 0 && ticks.end >= maximum * (1 - 1e-9), "\(seed)")
            // No more room above the highest than a step.
            #expect(ticks.end - ticks.step < maximum || ticks.values.count == 2, "\(seed)")
            // Each has a label of its own.
            #expect(Set(ticks.values.map(ticks.label)).count == ticks.values.count, "\(seed)")
        }
    }

    private func exponent(_ power: Double) -> Double {
        (0..<Int(abs(power))).reduce(1.0) { value, _ in power < 0 ? value / 10 : value * 10 }
    }

    @Test(
        arguments: [
            (0.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (100, ["0", "20", "40", "60", "80", "100"]), (12_500, ["0", "5000", "10000", "15000"]),
            (0.03, ["0.00", "0.01", "0.02", "0.03"]), (1.2, ["0.0", "0.5", "1.0", "1.5"]),
            (.nan, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ] as [(Double, [String])])
    func labelsHaveTheDigitsOfTheirStep(maximum: Double, labels: [String]) {
        let ticks = Ticks(through: maximum)
        #expect(ticks.values.map(ticks.label) == labels)
    }

    @Test func whatCannotBeHalvedHasNoTicksBetweenWholeNumbers() {
        #expect(Ticks(through: 1, isWhole: true).values == [0, 1])
        #expect(Ticks(through: 3, isWhole: true).values == [0, 1, 2, 3])
        #expect(Ticks(through: 0, isWhole: true).values == [0, 1])
    }
}

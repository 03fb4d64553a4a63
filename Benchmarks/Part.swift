/// Something small that is measured alone, in this process.
struct Part: Sendable {
    let name: String
    var goal: Goal?
    /// Makes what is measured from what it works on, which is not. It does the operation so many times;
    /// what it returns must depend on all of them, or the compiler would leave them out.
    let prepare: @Sendable () throws -> (_ count: Int) -> UInt64

    func measure(rounds: Int, seconds: Double) throws -> PartResult {
        let times = Self.times(of: try prepare(), rounds: rounds, seconds: seconds)
        return PartResult(name: name, nanosecondsPerOperation: Samples(times), goal: goal)
    }

    /// - Returns: nanoseconds of an operation, in each round.
    static func times(of body: (Int) -> UInt64, rounds: Int, seconds: Double) -> [Double] {
        let count = calibrate(body, seconds: seconds)
        return (0..<rounds).map { _ in nanoseconds(of: body, count) / Double(count) }
    }

    /// How many times take about that long.
    private static func calibrate(_ body: (Int) -> UInt64, seconds: Double) -> Int {
        var count = 1
        while true {
            let time = nanoseconds(of: body, count)
            if time > 1e6 { return max(1, Int(Double(count) * seconds * 1e9 / time)) }
            count *= 4
        }
    }

    private static func nanoseconds(of body: (Int) -> UInt64, _ count: Int) -> Double {
        let clock = ContinuousClock()
        let time = clock.measure { keep(body(count)) }
        return Double(time.components.seconds) * 1e9 + Double(time.components.attoseconds) * 1e-9
    }
}

/// Makes the compiler believe that the value is used.
@inline(never)
func keep(_ value: UInt64) {
    withExtendedLifetime(value) {}
}

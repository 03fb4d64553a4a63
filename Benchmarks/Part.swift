/// Something small that is measured alone, in this process.
struct Part: Sendable {
    let name: String
    var goal: Goal?
    /// Makes what is measured from what it works on, which is not. It does the operation so many times;
    /// what it returns must depend on all of them, or the compiler would leave them out.
    let prepare: @Sendable () throws -> (_ count: Int) -> UInt64

    func measure(rounds: Int, seconds: Double) throws -> PartResult {
        let body = try prepare()
        let count = calibrate(body, seconds: seconds)
        let times = (0..<rounds).map { _ in nanoseconds(of: body, count) / Double(count) }
        return PartResult(name: name, nanosecondsPerOperation: Samples(times), goal: goal)
    }

    /// How many times take about that long.
    private func calibrate(_ body: (Int) -> UInt64, seconds: Double) -> Int {
        var count = 1
        while true {
            let time = nanoseconds(of: body, count)
            if time > 1e6 { return max(1, Int(Double(count) * seconds * 1e9 / time)) }
            count *= 4
        }
    }

    private func nanoseconds(of body: (Int) -> UInt64, _ count: Int) -> Double {
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

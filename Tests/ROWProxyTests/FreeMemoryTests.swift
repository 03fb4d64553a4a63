import Testing

@testable import ROWProxy

/// When memory that is not used goes back to the system.
@Suite struct FreeMemoryTests {
    private var rule = FreeMemory.Rule()

    private static let mebibyte = 1 << 20

    /// - Returns: whether it is time after a second with so much traffic.
    private mutating func isTime(_ memory: Int, traffic: Int) -> Bool {
        sent += traffic
        return rule.isTime(memoryBytes: memory * Self.mebibyte, trafficBytes: sent)
    }
    private var sent = 0

    @Test mutating func aQuietMomentAfterABusyTime() {
        #expect(!isTime(80, traffic: 100 << 20))
        #expect(!isTime(90, traffic: 100 << 20))
        #expect(isTime(90, traffic: 1000))
    }

    @Test mutating func notAgainForWhatIsInUse() {
        #expect(isTime(90, traffic: 0))
        // What is left after it.
        #expect(!isTime(70, traffic: 0))
        for _ in 0..<5 { #expect(!isTime(74, traffic: 0)) }
        #expect(!isTime(75, traffic: 1 << 20))
        #expect(isTime(75, traffic: 0))
    }
}

import NIOCore
import Testing

@testable import ROWProxy

@Suite struct ListingPaceTests {
    private final class Calls {
        var count = 0
    }

    private let calls = Calls()
    private let start = NIODeadline.now()

    private func pace() -> ListingPace { ListingPace { [calls] in calls.count } }

    @Test func nobodyWaitsWhereNobodyReadsOrWrites() {
        var pace = pace()
        calls.count = ListingPace.dataCallsMinimum - 1
        pace.took(in: start, start + .milliseconds(5))
        #expect(pace.delay(at: start + .milliseconds(5)) == nil)
    }

    @Test func besideOthersMostOfTheTimeIsTheirs() {
        var pace = pace()
        calls.count = ListingPace.dataCallsMinimum
        for page in 0..<3 {
            let begun = start + .milliseconds(Int64(page) * 15)
            pace.took(in: begun, begun + .milliseconds(5))
            #expect(pace.delay(at: begun + .milliseconds(5)) == begun + .milliseconds(15))
            #expect(pace.delay(at: begun + .milliseconds(15)) == nil)
        }
        // Those that came in at one time wait for each other.
        let end = start + .milliseconds(48)
        pace.took(in: end - .milliseconds(5), end)
        pace.took(in: end - .milliseconds(5), end)
        #expect(pace.delay(at: end) == end + .milliseconds(20))
    }

    @Test func itEndsWithThem() {
        var pace = pace()
        calls.count = 1000
        pace.took(in: start, start + .milliseconds(1))
        #expect(pace.delay(at: start + .milliseconds(1)) != nil)
        let later = start + .milliseconds(1) + ListingPace.lookInterval
        pace.took(in: later - .milliseconds(1), later)
        #expect(pace.delay(at: later) == nil)
    }

    @Test func nobodyWaitsForLong() {
        var pace = pace()
        calls.count = 1000
        let end = start + .seconds(5)
        for _ in 0..<100 { pace.took(in: start, end) }
        #expect(pace.delay(at: end) == end + ListingPace.pauseMaximum)
    }
}

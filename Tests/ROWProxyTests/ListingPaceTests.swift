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

    @Test func nobodyWaitsWhereNobodyElseIs() {
        var pace = pace()
        calls.count = ListingPace.othersMinimum - 1
        pace.took(in: start, start + .milliseconds(5))
        #expect(pace.delay(at: start + .milliseconds(5)) == nil)
    }

    @Test func besideOthersMostOfTheTimeIsTheirs() {
        var pace = pace()
        for page in 1...3 {
            calls.count += ListingPace.othersMinimum
            let begun = start + .milliseconds(Int64(page) * 15)
            pace.took(in: begun, begun + .milliseconds(5))
            #expect(pace.delay(at: begun + .milliseconds(5)) == begun + .milliseconds(15))
            #expect(pace.delay(at: begun + .milliseconds(15)) == nil)
        }
        // Those that came in at one time wait for each other.
        calls.count += 2 * ListingPace.othersMinimum
        let end = start + .milliseconds(105)
        pace.took(in: start + .milliseconds(100), end)
        calls.count += ListingPace.othersMinimum
        pace.took(in: start + .milliseconds(100), end)
        #expect(pace.delay(at: end) == end + .milliseconds(20))
    }

    @Test func aPageThatWaitedForSomethingElseIsNoReasonToWaitAsLong() {
        var pace = pace()
        calls.count = 1000
        let end = start + .seconds(5)
        pace.took(in: start, end)
        #expect(pace.delay(at: end) == end + ListingPace.pauseMaximum)
        // The next came in quickly, and alone.
        pace.took(in: end, end + .milliseconds(1))
        #expect(pace.delay(at: end + ListingPace.pauseMaximum) == nil)
    }
}

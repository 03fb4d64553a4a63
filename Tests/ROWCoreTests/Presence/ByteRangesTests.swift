import Testing

@testable import ROWCore

@Suite struct ByteRangesTests {
    @Test func touchingAndOverlappingRangesAreJoined() {
        var ranges = ByteRanges()
        ranges.insert(100..<200)
        ranges.insert(300..<400)
        ranges.insert(500..<600)
        ranges.insert(10..<10)
        #expect(ranges.ranges == [100..<200, 300..<400, 500..<600])
        ranges.insert(200..<250)
        #expect(ranges.ranges == [100..<250, 300..<400, 500..<600])
        ranges.insert(240..<500)
        #expect(ranges.ranges == [100..<600])
        #expect(ranges.covers(100..<600) && ranges.covers(0..<0))
        #expect(!ranges.covers(99..<200) && !ranges.covers(500..<601))
    }

    @Test func clippingDropsAndShortens() {
        var ranges = ByteRanges()
        ranges.insert(100..<200)
        ranges.insert(300..<400)
        ranges.clip(to: 350)
        #expect(ranges.ranges == [100..<200, 300..<350])
        ranges.clip(to: 300)
        #expect(ranges.ranges == [100..<200])
        ranges.clip(to: 0)
        #expect(ranges.isEmpty)
        #expect(ranges.end == 0)
    }

    @Test func aBlobSurvivesAndAMalformedOneIsRefused() {
        var ranges = ByteRanges()
        ranges.insert(1..<258)
        ranges.insert(4000..<4096)
        #expect(
            ranges.blob == [
                1, 0, 0, 0,  // first range: from
                2, 1, 0, 0,  // to
                0xa0, 0x0f, 0, 0,  // second range: from
                0, 0x10, 0, 0,  // to
            ])
        #expect(ByteRanges(blob: ranges.blob, blockSize: 4096) == ranges)
        #expect(ByteRanges(blob: [], blockSize: 4096)?.isEmpty == true)
        for count in 1..<16 where count != 8 {
            #expect(ByteRanges(blob: Array(ranges.blob.prefix(count)), blockSize: 4096) == nil)
        }
        #expect(ByteRanges(blob: ranges.blob, blockSize: 4095) == nil)
        // Empty, backwards, and two that touch.
        #expect(ByteRanges(blob: [5, 0, 0, 0, 5, 0, 0, 0], blockSize: 512) == nil)
        #expect(ByteRanges(blob: [5, 0, 0, 0, 4, 0, 0, 0], blockSize: 512) == nil)
        let touching: [UInt8] = [0, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0]
        #expect(ByteRanges(blob: touching, blockSize: 512) == nil)
    }

    @Test func aRandomHistoryEqualsAPlainArray() {
        var randomness = Randomness(for: 2)
        for _ in 0..<50 {
            var ranges = ByteRanges()
            var model = [Bool](repeating: false, count: 128)
            for _ in 0..<20 {
                let range = randomness.range(in: 128, unit: 8)
                if randomness.below(5) == 0 {
                    ranges.clip(to: UInt32(range.upperBound))
                    for place in range.upperBound..<128 { model[place] = false }
                } else {
                    ranges.insert(UInt32(range.lowerBound)..<UInt32(range.upperBound))
                    for place in range { model[place] = true }
                }
                let members = ranges.ranges.flatMap { $0.map { Int($0) } }
                #expect(members == model.indices.filter { model[$0] }, "\(randomness.note)")
                #expect(ByteRanges(blob: ranges.blob, blockSize: 128) == ranges)
                let at = randomness.below(128)
                let end = (at..<128).first { model[$0] != model[at] }
                let run = ranges.run(at: UInt32(at))
                #expect(run.isIn == model[at], "\(randomness.note)")
                #expect(Int(run.end ?? 128) == end ?? 128, "\(randomness.note)")
            }
        }
    }
}

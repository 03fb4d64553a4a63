import ONCRPC
import Testing

@Suite struct RecordScannerTests {
    private func fragment(_ body: [UInt8], last: Bool) -> [UInt8] {
        words(UInt32(body.count) | (last ? RPC.lastFragment : 0)) + body
    }

    private func scan(
        _ scanner: inout RecordScanner, _ bytes: [UInt8]
    ) throws(RecordError) -> RecordScanner.Scan {
        try scanner.scan(bytes.span.bytes)
    }

    @Test func findsARecordInOneFragment() throws {
        var scanner = RecordScanner()
        let bytes = fragment([1, 2, 3], last: true)
        #expect(try scan(&scanner, bytes + [9, 9]) == .record(consumed: 7, body: 4..<7))
    }

    @Test func saysHowManyBytesItNeeds() throws {
        var scanner = RecordScanner()
        let bytes = fragment([1, 2, 3], last: true)
        for count in 0..<7 {
            let needed = count < 4 ? 4 : 7
            #expect(try scan(&scanner, Array(bytes[..<count])) == .incomplete(needed: needed))
        }
        #expect(try scan(&scanner, bytes) == .record(consumed: 7, body: 4..<7))
    }

    @Test func joinsFragmentsAndStartsAfresh() throws {
        var scanner = RecordScanner()
        let bytes =
            fragment([1, 2], last: false) + fragment([], last: false) + fragment([3], last: true)
        let ranges = [4..<6, 10..<10, 14..<15]
        #expect(try scan(&scanner, bytes) == .fragments(consumed: 15, ranges: ranges))
        #expect(
            try scan(&scanner, fragment([7], last: true)) == .record(consumed: 5, body: 4..<5))
    }

    @Test func anEmptyRecordIsARecord() throws {
        var scanner = RecordScanner()
        #expect(
            try scan(&scanner, fragment([], last: true)) == .record(consumed: 4, body: 4..<4))
    }

    @Test func aRecordOverTheLimitIsRefusedByItsMarkAlone() throws {
        var scanner = RecordScanner(bytesMaximum: 8)
        #expect(try scan(&scanner, words(8 | RPC.lastFragment)) == .incomplete(needed: 12))
        var other = RecordScanner(bytesMaximum: 8)
        #expect(throws: RecordError(.recordTooLong, found: 9, maximum: 8)) {
            try scan(&other, words(9 | RPC.lastFragment))
        }
    }

    @Test func fragmentsTogetherMayNotPassTheLimit() {
        var scanner = RecordScanner(bytesMaximum: 8)
        let bytes = fragment([1, 2, 3, 4, 5], last: false) + fragment([6, 7, 8, 9], last: true)
        #expect(throws: RecordError(.recordTooLong, found: 9, maximum: 8)) {
            try scan(&scanner, bytes)
        }
    }

    @Test func emptyFragmentsCountTowardsTheLimit() throws {
        var scanner = RecordScanner(fragmentsMaximum: 4)
        let empty = fragment([], last: false)
        let most = empty + empty + empty + fragment([1], last: true)
        guard case .fragments(17, let ranges) = try scan(&scanner, most) else {
            Issue.record("four fragments are allowed")
            return
        }
        #expect(ranges.count == 4)
        #expect(throws: RecordError(.tooManyFragments, found: 5, maximum: 4)) {
            try scan(&scanner, empty + most)
        }
    }

    /// A stream of random records in random fragments, arriving in random pieces, comes out whole.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func randomFragmentsInRandomPiecesComeOutWhole(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var stream: [UInt8] = []
        var records: [[UInt8]] = []
        for _ in 0..<50 {
            var record: [UInt8] = []
            let fragments = Int.random(in: 1...4, using: &generator)
            for index in 0..<fragments {
                let count = Int.random(in: 0...40, using: &generator)
                let body = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
                stream += fragment(body, last: index == fragments - 1)
                record += body
            }
            records.append(record)
        }

        var scanner = RecordScanner()
        var buffer: [UInt8] = []
        var found: [[UInt8]] = []
        var sent = 0
        while sent < stream.count {
            let end = min(stream.count, sent + Int.random(in: 1...60, using: &generator))
            buffer += stream[sent..<end]
            sent = end
            scanning: while true {
                switch try scan(&scanner, buffer) {
                case .record(let consumed, let body):
                    found.append(Array(buffer[body]))
                    buffer.removeFirst(consumed)
                case .fragments(let consumed, let ranges):
                    found.append(ranges.flatMap { buffer[$0] })
                    buffer.removeFirst(consumed)
                case .incomplete(let needed):
                    #expect(needed > buffer.count, "seed \(seed)")
                    break scanning
                }
            }
        }
        #expect(found == records, "seed \(seed)")
        #expect(buffer.isEmpty, "seed \(seed)")
    }

    @Test func bytesScannedOnceAreNotLookedAtAgain() throws {
        var scanner = RecordScanner(fragmentsMaximum: 3)
        let first = fragment([1], last: false)
        #expect(try scan(&scanner, first) == .incomplete(needed: 9))
        // Were the first mark read again, this one would pass the limit.
        var changed = words(UInt32.max) + [1]
        changed += fragment([2], last: true)
        #expect(
            try scan(&scanner, changed) == .fragments(consumed: 10, ranges: [4..<5, 9..<10]))
    }
}

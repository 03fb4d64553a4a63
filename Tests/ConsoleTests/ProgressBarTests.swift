import Testing

@testable import Console

/// One line that says how far something is.
@Suite struct ProgressBarTests {
    private func line(
        _ done: UInt64, of total: UInt64?, rate: Double? = 1024, columns: Int
    ) -> String {
        ProgressBar.line(
            ProgressState(done: done, total: total, details: "3 files"), rate: rate,
            columns: columns, unit: { byteText(Int($0)) })
    }

    @Test func itHasShareRateAndTimeLeft() {
        #expect(
            line(512 << 10, of: 1 << 20, columns: 60)
                == "3 files  [######-------]  50 %  1.00 KiB/s  8 min 32 s left")
    }

    @Test func itFollowsTheWindow() {
        for columns in 0...200 {
            for (total, rate) in [(1 << 20, 1024), (nil, 1024), (1 << 20, nil)]
                as [(UInt64?, Double?)]
            {
                let text = line(512 << 10, of: total, rate: rate, columns: columns)
                #expect(text.count <= max(columns - 1, 0), "\(columns): \(text)")
            }
        }
        #expect(line(1, of: 2, columns: 20) == "3 files  50 %")
        #expect(line(1, of: 2, columns: 5) == "3 fi")
        #expect(!line(1, of: 2, columns: 45).contains("["))
    }

    @Test func whatIsNotKnownIsNotSaid() {
        #expect(line(100, of: nil, columns: 80) == "3 files  1.00 KiB/s")
        #expect(line(100, of: nil, rate: nil, columns: 80) == "3 files")
        #expect(line(0, of: 0, rate: nil, columns: 80) == "3 files")
        #expect(!line(0, of: 100, rate: 0, columns: 80).contains("left"))
    }

    @Test func moreThanAllIsAll() {
        let text = line(300, of: 200, rate: 1, columns: 80)
        #expect(text.contains("[" + String(repeating: "#", count: 40) + "]  100 %"), "\(text)")
        #expect(!text.contains("left"))
        #expect(line(.max, of: .max, rate: .infinity, columns: 80).contains("100 %"))
    }
}

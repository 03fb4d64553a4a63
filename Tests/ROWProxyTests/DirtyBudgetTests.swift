import NIOEmbedded
import NIOPosix
import ROWCore
import Testing

@testable import ROWProxy

/// What counts as not written out, and when that begins.
@Suite struct DirtyBudgetTests {
    private static let hold = 3 << 20
    private static let block: UInt64 = 4096

    /// A budget whose write-outs end when the test says so.
    private final class Bench {
        private(set) var budget: DirtyBudget!
        private var running: [() -> Void] = []
        private let loop = EmbeddedEventLoop()

        var writeOuts = 0

        init() {
            budget = DirtyBudget(
                commit: { [unowned self] ended in
                    writeOuts += 1
                    running.append(ended)
                }, holdBytes: DirtyBudgetTests.hold, loop: loop, pool: .singleton)
        }

        func write(_ range: Range<UInt64>, file: UInt64 = 1) {
            budget.wrote(
                range, to: DirtyBudget.FileKey(session: 1, id: NodeID(rawValue: file)),
                isDurable: true, file: { nil })
        }

        func endWriteOut() { running.removeFirst()() }
    }

    @Test func aBlockThatIsWrittenAgainCountsOnce() {
        let bench = Bench()
        for _ in 0..<10_000 { bench.write(0..<Self.block * 16) }
        #expect(bench.writeOuts == 0 && !bench.budget.isExhausted)
        // Another file's are others.
        for file in 2...17 { bench.write(0..<Self.block * 16, file: UInt64(file)) }
        #expect(bench.writeOuts == 1 && !bench.budget.isExhausted)
    }

    @Test func blocksCountAgainOnceTheirWriteOutHasBegun() {
        let bench = Bench()
        let third = UInt64(Self.hold / 3)
        bench.write(0..<third)
        #expect(bench.writeOuts == 1)
        bench.write(0..<third)
        #expect(!bench.budget.isExhausted)
        bench.write(third..<2 * third)
        #expect(bench.budget.isExhausted)
        var isRelieved = false
        bench.budget.whenRelieved { isRelieved = true }
        bench.endWriteOut()
        #expect(isRelieved && !bench.budget.isExhausted && bench.writeOuts == 2)
    }

    @Test func aPartOfABlockCountsAsOne() {
        let bench = Bench()
        let blocks = UInt64(Self.hold / 3) / Self.block
        for block in 0..<blocks - 1 { bench.write(block * Self.block..<block * Self.block + 1) }
        #expect(bench.writeOuts == 0)
        bench.write(blocks * Self.block..<blocks * Self.block + 1)
        #expect(bench.writeOuts == 1)
    }

    @Test func moreFilesThanAreLookedAtOneByOneCountWhole() {
        let bench = Bench()
        for file in 1...64 { bench.write(0..<1, file: UInt64(file)) }
        let rest = Self.hold / 3 - 64 * Int(Self.block)
        for _ in 0..<rest / 1024 - 1 { bench.write(0..<1024, file: 99) }
        #expect(bench.writeOuts == 0)
        bench.write(0..<1024, file: 99)
        #expect(bench.writeOuts == 1)
    }
}

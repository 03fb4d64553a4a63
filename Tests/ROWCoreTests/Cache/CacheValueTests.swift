import Testing

@testable import ROWCore

/// What the cache knows in memory, as values.
@Suite struct CacheValueTests {
    private static let page = CachedBlocks.pageBlocks

    private func page(_ index: UInt64, _ blocks: [Int]) -> CacheFile.TablePage {
        var words = [UInt64](repeating: 0, count: BlockSet.wordsPerPage)
        for block in blocks { words[block >> 6] |= 1 << UInt64(block & 63) }
        return CacheFile.TablePage(index: index, words: words)
    }

    @Test func aBlockIsUnknownUntilItsPageIsLearned() {
        var blocks = CachedBlocks()
        #expect(blocks.state(of: 0) == .unknown)
        blocks.checked(5..<6)
        #expect(blocks.state(of: 5) == .checked && blocks.state(of: 6) == .unknown)
        // One block that was written says nothing of its neighbours, which are not to go with it.
        #expect(!blocks.knows(0))
        blocks.learn(page(0, [6, 9]))
        #expect(blocks.state(of: 5) == .checked && blocks.state(of: 6) == .unchecked)
        #expect(blocks.state(of: 7) == .absent && blocks.state(of: Self.page) == .unknown)
        // What is known already is newer than what was read.
        blocks.remove(6)
        blocks.learn(page(0, [6]))
        #expect(blocks.state(of: 6) == .absent)
        #expect(CachedBlocks(isEmpty: true).state(of: 1 << 40) == .absent)
    }

    @Test func onlyRunsOfCheckedBlocksAreReadAtOnce() {
        var blocks = CachedBlocks(isEmpty: true)
        blocks.checked(2..<5)
        #expect(blocks.areChecked(2..<5) && blocks.areChecked(3..<4))
        #expect(!blocks.areChecked(1..<3) && !blocks.areChecked(4..<6))
        blocks.remove(3)
        #expect(!blocks.areChecked(2..<5) && blocks.areChecked(4..<5))
    }

    @Test func blocksThatWereUsedAreSparedOnce() {
        var blocks = CachedBlocks(isEmpty: true)
        blocks.checked(0..<6)
        blocks.use(1..<3)
        var victims = blocks.takeVictims(from: 0, count: 2, blockCount: 6)
        #expect(victims.blocks == [0, 3] && victims.next == 4)
        for block in victims.blocks { blocks.remove(block) }
        victims = blocks.takeVictims(from: 4, count: 2, blockCount: 6)
        #expect(victims.blocks == [4, 5] && victims.next == nil)
        for block in victims.blocks { blocks.remove(block) }
        #expect(blocks.takeVictims(from: 0, count: 64, blockCount: 6).blocks == [1, 2])
    }

    @Test func whatIsKnownOfAFileHasABoundHoweverLongItIs() {
        var learned = CachedBlocks()
        var written = CachedBlocks(isEmpty: true)
        for index in UInt64(0)..<5000 {
            learned.learn(page(index, [1]))
            #expect(learned.state(of: index * Self.page + 1) == .unchecked)
            written.checked(index * Self.page..<index * Self.page + 1)
            #expect(written.state(of: index * Self.page) == .checked)
        }
        #expect(learned.state(of: 1) == .unknown && written.state(of: 0) == .unknown)
    }

    @Test func theClockSparesWhatWasUsedAndWhatIsPinned() {
        var index = CacheIndex()
        for id in UInt64(1)...4 { index.set(NodeID(rawValue: id), allocated: id * 100) }
        #expect(index.allocated == 1000 && index.count == 4)
        index.pinned = [NodeID(rawValue: 1)]
        // All were used just now; the second time round, the first that may go.
        #expect(index.candidate() == NodeID(rawValue: 2))
        index.remove(NodeID(rawValue: 2))
        index.use(NodeID(rawValue: 3))
        #expect(index.candidate() == NodeID(rawValue: 4))
        index.advance()
        #expect(index.candidate() == NodeID(rawValue: 3))
        #expect(index.allocated == 800 && index.count == 3)
        index.set(NodeID(rawValue: 2), allocated: 50)
        index.set(NodeID(rawValue: 3), allocated: 10)
        #expect(index.allocated == 560 && index.contains(NodeID(rawValue: 2)))
        index.pinned = Set(index.ids)
        #expect(index.candidate() == nil)
        index = CacheIndex()
        #expect(index.candidate() == nil)
    }

    @Test func aReaderInOrderHasAWindowThatDoubles() {
        var ahead = ReadAhead()
        let id = NodeID(rawValue: 1)
        var asked: [Range<UInt64>] = []
        for block in UInt64(0)..<1000 {
            let next = ahead.read(block..<block + 1, of: id, blockCount: 1000)
            guard !next.isEmpty else { continue }
            #expect(next.lowerBound == asked.last?.upperBound ?? 1)
            #expect(next.lowerBound > block && next.count <= ReadAhead.windowMaximum)
            asked.append(next)
        }
        #expect(asked.last?.upperBound == 1000)
        #expect(asked.count < 40)
        // Once more, in smaller pieces, at the end, or with nothing to have.
        #expect(ahead.read(999..<1000, of: id, blockCount: 1000).isEmpty)
        #expect(ahead.read(0..<1, of: NodeID(rawValue: 2), blockCount: 1).isEmpty)
        var none = ReadAhead()
        for block in UInt64(0)..<100 {
            let next = none.read(block..<block + 1, of: id, blockCount: 1000, windowMaximum: 0)
            #expect(next.isEmpty)
        }
    }

    @Test func readersAtRandomHaveLittleFetchedForThem() {
        var randomness = Randomness(for: 0x6168_6561)
        var ahead = ReadAhead()
        var asked = 0
        for _ in 0..<1000 {
            let block = UInt64(randomness.below(1_000_000))
            asked +=
                ahead.read(block..<block + 1, of: NodeID(rawValue: 1), blockCount: 1 << 20).count
        }
        #expect(asked < 100, "\(randomness.note)")
    }

    @Test func severalReadersAreToldApart() {
        var ahead = ReadAhead()
        var asked = [Int](repeating: 0, count: 8)
        for block in UInt64(0)..<200 {
            for reader in 0..<8 {
                let place = block + UInt64(reader % 2) * 10_000
                asked[reader] +=
                    ahead.read(
                        place..<place + 1, of: NodeID(rawValue: UInt64(reader / 2)),
                        blockCount: 20_000
                    ).count
            }
        }
        for count in asked { #expect((200...400).contains(count), "\(asked)") }
    }
}

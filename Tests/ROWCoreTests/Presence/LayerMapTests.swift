import Testing

@testable import ROWCore

/// The rules of redirected file data, one by one. Blocks are of 4096 bytes.
@Suite struct LayerMapTests {
    private func map(mainValid: UInt64) -> LayerMap {
        LayerMap(blockSize: 4096, mainValid: mainValid)
    }

    private func runs(_ map: LayerMap, _ range: Range<UInt64>) -> [LayerMap.Run] {
        var runs: [LayerMap.Run] = []
        map.forEachRun(in: range) { runs.append($0) }
        return runs
    }

    private func run(_ source: LayerMap.Source, _ range: Range<UInt64>) -> LayerMap.Run {
        LayerMap.Run(source: source, range: range)
    }

    private func fill(_ before: Range<UInt64>?, _ after: Range<UInt64>?) -> LayerMap.ZeroFill {
        LayerMap.ZeroFill(before: before, after: after)
    }

    // MARK: Reading

    @Test func anUntouchedFileShowsMainAndThenZeros() {
        let map = map(mainValid: 10_000)
        #expect(runs(map, 0..<20_000) == [run(.below, 0..<10_000), run(.zeros, 10_000..<20_000)])
        #expect(map.singleSource(of: 100..<10_000) == .below)
        #expect(map.singleSource(of: 10_000..<10_001) == .zeros)
        #expect(map.singleSource(of: 9_999..<10_001) == nil)
        #expect(map.singleSource(of: 5..<5) == nil)
        #expect(runs(map, 7..<7).isEmpty)
    }

    @Test func runsOfTheSameSourceAreMergedAcrossBlocksPagesAndPartialBlocks() {
        let border: UInt64 = 4096 * 4096
        var map = map(mainValid: border * 2)
        map.wrote(border - 8192..<border + 8192)
        map.wrote(border + 8192..<border + 8292)
        #expect(
            runs(map, border - 10_000..<border + 20_000) == [
                run(.below, border - 10_000..<border - 8192),
                run(.here, border - 8192..<border + 8292),
                run(.below, border + 8292..<border + 20_000),
            ])
    }

    @Test func aHoleOfManyPagesIsOneRun() {
        var map = map(mainValid: 0)
        map.wrote(0..<4096)
        map.wrote((1 << 50)..<(1 << 50) + 4096)
        #expect(
            runs(map, 0..<(1 << 50) + 1) == [
                run(.here, 0..<4096), run(.zeros, 4096..<(1 << 50)),
                run(.here, (1 << 50)..<(1 << 50) + 1),
            ])
    }

    @Test func theLastByteOfTheLargestFileCanBeWrittenAndAnyOffsetRead() {
        var map = map(mainValid: 0)
        let end = LayerMap.sizeMaximum
        #expect(map.zeroFill(for: end - 1..<end) == fill(end - 4096..<end - 1, nil))
        map.wrote(end - 1..<end)
        #expect(map.storedBlocks == 1)
        #expect(
            runs(map, end - 4097..<UInt64.max) == [
                run(.zeros, end - 4097..<end - 4096), run(.here, end - 4096..<end),
                run(.zeros, end..<UInt64.max),
            ])
    }

    // MARK: Writing

    @Test func aWriteOfWholeBlocksNeedsNoZeros() {
        var map = map(mainValid: 0)
        #expect(map.zeroFill(for: 4096..<12_288) == .none)
        map.wrote(4096..<12_288)
        #expect(map.storedBlocks == 2)
        #expect(map.singleSource(of: 4096..<12_288) == .here)
    }

    @Test func aPartOfABlockOfMainLeavesTheRestOfItShowing() {
        var map = map(mainValid: 1 << 20)
        #expect(map.zeroFill(for: 100..<200) == .none)
        map.wrote(100..<200)
        #expect(
            runs(map, 0..<4096) == [
                run(.below, 0..<100), run(.here, 100..<200), run(.below, 200..<4096),
            ])
        #expect(map.storedBlocks == 1)
    }

    @Test func theFirstWriteIntoABlockBeyondMainMakesAllOfItPresent() {
        var map = map(mainValid: 4096)
        #expect(map.zeroFill(for: 5000..<5001) == fill(4096..<5000, 5001..<8192))
        map.wrote(5000..<5001)
        #expect(map.singleSource(of: 4096..<8192) == .here)
        #expect(map.zeroFill(for: 4097..<4099) == .none)
    }

    @Test func zerosStandApartFromTheWriteWhenMainEndsBeyondItInTheBlock() {
        var map = map(mainValid: 3000)
        #expect(map.zeroFill(for: 100..<200) == fill(nil, 3000..<4096))
        map.wrote(100..<200)
        #expect(
            runs(map, 0..<4096) == [
                run(.below, 0..<100), run(.here, 100..<200), run(.below, 200..<3000),
                run(.here, 3000..<4096),
            ])
        #expect(map.zeroFill(for: 3500..<3600) == .none)
    }

    @Test func zerosBeginInsideTheBlockWhenMainEndsBeforeTheWrite() {
        let map = map(mainValid: 3000)
        #expect(map.zeroFill(for: 3500..<3600) == fill(3000..<3500, 3600..<4096))
    }

    @Test func headAndTailBlocksAreFilledEachOnItsOwn() {
        let map = map(mainValid: 1000)
        #expect(map.zeroFill(for: 2000..<9000) == fill(1000..<2000, 9000..<12_288))
        #expect(map.zeroFill(for: 500..<4096) == .none)
    }

    @Test func aPartialBlockBecomesPresentWhenItIsCovered() {
        var map = map(mainValid: 4096)
        map.wrote(0..<2000)
        map.wrote(3000..<4096)
        #expect(map.singleSource(of: 0..<4096) == nil)
        map.wrote(1500..<3500)
        #expect(map.singleSource(of: 0..<4096) == .here)
        #expect(map.storedBlocks == 1)
        let changes = map.takeChanges()
        #expect(changes.pages.map(\.blob) == [[1, 0, 0, 0, 0, 0, 0, 0]])
        #expect(changes.partial.map(\.block) == [0])
        #expect(changes.partial.first?.blob == nil)
    }

    // MARK: Truncating

    @Test func growingAfterACutShowsZerosAndNeverMainAgain() {
        var map = map(mainValid: 10_000)
        map.truncate(to: 100)
        #expect(map.mainValid == 100)
        #expect(runs(map, 0..<10_000) == [run(.below, 0..<100), run(.zeros, 100..<10_000)])
        map.truncate(to: 5000)
        #expect(map.mainValid == 100)
    }

    @Test func aCutToNothingForgetsEverything() {
        var map = map(mainValid: 10_000)
        map.wrote(1..<9000)
        map.truncate(to: 0)
        #expect(map.storedBlocks == 0)
        #expect(map.singleSource(of: 0..<20_000) == .zeros)
    }

    @Test func ofAPresentBlockThatIsCutInsideTheBytesBeforeTheCutRemain() {
        var map = map(mainValid: 10_000)
        map.wrote(0..<8192)
        map.truncate(to: 5000)
        #expect(map.storedBlocks == 2)
        #expect(runs(map, 0..<8192) == [run(.here, 0..<5000), run(.zeros, 5000..<8192)])
        #expect(map.zeroFill(for: 6000..<6100) == fill(5000..<6000, 6100..<8192))
        map.truncate(to: 4096)
        #expect(map.storedBlocks == 1)
        #expect(runs(map, 0..<8192) == [run(.here, 0..<4096), run(.zeros, 4096..<8192)])
    }

    @Test func aPartialBlockThatIsCutKeepsItsRangesBeforeTheCut() {
        var map = map(mainValid: 4096)
        map.wrote(100..<200)
        map.wrote(1000..<2000)
        map.truncate(to: 1500)
        #expect(
            runs(map, 0..<4096) == [
                run(.below, 0..<100), run(.here, 100..<200), run(.below, 200..<1000),
                run(.here, 1000..<1500), run(.zeros, 1500..<4096),
            ])
        map.truncate(to: 50)
        #expect(map.storedBlocks == 0)
    }

    @Test func aWriteAfterACutMakesTheImplicitZerosOfItsBlockExplicit() {
        var map = map(mainValid: 4096)
        map.wrote(1000..<2000)
        map.truncate(to: 1500)
        #expect(map.zeroFill(for: 3000..<3100) == fill(1500..<3000, 3100..<4096))
        #expect(map.zeroFill(for: 0..<10) == fill(nil, 1500..<4096))
        map.wrote(0..<10)
        #expect(runs(map, 0..<4096).map(\.source) == [.here, .below, .here])
        #expect(map.zeroFill(for: 3000..<3100) == .none)
    }

    @Test func zerosDoNotOverwriteWhatIsRecordedBetweenMainAndTheCut() {
        var map = map(mainValid: 1000)
        map.wrote(500..<2000)
        map.truncate(to: 1800)
        #expect(runs(map, 0..<4096).map(\.range.upperBound) == [500, 1800, 4096])
        #expect(map.zeroFill(for: 600..<700) == fill(nil, 1800..<4096))
        #expect(map.zeroFill(for: 2000..<2100) == fill(1800..<2000, 2100..<4096))
    }

    @Test func everyTruncationMovesTheGeneration() {
        var map = map(mainValid: 100)
        map.wrote(0..<50)
        #expect(map.generation == 0)
        map.truncate(to: 80)
        map.truncate(to: 80)
        #expect(map.generation == 2)
    }

    // MARK: Persistence

    @Test func changesAreTakenOnceAndComeBackAfterAFailure() {
        var map = map(mainValid: 100_000)
        #expect(!map.hasChanges)
        map.wrote(0..<5000)
        #expect(map.hasChanges)
        let first = map.takeChanges()
        #expect(first.pages.map(\.index) == [0])
        #expect(first.partial.map(\.block) == [1])
        #expect(!map.hasChanges)
        map.truncate(to: 4096)
        map.restore(first)
        let second = map.takeChanges()
        #expect(second.pages.map(\.blob) == [[1, 0, 0, 0, 0, 0, 0, 0]])
        #expect(second.partial.map(\.block) == [1])
        #expect(second.partial.first?.blob == nil)
        #expect(second.mainValid == 4096)
        #expect(!map.hasChanges)
    }

    @Test func aCutOfMainAloneIsAChange() {
        var map = map(mainValid: 100)
        map.truncate(to: 100)
        #expect(!map.hasChanges)
        map.truncate(to: 99)
        #expect(map.hasChanges)
        #expect(map.takeChanges().mainValid == 99)
    }

    @Test func storedPartsThatContradictEachOtherAreRefused() throws {
        let page = try #require(PresenceMap.Page(index: 0, blob: [1, 0, 0, 0, 0, 0, 0, 0]))
        func load(
            blockSize: UInt64 = 4096, pages: [PresenceMap.Page] = [],
            _ partial: [(block: UInt64, blob: [UInt8])] = []
        ) throws(LayerMapError) {
            _ = try LayerMap(
                blockSize: blockSize, mainValid: 100, pages: pages, partial: partial)
        }
        func blob(_ ranges: [Range<UInt32>]) -> [UInt8] {
            var set = ByteRanges()
            for range in ranges { set.insert(range) }
            return set.blob
        }
        let good = blob([0..<50])
        try load(pages: [page], [(1, blob([0..<1]))])
        try load([(0, good)])
        #expect(throws: LayerMapError.badBlockSize(1000)) { try load(blockSize: 1000) }
        #expect(throws: LayerMapError.badBlockSize(256)) { try load(blockSize: 256) }
        #expect(throws: LayerMapError.recordedTwice(block: 0)) {
            try load(pages: [page], [(0, good)])
        }
        #expect(throws: LayerMapError.recordedTwice(block: 0)) {
            try load([(0, good), (0, good)])
        }
        let beyond = LayerMap.sizeMaximum / 4096
        #expect(throws: LayerMapError.beyondMaximum(block: beyond)) { try load([(beyond, good)]) }
        let far = try #require(PresenceMap.Page(index: beyond / 4096 + 1, blob: page.blob))
        #expect(throws: LayerMapError.beyondMaximum(block: beyond)) { try load(pages: [far]) }
        for bad in [[], [1], blob([0..<4096]), blob([0..<5000]), blob([200..<300])] {
            #expect(throws: LayerMapError.badRanges(block: 0)) { try load([(0, bad)]) }
        }
    }
}

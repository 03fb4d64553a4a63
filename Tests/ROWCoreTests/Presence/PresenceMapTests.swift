import Testing

@testable import ROWCore

@Suite struct PresenceMapTests {
    @Test func insertCountsOnlyWhatWasAbsent() {
        var map = PresenceMap()
        #expect(map.insert(4000..<4200) == 200)
        #expect(map.insert(4100..<4300) == 100)
        #expect(map.insert(4000..<4300) == 0)
        #expect(map.insert(7..<7) == 0)
        #expect(map.count == 300)
        #expect(map.contains(4000) && map.contains(4299))
        #expect(!map.contains(3999) && !map.contains(4300))
    }

    @Test func runsCrossPagesAndEndAtTheLimit() {
        var map = PresenceMap()
        map.insert(100..<20_000)
        #expect(map.run(at: 0, limit: 50) == (false, 50))
        #expect(map.run(at: 0, limit: 30_000) == (false, 100))
        #expect(map.run(at: 100, limit: 30_000) == (true, 20_000))
        #expect(map.run(at: 100, limit: 8192) == (true, 8192))
        #expect(map.run(at: 20_000, limit: .max) == (false, .max))
    }

    @Test func aRunEndsWhereAPagesLastBlockDoes() {
        var map = PresenceMap()
        map.insert(0..<4096)
        #expect(map.run(at: 0, limit: 10_000) == (true, 4096))
        #expect(map.run(at: 4096, limit: 10_000) == (false, 10_000))
    }

    @Test func holesOfAnySizeAreCrossedAtOnce() {
        var map = PresenceMap()
        map.insert(0..<1)
        map.insert(UInt64.max - 2..<UInt64.max - 1)
        #expect(map.run(at: 1, limit: .max) == (false, .max - 2))
        #expect(map.run(at: .max - 2, limit: .max) == (true, .max - 1))
        map.remove(from: 1)
        #expect(map.count == 1)
        #expect(map.run(at: 1, limit: .max) == (false, .max))
    }

    @Test func onlyPagesThatChangedAreTaken() {
        var map = PresenceMap()
        map.insert(0..<10_000)
        #expect(map.takeDirtyPages().map(\.index) == [0, 1, 2])
        #expect(map.takeDirtyPages().isEmpty)
        map.insert(0..<10_000)
        #expect(!map.hasDirtyPages)
        map.remove(from: 8200)
        let shorter = map.takeDirtyPages()
        #expect(shorter.map(\.index) == [2])
        #expect(shorter.first?.blob == [255, 0, 0, 0, 0, 0, 0, 0])
        map.remove(from: 8192)
        let removed = map.takeDirtyPages()
        #expect(removed.map(\.index) == [2])
        #expect(removed.first?.words == [])
        map.markDirty(removed)
        #expect(map.takeDirtyPages() == removed)
    }

    @Test func aPageSurvivesItsBlobAndABadBlobIsRefused() throws {
        var map = PresenceMap()
        map.insert(4096 + 3..<4096 + 100)
        map.insert(8191..<8192)
        for page in map.takeDirtyPages() {
            #expect(page.blob.count == 512)
            var copy = PresenceMap()
            copy.load(try #require(PresenceMap.Page(index: page.index, blob: page.blob)))
            #expect(copy.run(at: 4099, limit: 9000) == (true, 4196))
            #expect(copy.run(at: 4196, limit: 9000) == (false, 8191))
            #expect(copy.count == 98)
            #expect(!copy.hasDirtyPages)
        }
        #expect(PresenceMap.Page(index: 0, blob: [1]) == nil)
        #expect(PresenceMap.Page(index: 0, blob: [UInt8](repeating: 1, count: 520)) == nil)
        #expect(PresenceMap.Page(index: 1 << 52, blob: []) == nil)
        #expect(PresenceMap.Page(index: 0, blob: [0, 0, 0, 0, 0, 0, 0, 0])?.words == [])
    }

    @Test func aRandomHistoryEqualsAPlainSet() {
        var randomness = Randomness(for: 1)
        var map = PresenceMap()
        var model: Set<UInt64> = []
        let limit = 9000
        for _ in 0..<400 {
            let range = randomness.range(in: limit, unit: 64).prefix(300)
            let blocks = UInt64(range.lowerBound)..<UInt64(range.upperBound)
            if randomness.below(3) == 0 {
                map.remove(blocks)
                model.subtract(blocks)
            } else {
                let added = map.insert(blocks)
                #expect(added == blocks.count { model.insert($0).inserted }, "\(randomness.note)")
            }
            #expect(map.count == model.count, "\(randomness.note)")
            let at = UInt64(randomness.below(limit))
            let isPresent = model.contains(at)
            let end = (at..<UInt64(limit)).first { model.contains($0) != isPresent }
            let run = map.run(at: at, limit: UInt64(limit))
            #expect(run == (isPresent, end ?? UInt64(limit)), "\(randomness.note)")
        }
    }
}

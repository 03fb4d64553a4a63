import ROWCore
import Testing

@testable import ROWProxy

/// What is fetched ahead of clients, and how much.
@Suite struct WalkAheadTests {
    private func nodes(_ numbers: ClosedRange<UInt64>) -> [NodeID] {
        numbers.map { NodeID(rawValue: $0) }
    }

    private func startAll(_ walk: inout WalkAhead) -> [NodeID] {
        var started: [NodeID] = []
        while let directory = walk.startListing() { started.append(directory) }
        return started
    }

    // An expectation cannot change what it looks at.
    private func lists(
        _ directory: UInt64, in parent: UInt64?, _ walk: inout WalkAhead
    ) -> Bool {
        walk.lists(NodeID(rawValue: directory), in: parent.map { NodeID(rawValue: $0) })
    }

    /// A client that has listed the root and the first directory in it.
    private func walking() -> WalkAhead {
        var walk = WalkAhead()
        #expect(!lists(1, in: nil, &walk))
        #expect(lists(2, in: 1, &walk))
        return walk
    }

    @Test func directoriesThatAreListedAloneLeadNowhere() {
        var walk = WalkAhead()
        #expect(!lists(1, in: nil, &walk))
        #expect(!lists(5, in: 4, &walk))
        walk.suggest(nodes(6...9))
        #expect(startAll(&walk) == [])
        #expect(!walk.leads(into: NodeID(rawValue: 5)))
    }

    @Test func aWalkPaysForSomeDirectoriesAheadOfIt() {
        var walk = walking()
        walk.suggest(nodes(3...100))
        let first = startAll(&walk)
        #expect(first == nodes(3...(2 + UInt64(first.count))))
        #expect((1..<WalkAhead.listingsMaximum).contains(first.count))
        for directory in first {
            #expect(walk.leads(into: directory))
            walk.finishListing(directory)
        }
        // The client stands still.
        #expect(startAll(&walk) == [])
        #expect(lists(3, in: 1, &walk))
        #expect(!startAll(&walk).isEmpty)
    }

    @Test func theLeadHasALimit() {
        var walk = walking()
        for number in UInt64(1000)..<2000 {
            #expect(lists(number, in: 1, &walk))
        }
        var started = 0
        for number in UInt64(3)..<1000 {
            walk.suggest([NodeID(rawValue: number)])
            guard let directory = walk.startListing() else { break }
            walk.finishListing(directory)
            started += 1
        }
        #expect(started == WalkAhead.leadMaximum)
    }

    @Test func onlySoManyAreUnderWay() {
        var walk = walking()
        for number in UInt64(1000)..<2000 { walk.want(NodeID(rawValue: number)) }
        let first = startAll(&walk)
        #expect(first.count == WalkAhead.listingsMaximum)
        walk.finishListing(first[0])
        #expect(startAll(&walk).count == 1)
    }

    @Test func whatWaitsTooLongInLineIsDropped() {
        var walk = WalkAhead()
        for number in UInt64(2)...1000 { walk.want(NodeID(rawValue: number)) }
        var started: [NodeID] = []
        while let directory = walk.startListing() {
            started.append(directory)
            walk.finishListing(directory)
        }
        // The last that a client asked for comes first.
        #expect(started == nodes(937...1000).reversed())
    }

    @Test func whatAClientWaitsForComesFirstAndEachOnce() {
        var walk = walking()
        walk.suggest(nodes(3...5))
        walk.suggest(nodes(10...11))
        walk.want(NodeID(rawValue: 5))
        walk.want(NodeID(rawValue: 5))
        #expect(startAll(&walk).map(\.rawValue) == [5, 10, 11, 3, 4])
        walk.want(NodeID(rawValue: 5))
        walk.suggest(nodes(3...4))
        #expect(startAll(&walk) == [])
    }

    @Test func aCallThatIsMadeAgainIsNoStep() {
        var walk = walking()
        #expect(!lists(2, in: 1, &walk))
    }

    @Test func linksAreReadAheadWhereTheirDirectoryWasListed() {
        var walk = walking()
        let isElsewhere = walk.readsLink(in: NodeID(rawValue: 50))
        #expect(!isElsewhere && !walk.readsLinks)
        let isListed = walk.readsLink(in: NodeID(rawValue: 2))
        #expect(isListed)
        walk.suggestLinks(nodes(100...200))
        var started: [NodeID] = []
        while let link = walk.startLink() { started.append(link) }
        #expect(started == nodes(100...(99 + UInt64(WalkAhead.linksMaximum))))
        walk.finishLink(started[0])
        let next = walk.startLink()
        #expect(next == NodeID(rawValue: 100 + UInt64(WalkAhead.linksMaximum)))
        #expect(walk.readsLinks)
        for number in UInt64(1000)..<1100 { _ = lists(number, in: 1, &walk) }
        #expect(!walk.readsLinks)
    }

    @Test func aRecentSetKeepsTheLastOfMany() {
        var set = RecentSet<Int>(capacity: 100)
        for number in 0..<1000 { set.insert(number) }
        #expect((950..<1000).allSatisfy { set.contains($0) })
        #expect(!(0..<900).contains { set.contains($0) })
    }
}

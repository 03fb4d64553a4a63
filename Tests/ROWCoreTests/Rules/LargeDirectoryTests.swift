import Testing

@testable import ROWCore

/// Listings of more entries than are kept together, of which the session hides some.
@Suite struct LargeDirectoryTests {
    private static let count = 2_500

    /// All names of main, in order; they have the cookies from 3 on.
    private static let names = (10_000..<10_000 + count).map { "f\($0)" }

    private func engine() throws -> Engine {
        var tree = PlainTree()
        for name in Self.names { tree.make(name) }
        let engine = try Engine(PlainMain(tree, pageCount: 700))
        #expect(try engine.names(.root) == Self.names)
        return engine
    }

    @Test func whatIsHiddenAfterItWasListedIsListedNoMore() throws {
        let engine = try engine()
        var left = Self.names
        // At the edges of what is kept together, and where nothing else is hidden.
        for index in [0, 1, 1020, 1021, 1022, 1023, 2046, 2499, 1500] {
            try engine.remove(.root, Self.names[index])
            left.removeAll { $0 == Self.names[index] }
            #expect(try engine.names(.root) == left)
        }
        try engine.restart()
        #expect(try engine.names(.root) == left)
    }

    @Test func aNameThatIsReplacedIsListedOnceAndLast() throws {
        let engine = try engine()
        try engine.remove(.root, "f10007")
        #expect(try !engine.names(.root).contains("f10007"))
        try engine.create(.root, "f10007")
        try engine.rename(.root, "f11100", .root, "f12200")
        let expected = Self.names.filter { $0 != "f11100" }
        #expect(try engine.names(.root) == expected)
        let last = try engine.entries(.root).suffix(2).map(\.name)
        #expect(last == ["f10007", "f12200"].map { Array($0.utf8) })
        try engine.restart()
        #expect(try engine.names(.root) == expected)
    }

    @Test func aListingGoesOnAfterAnyCookie() throws {
        let engine = try engine()
        for index in stride(from: 0, to: Self.count, by: 3) {
            try engine.remove(.root, Self.names[index])
        }
        let all = try engine.entries(.root)
        for cookie in [0, 2, 3, 4, 1022, 1023, 1024, 1025, 2047, 2048, 2502, 2503] as [UInt64] {
            let (entries, eof) = try engine.page(.root, after: cookie, count: 5_000)
            #expect(entries.map(\.cookie) == all.map(\.cookie).filter { $0 > cookie })
            #expect(eof)
        }
    }

    @Test func severalSessionsOfAnImageHideWhatIsTheirs() throws {
        let engine = try engine()
        try engine.remove(.root, "f10005")
        try engine.with(session: "other") {
            #expect(try engine.names(.root) == Self.names)
            try engine.remove(.root, "f10006")
            #expect(try engine.names(.root) == Self.names.filter { $0 != "f10006" })
        }
        #expect(try engine.names(.root) == Self.names.filter { $0 != "f10005" })
    }

    @Test func whatIsKeptOfListingsIsBounded() {
        var cache = ListingCache()
        let name = [UInt8](repeating: 7, count: 255)
        let directories = 100
        for directory in 1...directories {
            let chunk = ListingChunk()
            for cookie in 0..<ListingChunk.span {
                name.withUnsafeBytes { chunk.append(cookie: cookie, name: $0, child: .root) }
            }
            let id = NodeID(rawValue: UInt64(directory))
            cache.insert(chunk, ListingCache.Key(directory: id, index: 0))
        }
        let kept = (1...directories).filter {
            cache[ListingCache.Key(directory: NodeID(rawValue: UInt64($0)), index: 0)] != nil
        }
        // 283 KB each, of 6 MiB; those that came last.
        #expect(kept.count >= 10 && kept.count <= 23)
        #expect(kept.last == directories && kept == Array(kept[0]...directories))
    }
}

import NFSProtocol
import Testing

@testable import ROWCore

/// READDIR over main's entries and the session's, and how main's listing gets here.
@Suite struct ListingTests {

    @Test func removingWhileListingLosesAndRepeatsNothing() throws {
        var tree = PlainTree()
        for index in 0..<50 { tree.make("main\(index)") }
        let engine = try Engine(PlainMain(tree, pageCount: 7))
        for index in 0..<50 { try engine.create(.root, "new\(index)") }
        var removed: [String] = []
        var cookie: UInt64 = 0
        while true {
            let (entries, eof) = try engine.page(.root, after: cookie, count: 6)
            for entry in entries {
                cookie = entry.cookie
                let name = String(decoding: entry.name, as: UTF8.self)
                guard name != ".", name != ".." else { continue }
                try engine.remove(.root, name)
                removed.append(name)
            }
            if removed.count % 5 == 0 { try engine.restart() }
            if eof { break }
        }
        #expect(removed.count == 100)
        #expect(Set(removed).count == 100)
        #expect(try engine.names(.root).isEmpty)
    }

    @Test func aPageOfMainsListingThatWasNotCommittedIsFetchedAgain() throws {
        var tree = PlainTree()
        for index in 10..<30 { tree.make("f\(index)") }
        let engine = try Engine(PlainMain(tree, pageCount: 6))
        let (first, eof) = try engine.page(.root, after: 0, count: 100)
        #expect(first.count == 8 && !eof)
        let fault = try Fault(imageOf: engine)
        try fault.on()
        #expect(throws: Refusal(.io)) { try engine.page(.root, after: 8, count: 100) }
        try fault.off()
        #expect(try engine.names(.root) == (10..<30).map { "f\($0)" })
    }

    @Test func lookupsInOneDirectoryThatOverlapGetCookiesOfTheirOwn() throws {
        var tree = PlainTree()
        for index in 0..<6 { tree.make("f\(index)") }
        let main = PlainMain(tree)
        let engine = try Engine(main)
        var statuses: [NFS3.Status?] = []
        for index in 0..<6 {
            // Each commit but the first gathers behind the one before, and one ends in between.
            let fetch = Fetch.lookup(directory: .root, name: Array("f\(index)".utf8))
            try engine.image.feed(fetch, main.perform(fetch, in: engine.image), replica: 0)
            engine.image.commit { statuses.append($0) }
            if index % 2 == 1 { engine.wait(until: { statuses.count >= index }) }
        }
        engine.wait(until: { statuses.count == 6 })
        #expect(statuses.allSatisfy { $0 == nil })
        #expect(try engine.names(.root) == (0..<6).map { "f\($0)" })
    }

    @Test func nobodySeesANameBeforeItIsCommitted() throws {
        let engine = try Engine(PlainMain(PlainTree()))
        func interrupt<T>(_ body: () throws(Interrupt) -> T) -> Interrupt? {
            do throws(Interrupt) { _ = try body() } catch { return error }
            return nil
        }
        _ = try engine.names(.root)
        let session = engine.session
        let name = Array("new".utf8)
        _ = try engine.run { session throws(Interrupt) in
            try session.create(.root, name, .guarded(NFS3.SetAttributes()), .root)
        }
        for _ in 0..<2 {
            let lookup = interrupt { () throws(Interrupt) in
                try name.withBytes { bytes throws(Interrupt) in
                    try session.lookup(.root, bytes, .root).id
                }
            }
            #expect(lookup == .wait)
            let listing = interrupt { () throws(Interrupt) in
                try session.readDirectory(.root, after: 0, .root) { _ in true }
            }
            #expect(listing == .wait)
            engine.beginCommit()
        }
        try engine.commit()
        #expect(try engine.names(.root).contains("new"))
    }

    @Test func aCookieThatNobodyGaveOutEndsTheListing() throws {
        let engine = try Engine(PlainMain(PlainTree()))
        try engine.create(.root, "new")
        let cookies: [UInt64] = [.max, UInt64(Int64.max), 1 << 63, (1 << 62) + 999]
        for cookie in cookies {
            let (entries, eof) = try engine.page(.root, after: cookie, count: 10)
            #expect(entries.isEmpty && eof, "\(cookie)")
        }
    }
}

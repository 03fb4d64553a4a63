import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// Names of a remote main are asked for once, and before clients need them.
@Suite struct NamesAheadTests {
    /// Six directories with four each, all with some files and links.
    private static let tree: SimulatedTree.Item = {
        func directory(_ inner: [(name: String, item: SimulatedTree.Item)]) -> SimulatedTree.Item {
            var items = inner
            for number in 0..<5 { items.append(("file\(number)", .file("\(number)"))) }
            for number in 0..<3 { items.append(("link\(number)", .symlink("file\(number)"))) }
            return .directory(items)
        }
        let inner = (0..<4).map { (name: "inner\($0)", item: directory([])) }
        return directory((0..<6).map { (name: "outer\($0)", item: directory(inner)) })
    }()
    private static let directories = 1 + 6 + 6 * 4
    private static let links = directories * 3

    /// All that main was asked.
    private func calls(_ main: SimulatedNFSServer) -> Int {
        NFS3.Procedure.allCases.filter { $0 != .null }.reduce(0) { $0 + main.calls($1) }
    }

    /// All entries of a directory.
    private func list(
        _ directory: NFS3.FileHandle, by client: NFSClient
    ) async throws -> [NFS3.Readdirplus.Entry] {
        var entries: [NFS3.Readdirplus.Entry] = []
        while true {
            let page = try await client.readdirplus(
                directory, cookie: entries.last?.cookie ?? 0, dircount: 4096, maxcount: 32_768
            ).success
            entries += page.entries
            if page.eof { return entries.filter { !$0.name.description.hasPrefix(".") } }
        }
    }

    /// Looks at everything in a directory in every way that reads no data.
    /// - Returns: how many objects it found below.
    @discardableResult
    private func walk(_ directory: NFS3.FileHandle, by client: NFSClient) async throws -> Int {
        let entries = try await list(directory, by: client)
        var count = entries.count
        _ = try await client.readdir(directory, count: 4096).success
        let absent = try await client.lookup(NFS3.Filename("absent"), in: directory)
        #expect(absent.status == .noent)
        for entry in entries {
            let object = try await client.lookup(entry.name, in: directory).success.object
            #expect(object == entry.handle)
            let attributes = try await client.getattr(object).success.attributes
            #expect(attributes == entry.attributes)
            _ = try await client.access(object, [.read, .lookup]).success
            switch attributes.type {
            case .symbolicLink: _ = try await client.readlink(object).success
            case .directory: count += try await walk(object, by: client)
            default: break
            }
        }
        return count
    }

    @Test func anImageThatWasWalkedOnceAsksMainForNoName() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        var served = try await Served.remote(main) { $0.mainTimeout = .seconds(20) }
        let count = try await walk(served.root, by: served.client)
        #expect(count == Self.directories - 1 + Self.directories * 8)
        // Each directory is small enough for one page, each link is read once, and no name is looked up.
        #expect(main.calls(.readdirplus) == Self.directories)
        #expect(main.calls(.readlink) == Self.links)
        #expect(main.calls(.lookup) == 0)
        var before = calls(main)
        #expect(try await walk(served.root, by: served.client) == count)
        #expect(calls(main) == before)

        served = try await served.restarted()
        // It asks main for its root when it connects, which a start does not wait for.
        try await poll(for: "connection", within: .seconds(30)) {
            try await served.proxy.status().main.first?.state == "connected" ? () : nil
        }
        before = calls(main)
        #expect(try await walk(served.root, by: served.client) == count)
        #expect(calls(main) == before)
        try await served.stop()
        try await main.stop()
    }

    @Test func aWalkIsAnsweredFromWhatWasFetchedAheadOfIt() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(20) }
        let root = try await list(served.root, by: served.client)
        try await Task.sleep(for: .milliseconds(50))
        #expect(main.calls(.readdirplus) == 1)
        let outer = try #require(root.first { $0.name == NFS3.Filename("outer0") }?.handle)
        _ = try await list(outer, by: served.client)
        try await poll(for: "listings ahead", within: .seconds(20)) {
            main.calls(.readdirplus) >= 2 + 8 ? () : nil
        }
        // A link read where the client has listed is followed by the others.
        let link = try #require(root.first { $0.name == NFS3.Filename("link0") }?.handle)
        _ = try await served.client.readlink(link).success
        try await poll(for: "links ahead", within: .seconds(20)) {
            main.calls(.readlink) >= 3 ? () : nil
        }
        try await walk(served.root, by: served.client)
        #expect(main.calls(.readdirplus) == Self.directories)
        #expect(main.calls(.readlink) == Self.links)
        try await served.stop()
        try await main.stop()
    }

    @Test func aLookupImportsItsDirectory() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(20) }
        _ = try await served.handle("outer0/inner0/file3")
        try await poll(for: "an absent name that main is not asked for", within: .seconds(20)) {
            let before = main.calls(.lookup)
            let name = NFS3.Filename("absent\(before)")
            let outer = try await served.handle("outer0")
            let found = try await served.client.lookup(name, in: outer)
            #expect(found.status == .noent)
            return main.calls(.lookup) == before ? () : nil
        }
        #expect(main.calls(.readdirplus) == 3)
        try await served.stop()
        try await main.stop()
    }

    @Test func aPageOfAListingAnswersALookupThatIsUnderWay() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        main.inject(.hold, on: .lookup, times: 100)
        let inner = try await served.handle("outer0/inner0")
        #expect(try await served.client.getattr(inner).success.attributes.type == .directory)
        let absent = try await served.client.lookup(NFS3.Filename("absent"), in: served.root)
        #expect(absent.status == .noent)
        // The late answers change nothing.
        main.release()
        #expect(try await served.handle("outer0/inner0") == inner)
        #expect(try await list(inner, by: served.client).count == 8)
        try await served.stop()
        try await main.stop()
    }

    @Test func manyWhoWaitForAPageGetTheSameOne() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(600) }
        main.inject(.hold, on: .readdirplus)
        let (client, root) = (served.client, served.root)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<20 {
                group.addTask {
                    if number.isMultiple(of: 2) { return try await list(root, by: client).count }
                    _ = try await client.lookup(NFS3.Filename("file1"), in: root).success
                    return 14
                }
            }
            try await poll(for: "listing held by main", within: .seconds(20)) {
                main.repliesHeld == 1 ? () : nil
            }
            try await client.null()
            main.release()
            for try await count in group { #expect(count == 14) }
        }
        #expect(main.calls(.readdirplus) == 1)
        #expect(main.calls(.lookup) <= 1)
        try await served.stop()
        try await main.stop()
    }

    @Test func aHugeDirectoryIsImportedOnlyForWhoListsIt() async throws {
        let names = (0..<15_000).map { "file\($0)" }
        let main = try await SimulatedNFSServer.start(
            .directory(names.map { ($0, .file("")) }))
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(20) }
        _ = try await served.handle("file77")
        // Pages of 64 KiB with some hundred entries each: 4096 are more than 5 and fewer than 20.
        try await poll(for: "pages", within: .seconds(20)) {
            main.calls(.readdirplus) >= 5 ? () : nil
        }
        try await Task.sleep(for: .milliseconds(200))
        #expect(main.calls(.readdirplus) < 20)
        let listed = try await list(served.root, by: served.client)
        #expect(Set(listed.map(\.name.description)) == Set(names))
        #expect(listed.count == names.count)
        let before = main.calls(.lookup)
        let absent = try await served.client.lookup(NFS3.Filename("absent"), in: served.root)
        #expect(absent.status == .noent)
        #expect(main.calls(.lookup) == before)
        try await served.stop()
        try await main.stop()
    }

    /// A main that lists nothing is asked for names one by one, and not for the listing again each time.
    @Test func aDirectoryThatCannotBeListedIsLookedUpIn() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await Served.remote(main) { $0.mainTimeout = .seconds(20) }
        main.inject(.refuse(.io), on: .readdirplus, times: 1000)
        for number in 0..<5 { _ = try await served.handle("file\(number)") }
        #expect(main.calls(.lookup) == 5)
        #expect(main.calls(.readdirplus) == 1)
        try await served.stop()
        try await main.stop()
    }
}

import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import SystemPackage
import Testing

/// What is fetched before clients ask for it: the next files of a tree, and what a profile names.
@Suite struct AheadTests {
    private static let directories = 6
    private static let filesEach = 20

    /// Directories of small files, some of several blocks, and a link in each.
    private static var tree: SimulatedTree.Item {
        .directory(
            (0..<directories).map { number in
                var entries: [(name: String, item: SimulatedTree.Item)] = (0..<filesEach).map {
                    ("file\($0)", .file(contents(number, $0)))
                }
                entries.append(("link", .symlink("file0")))
                return ("directory \(number)%", .directory(entries))
            })
    }

    private static func contents(_ directory: Int, _ file: Int) -> [UInt8] {
        let size = file % 10 == 9 ? 200_000 : 100 + file
        return (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ directory &* 31 &+ file) }
    }

    /// READs that fetch all of the tree, at best.
    private static let readsAtLeast = directories * filesEach

    /// Lists and reads everything, as `tar` does.
    private func readAll(_ served: Served, directories: Range<Int>) async throws {
        let client = served.client
        for number in directories {
            let directory = try await served.handle("directory \(number)%")
            let listing = try await client.readdirplus(
                directory, cookie: 0, dircount: 65_536, maxcount: 65_536
            ).success
            for entry in listing.entries {
                let handle = try #require(entry.handle)
                if entry.attributes?.type == .symbolicLink {
                    _ = try await client.readlink(handle).success
                } else if entry.attributes?.type == .regular {
                    let file = try #require(Int(entry.name.description.dropFirst(4)))
                    let expected = Self.contents(number, file)
                    let (result, data) = try await client.read(handle, offset: 0, count: 1 << 20)
                    _ = try result.success
                    #expect(data.readableBytesView.elementsEqual(expected))
                }
            }
        }
    }

    /// A proxy that waits for a busy machine.
    private func patient(
        _ main: SimulatedNFSServer, _ configure: (inout Proxy.Configuration) -> Void = { _ in }
    ) async throws -> Served {
        try await Served.remote(main) {
            $0.mainTimeout = .seconds(20)
            configure(&$0)
        }
    }

    @Test func theNextFilesOfATreeAreThereBeforeTheyAreRead() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await patient(main)
        try await readAll(served, directories: 0..<1)
        // A directory that nobody has looked into yet: its files come all the same, each once.
        try await poll(for: "files of the next directories", within: .seconds(20)) {
            main.calls(.read) >= 3 * Self.filesEach ? () : nil
        }
        try await readAll(served, directories: 1..<Self.directories)
        let blocks = Self.directories * (Self.filesEach + 3 * Self.filesEach / 10)
        #expect((Self.readsAtLeast...blocks).contains(main.calls(.read)))
        #expect(main.calls(.readlink) == Self.directories)
        try await served.stop()
        try await main.stop()
    }

    @Test func filesReadInNoOrderAreNotFollowed() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let served = try await patient(main)
        let directory = try await served.handle("directory 0%")
        _ = try await served.client.readdirplus(
            directory, cookie: 0, dircount: 65_536, maxcount: 65_536
        ).success
        for file in stride(from: Self.filesEach - 2, through: 0, by: -2) {
            let handle = try await served.handle("directory 0%/file\(file)")
            _ = try await served.client.read(handle, offset: 0, count: 100).result.success
        }
        #expect(main.calls(.read) == Self.filesEach / 2)
        try await served.stop()
        try await main.stop()
    }

    @Test func whatNobodyComesToIsFetchedForSoLongOnly() async throws {
        let main = try await SimulatedNFSServer.start(
            .directory((0..<200).map { ("file\($0)", .file([UInt8](repeating: 7, count: 65_536))) }))
        let served = try await patient(main)
        _ = try await served.client.readdirplus(
            served.root, cookie: 0, dircount: 65_536, maxcount: 65_536
        ).success
        for file in 0..<12 {
            let handle = try await served.handle("file\(file)")
            _ = try await served.client.read(handle, offset: 0, count: 100).result.success
        }
        // One MiB is 16 files, and those that were read are worth some more.
        try await poll(for: "files that come ahead", within: .seconds(20)) {
            main.calls(.read) >= 12 + 16 ? () : nil
        }
        // Reading what is here makes nothing more come: by then what was begun before would have.
        for file in 0..<12 {
            let handle = try await served.handle("file\(file)")
            _ = try await served.client.read(handle, offset: 0, count: 65_536).result.success
        }
        let missed = try await served.handle("file199")
        _ = try await served.client.read(missed, offset: 0, count: 100).result.success
        #expect(main.calls(.read) <= 12 + 20 + 1)
        try await served.stop()
        try await main.stop()
    }

    @Test func aProfileIsFetchedWithoutAClient() async throws {
        let main = try await SimulatedNFSServer.start(Self.tree)
        let folder = try TemporaryDirectory("rowfs-proxy")
        let profile = folder.path("profile")
        let recorded = try await patient(main) { $0.record = profile }
        try await readAll(recorded, directories: 0..<Self.directories)
        try await recorded.stop()
        let lines = try String(contentsOfFile: profile, encoding: .utf8).split(separator: "\n")
        #expect(lines.first == "rowfs-profile 1")
        #expect(lines.contains("read 0 4 directory 2%25/file9"))
        #expect(lines.contains("link directory 5%25/link"))
        #expect(lines.contains("list directory 1%25"))

        let served = try await patient(main) { $0.profile = profile }
        try await poll(for: "end of the profile", within: .seconds(30)) {
            let events = try await served.proxy.status().events
            return events.contains { $0.message.contains("the profile has been fetched") }
                ? () : nil
        }
        let before = try await served.proxy.status().calls
        #expect(before.client["READ"] == nil)
        try await readAll(served, directories: 0..<Self.directories)
        #expect(try await served.proxy.status().calls.main == before.main)
        try await served.stop()
        try await main.stop()
    }

    @Test func aProfileOfAnotherImageIsOfNoUseAndDoesNoHarm() async throws {
        let main = try await SimulatedNFSServer.start()
        let folder = try TemporaryDirectory("rowfs-proxy")
        let profile = try folder.file(
            "profile",
            """
            rowfs-profile 1
            list nowhere
            read 0 1 hello
            read 5 100 hello
            link hello
            read 0 1 directory
            read 0 999 large
            read 0 1 cut in the mid
            """)
        let served = try await patient(main) { $0.profile = profile }
        try await poll(for: "end of the profile", within: .seconds(30)) {
            let events = try await served.proxy.status().events
            return events.contains { $0.message.contains("not in this image") } ? () : nil
        }
        let large = try await served.handle("large")
        let reads = main.calls(.read)
        let (result, data) = try await served.client.read(large, offset: 0, count: 1 << 20)
        _ = try result.success
        #expect(data.readableBytesView.elementsEqual(SimulatedTree.largeFile))
        #expect(main.calls(.read) == reads)
        try await served.stop()
        try await main.stop()
    }

    @Test(arguments: ["", "rowfs-profile 2\n", "rowfs-profile 1\nread 1 file\nlist x\n"])
    func whatIsNoProfileIsRefused(_ text: String) async throws {
        let main = try await SimulatedNFSServer.start()
        let folder = try TemporaryDirectory("rowfs-proxy")
        let profile = try folder.file("profile", text)
        await #expect(throws: ConfigurationError.self) {
            _ = try await patient(main) { $0.profile = profile }
        }
        try await main.stop()
    }
}

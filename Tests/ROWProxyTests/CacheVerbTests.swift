import Foundation
import NFSClient
import NFSProtocol
import ROWTestKit
import Testing

/// `rowctl prefetch` and `rowctl cache`, with a process that serves the image and without one.
@Suite(.serialized) struct CacheVerbTests {
    /// Blocks of "large", and of all that is in the sample tree and not empty.
    private static let largeBlocks = (SimulatedTree.largeFile.count + 65_535) / 65_536
    private static let files = 43

    /// A main, a state directory, and whoever serves the image if anybody does.
    private struct Bench {
        let main: SimulatedNFSServer
        let folder: TemporaryDirectory
        let serving: RowctlProcess?
        var state: String { folder.path("state") }
        var url: String { main.export.url }

        init(isServed: Bool, _ tree: SimulatedTree.Item = SimulatedTree.sample) async throws {
            main = try await SimulatedNFSServer.start(tree)
            folder = try TemporaryDirectory("rowfs-verbs")
            serving =
                isServed
                ? try await RowctlProcess.start([
                    "serve", main.export.url, "--session", "s", "--state", folder.path("state"),
                ]) : nil
        }

        func run(_ verb: [String], _ paths: [String] = []) async throws -> Tool.Result {
            try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), verb + [url] + paths + ["--state", state])
        }

        func cacheFiles() -> [String] {
            let names = FileManager.default.enumerator(atPath: state)?.allObjects as? [String] ?? []
            return names.filter { $0.contains("/blocks/") && $0.split(separator: "/").count == 5 }
                .map { "\(state)/\($0)" }
        }

        /// What is kept of a file; nil for nothing.
        func kept(_ path: String) async throws -> ImageFile? {
            let list = try await run(["cache", "ls"], ["--json"])
            #expect(list.status == .exited(0), "\(list.errors)")
            return try list.output.split(separator: "\n").map {
                try JSONDecoder().decode(ImageFile.self, from: Data($0.utf8))
            }.first { $0.path == path }
        }

        func stop() async throws {
            try await serving?.terminate()
            try await main.stop()
        }
    }

    private struct ImageFile: Codable {
        let path: String
        let size: Int
        let kept: Int
        let pinned: Bool
    }

    @Test(arguments: [false, true])
    func anImageIsFetchedOnceCheckedAndGivenUp(isServed: Bool) async throws {
        let bench = try await Bench(isServed: isServed)
        let first = try await bench.run(["prefetch"], ["/directory/file3", "large"])
        #expect(first.status == .exited(0), "\(first.errors)")
        #expect(first.output.hasPrefix("2 files"), "\(first.output)")
        let rest = try await bench.run(["prefetch"], ["--all", "--rate", "10M"])
        #expect(rest.output.hasPrefix("\(Self.files) files"), "\(rest.output)")
        // What was there already was not fetched again.
        let reads = bench.main.calls(.read)
        #expect((Self.files - 1...Self.files - 2 + Self.largeBlocks).contains(reads))
        let again = try await bench.run(["prefetch"], ["--all"])
        #expect(again.output.contains(" 0 B fetched"), "\(again.output)")
        #expect(bench.main.calls(.read) == reads)

        #expect(try await bench.kept("large")?.size == SimulatedTree.largeFile.count)
        let stat = try await bench.run(["cache", "stat"])
        // One file is empty.
        #expect(stat.output.hasPrefix("\(Self.files - 1) files"), "\(stat.output)")
        let intact = try await bench.run(["cache", "verify"])
        #expect(intact.status == .exited(0) && intact.output.contains(" 0 damaged"))

        let dropped = try await bench.run(["cache", "drop"], ["directory"])
        #expect(dropped.output.hasPrefix("40 files"), "\(dropped.output)")
        #expect(bench.cacheFiles().count == Self.files - 1 - 40)
        #expect(try await bench.kept("directory/file3") == nil)
        // Names stay. Who serves for ten seconds looks at all of them, whether they have changed: so they cannot be
        // counted then, and are not to be had.
        let lookups = bench.main.distinctCalls(.lookup)
        if isServed { bench.main.inject(.refuse(.jukebox), on: .lookup, times: .max) }
        #expect(try await bench.run(["prefetch"], ["directory/file3"]).status == .exited(0))
        if !isServed { #expect(bench.main.distinctCalls(.lookup) == lookups) }
        bench.main.clearFaults()
        #expect(bench.main.calls(.read) == reads + 1)
        #expect(try await bench.run(["cache", "drop"]).status == .exited(0))
        #expect(bench.cacheFiles().isEmpty)
        try await bench.stop()
    }

    @Test(arguments: [false, true])
    func damageIsFoundAndFetchedAgain(isServed: Bool) async throws {
        let bench = try await Bench(isServed: isServed)
        #expect(try await bench.run(["prefetch"], ["--all"]).status == .exited(0))
        let large = try #require(
            bench.cacheFiles().max {
                ((try? FileManager.default.attributesOfItem(atPath: $0)[.size]) as? Int ?? 0)
                    < ((try? FileManager.default.attributesOfItem(atPath: $1)[.size]) as? Int ?? 0)
            })
        let file = try #require(FileHandle(forUpdatingAtPath: large))
        for offset in [5, 70_000] {
            try file.seek(toOffset: UInt64(offset))
            let byte = try #require(try file.read(upToCount: 1)?.first)
            try file.seek(toOffset: UInt64(offset))
            try file.write(contentsOf: [byte ^ 1])
        }
        try file.close()
        let found = try await bench.run(["cache", "verify"])
        #expect(found.status == .exited(1) && found.output.contains(" 2 damaged"))
        let reads = bench.main.calls(.read)
        #expect(try await bench.run(["prefetch"], ["large"]).status == .exited(0))
        #expect((1...2).contains(bench.main.calls(.read) - reads))
        let intact = try await bench.run(["cache", "verify"])
        #expect(intact.status == .exited(0) && intact.output.contains(" 0 damaged"))
        try await bench.stop()
    }

    private static let directories = SimulatedTree.Item.directory(
        (0..<6).map { number in
            (
                "d\(number)",
                .directory([("file", .file("\(number)")), ("link", .symlink("file"))])
            )
        } + [("z", .file("last"))])

    @Test func directoriesThatMainRefusesAreLeftOutAndTheRestIsFetched() async throws {
        let bench = try await Bench(isServed: false, Self.directories)
        bench.main.inject(.refuse(.acces), on: .readdirplus, times: .max, skipping: 1)
        let refused = try await bench.run(["prefetch"], ["--all"])
        #expect(refused.status == .exited(1) && refused.output.hasPrefix("1 files"), "\(refused)")
        #expect(refused.output.contains("; 6 pieces"), "\(refused)")
        bench.main.clearFaults()
        let all = try await bench.run(["prefetch"], ["--all"])
        #expect(all.status == .exited(0) && all.output.hasPrefix("7 files"), "\(all)")
        try await bench.stop()
    }

    @Test func whatMainIsAwayForIsTriedAgain() async throws {
        let bench = try await Bench(isServed: false, Self.directories)
        for procedure in [NFS3.Procedure.readdirplus, .readlink, .read] {
            bench.main.inject(.refuse(.jukebox), on: procedure, times: 2)
        }
        let all = try await bench.run(["prefetch"], ["--all"])
        #expect(all.status == .exited(0) && all.output.hasPrefix("7 files"), "\(all)")
        let reads = bench.main.calls(.read)
        let again = try await bench.run(["prefetch"], ["--all"])
        #expect(again.output.contains(" 0 B fetched"), "\(again)")
        #expect(bench.main.calls(.read) == reads && bench.main.calls(.readlink) == 8)
        try await bench.stop()
    }

    @Test func whatIsPinnedStaysWhateverElseIsFetched() async throws {
        let bench = try await Bench(isServed: false)
        #expect(try await bench.run(["cache", "pin"], ["directory/file3"]).status == .exited(0))
        // 16 KiB are less than what all files take.
        let limited = ["--cache-size", "16K"]
        #expect(
            try await bench.run(["prefetch"], ["directory"] + limited).status == .exited(0))
        #expect(try await bench.kept("directory/file3")?.pinned == true)
        #expect(bench.cacheFiles().count < 8)
        let unpinned = try await bench.run(["cache", "pin"], ["directory", "--remove"])
        #expect(unpinned.output.hasPrefix("1 files"), "\(unpinned.output)")
        #expect(try await bench.kept("directory/file3")?.pinned == false)
        try await bench.stop()
    }

    @Test func nothingIsGivenUpForThoseWhoOnlyLook() async throws {
        let bench = try await Bench(isServed: false)
        let served = try await RowctlProcess.start([
            "serve", bench.url, "--session", "s", "--state", bench.state, "--cache-size", "16K",
        ])
        try await served.terminate()
        let large = ["--all", "--cache-size", "10M"]
        #expect(try await bench.run(["prefetch"], large).status == .exited(0))
        let count = bench.cacheFiles().count
        #expect(count == Self.files - 1)
        for verb in ["ls", "stat", "verify"] {
            #expect(try await bench.run(["cache", verb]).status == .exited(0))
        }
        #expect(try await bench.run(["cache", "drop"], ["large"]).status == .exited(0))
        #expect(bench.cacheFiles().count == count - 1)
        // Without a size, those that fetch take the one that it was served with.
        #expect(try await bench.run(["cache", "drop"]).status == .exited(0))
        _ = try await bench.run(["prefetch"], ["directory"])
        #expect((1..<8).contains(bench.cacheFiles().count))
        try await bench.stop()
    }

    @Test func whatCannotBeDoneIsExplained() async throws {
        let bench = try await Bench(isServed: false)
        for (verb, paths, code, words) in [
            (["prefetch"], ["nowhere"], 1, "the image has no 'nowhere'"),
            (["cache", "drop"], ["hello/x"], 1, "hello/x"), (["prefetch"], [], 64, "--all"),
            (["prefetch"], ["--all", "hello"], 64, "--all"),
            (["prefetch"], ["--all", "--rate", "0"], 64, "--rate"),
            (["prefetch"], ["--all", "--rate", "fast"], 64, "--rate"),
            (["cache", "pin"], [], 64, "<paths>"),
        ] as [([String], [String], Int32, String)] {
            let result = try await bench.run(verb, paths)
            #expect(result.status == .exited(code), "\(verb) \(paths) \(result)")
            #expect(result.errors.hasPrefix("rowctl: ") && result.errors.contains(words))
            #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        }
        let local = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"),
            ["cache", "ls", bench.folder.path, "--state", bench.state])
        #expect(local.status == .exited(1) && local.errors.contains("nothing is kept"))
        try await bench.stop()
    }
}

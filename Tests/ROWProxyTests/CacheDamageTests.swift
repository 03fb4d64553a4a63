import Foundation
import Glibc
import NFSClient
import NFSProtocol
import ROWProxy
import ROWTestKit
import Testing

/// Whatever happens to the cache's files, every byte is main's.
@Suite struct CacheDamageTests {
    private static let sizes = [700_000, 65_536, 65_537, 100, 1, 300_000, 300_000]

    /// A bench whose cache holds everything, stopped.
    private func filled() async throws -> (CacheBench, Served) {
        let bench = try await CacheBench(Self.sizes)
        let served = try await bench.serve()
        try await bench.checkAll(served)
        let status = try await bench.settle(served)
        #expect(status.files == Self.sizes.count && status.damaged == 0)
        try await served.stop()
        return (bench, served)
    }

    /// Serves again, reads everything, and tells how much damage was counted. Then all is well again.
    private func damagedCount(_ bench: CacheBench) async throws -> Int {
        let served = try await bench.serve()
        try await bench.checkAll(served)
        try await bench.checkAll(served, by: 4096)
        let damaged = try await bench.settle(served).damaged
        if damaged > 0 {
            let events = try await served.proxy.status().events.map(\.message)
            #expect(events.contains { $0.hasPrefix("the cache of /f") }, "\(events)")
        }
        try await served.stop()
        let reads = bench.main.calls(.read)
        let again = try await bench.serve()
        try await bench.checkAll(again)
        #expect(try await bench.settle(again).damaged == 0, bench.note)
        #expect(bench.main.calls(.read) == reads, bench.note)
        try await again.stop()
        return damaged
    }

    @Test func bitsThatFlippedAreFoundAndFetchedAgain() async throws {
        let (bench, _) = try await filled()
        var generator = bench.seed.makeGenerator()
        for _ in 0..<3 {
            for path in bench.cacheFiles {
                // In data; the table, with what is around it, is the end of the file.
                let data = max(1, CacheBench.size(path) - 70)
                try CacheBench.flip(
                    path, byte: Int.random(in: 0..<min(data, 300_000), using: &generator),
                    bit: Int.random(in: 0..<8, using: &generator))
            }
            let count = try await damagedCount(bench)
            // Some of the smallest file is no data.
            #expect(
                (bench.cacheFiles.count - 2...bench.cacheFiles.count).contains(count), bench.note)
            for path in bench.cacheFiles {
                let size = CacheBench.size(path)
                try CacheBench.flip(
                    path, byte: Int.random(in: max(0, size - 60)..<size, using: &generator),
                    bit: Int.random(in: 0..<8, using: &generator))
            }
            _ = try await damagedCount(bench)
        }
        try await bench.main.stop()
    }

    @Test func filesThatWereCutShortAreFetchedAgain() async throws {
        let (bench, _) = try await filled()
        var generator = bench.seed.makeGenerator()
        for _ in 0..<4 {
            for path in bench.cacheFiles {
                let length = Int.random(in: 0..<CacheBench.size(path), using: &generator)
                try #require(truncate(path, length) == 0)
            }
            #expect(try await damagedCount(bench) == bench.cacheFiles.count, bench.note)
        }
        try await bench.main.stop()
    }

    @Test func filesOfOthersAndGarbageAreFetchedAgain() async throws {
        let (bench, _) = try await filled()
        var generator = bench.seed.makeGenerator()
        for _ in 0..<3 {
            let files = bench.cacheFiles
            let contents = files.map { FileManager.default.contents(atPath: $0) ?? Data() }
            // All of them somewhere else; those of equal size look whole.
            for (path, content) in zip(files, contents.dropFirst() + contents.prefix(1)) {
                try content.write(to: URL(filePath: path))
            }
            #expect(try await damagedCount(bench) >= Self.sizes.count, bench.note)

            for path in bench.cacheFiles {
                let size = CacheBench.size(path) + Int.random(in: -1...1, using: &generator) * 8
                let words = (0..<size / 8 + 1).map { _ in generator.next() }
                try Data(words.withUnsafeBytes { [UInt8]($0.prefix(max(size, 0))) })
                    .write(to: URL(filePath: path))
            }
            #expect(try await damagedCount(bench) >= Self.sizes.count, bench.note)

            for path in bench.cacheFiles.shuffled(using: &generator).prefix(3) {
                try FileManager.default.removeItem(atPath: path)
            }
            #expect(try await damagedCount(bench) == 0, bench.note)
        }
        try await bench.main.stop()
    }

    @Test func damageWhileItIsServedIsFound() async throws {
        let (bench, _) = try await filled()
        let served = try await bench.serve()
        // Of the largest, the first block has been used; bits flip behind it.
        let largest = try #require(
            bench.cacheFiles.max { CacheBench.size($0) < CacheBench.size($1) })
        let name = "f0"
        let file = try await served.handle(name)
        try await bench.check(served.client, file, name, 0..<4096)
        for block in 5..<9 {
            try CacheBench.flip(largest, byte: block * CacheBench.block + 77, bit: 3)
        }
        try await bench.checkAll(served, [name])
        #expect(try await bench.settle(served).damaged == 4, bench.note)
        try await served.stop()
        try await bench.main.stop()
    }

    /// Files are cut while clients read them, also what was read just before.
    @Test func filesThatAreCutShortWhileTheyAreReadShowNothingWrong() async throws {
        let (bench, _) = try await filled()
        let served = try await bench.serve()
        var generator = bench.seed.makeGenerator()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in 1...4 {
                group.addTask {
                    var generator = bench.generator(reader)
                    for _ in 0..<400 {
                        let number = Int.random(in: 0..<Self.sizes.count, using: &generator)
                        let file = try await served.handle("f\(number)")
                        let start = Int.random(in: 0..<Self.sizes[number], using: &generator)
                        let count = [100, 4096, 200_000].randomElement(using: &generator) ?? 1
                        let end = min(start + count, Self.sizes[number])
                        try await bench.check(served.client, file, "f\(number)", start..<end)
                    }
                }
            }
            for _ in 0..<100 {
                guard let path = bench.cacheFiles.randomElement(using: &generator) else { continue }
                // It may have been removed since.
                _ = truncate(path, Int.random(in: 0...CacheBench.size(path), using: &generator))
                try await Task.sleep(for: .milliseconds(3))
            }
            try await group.waitForAll()
        }
        try await bench.checkAll(served)
        let status = try await bench.settle(served)
        #expect(status.damaged > 0 && status.used == UInt64(bench.storedBytes), bench.note)
        try await served.stop()
        let reads = bench.main.calls(.read)
        let again = try await bench.serve()
        try await bench.checkAll(again)
        #expect(bench.main.calls(.read) == reads, bench.note)
        try await again.stop()
        try await bench.main.stop()
    }

    /// The same under a limit that has blocks given up and read from the disk all the time.
    @Test func filesThatAreCutShortWhileBlocksAreGivenUpShowNothingWrong() async throws {
        let sizes = [3 << 20, 1 << 20, 300_000, 70_000, 65_536, 9000]
        let bench = try await CacheBench(sizes, cacheBytes: 1 << 20)
        for _ in 0..<3 {
            let served = try await bench.serve()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for reader in 1...6 {
                    group.addTask {
                        var generator = bench.generator(reader)
                        for _ in 0..<150 {
                            let number = Int.random(in: 0..<sizes.count, using: &generator)
                            let file = try await served.handle("f\(number)")
                            let start = Int.random(in: 0..<sizes[number], using: &generator)
                            let end = min(start + 40_000, sizes[number])
                            for _ in 0..<2 {
                                try await bench.check(
                                    served.client, file, "f\(number)", start..<end)
                            }
                        }
                    }
                }
                var generator = bench.generator(7)
                for _ in 0..<20 {
                    if let path = bench.cacheFiles.randomElement(using: &generator) {
                        _ = truncate(
                            path, Int.random(in: 0...CacheBench.size(path), using: &generator))
                    }
                    try await Task.sleep(for: .milliseconds(10))
                }
                try await group.waitForAll()
            }
            #expect(bench.storedBytes <= (1 << 20) + (1 << 20) / 20, bench.note)
            try await served.stop()
        }
        try await bench.main.stop()
    }
}

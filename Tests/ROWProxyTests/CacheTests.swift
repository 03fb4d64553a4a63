import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// Main's blocks are fetched once, and are what main has.
@Suite struct CacheTests {
    @Test func clientsThatReadAtRandomHaveEachBlockFetchedOnce() async throws {
        let bench = try await CacheBench([6 << 20, 100_000])
        let served = try await bench.serve()
        var clients: [NFSClient] = []
        for _ in 0..<8 { clients.append(try await served.mount("s")) }
        let file = try await served.handle("f0")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, client) in clients.enumerated() {
                group.addTask {
                    var generator = bench.generator(number)
                    for _ in 0..<300 {
                        let start = Int.random(in: 0..<(6 << 20) - 4096, using: &generator)
                        try await bench.check(client, file, "f0", start..<start + 4096)
                    }
                }
            }
            try await group.waitForAll()
        }
        try await bench.checkAll(served)
        let status = try await bench.settle(served)
        #expect(status.filledBlocks == 98, bench.note)
        #expect(try await served.proxy.status().bytes.fromMain == (6 << 20) + 100_000, bench.note)
        #expect(status.evictedBlocks == 0 && status.damaged == 0)
        // Now all of it is here, and here after a restart.
        let reads = bench.main.calls(.read)
        try await bench.checkAll(served)
        for client in clients { await client.close() }
        let again = try await served.restarted()
        try await bench.checkAll(again)
        #expect(bench.main.calls(.read) == reads, bench.note)
        let hits = try await again.proxy.status().bytes.cacheHit
        #expect(hits == (6 << 20) + 100_000)
        try await bench.stop(again)
    }

    @Test func aWarmCacheNeedsNoMain() async throws {
        let bench = try await CacheBench([300_000, 5, 65_536])
        let served = try await bench.serve()
        try await bench.checkAll(served)
        _ = try await bench.settle(served)
        let again = try await served.restarted()
        let handles = try await withHandles(again, bench)
        bench.main.setSilent(true)
        for (name, file) in handles {
            try await bench.check(again.client, file, name, 0..<1 << 20)
        }
        bench.main.setSilent(false)
        try await bench.stop(again)
    }

    private func withHandles(
        _ served: Served, _ bench: CacheBench
    ) async throws -> [(String, NFS3.FileHandle)] {
        var handles: [(String, NFS3.FileHandle)] = []
        for name in bench.files.keys { handles.append((name, try await served.handle(name))) }
        return handles
    }

    @Test func manyWhoWantOneBlockWaitForOneRead() async throws {
        let bench = try await CacheBench([60_000])
        let served = try await bench.serve()
        let file = try await served.handle("f0")
        bench.main.inject(.hold, on: .read)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<30 {
                group.addTask {
                    let start = number * 1000
                    try await bench.check(served.client, file, "f0", start..<start + 4096)
                }
            }
            try await poll(for: "READ held by main", within: .seconds(20)) {
                bench.main.repliesHeld == 1 ? () : nil
            }
            try await served.client.null()
            bench.main.release()
            try await group.waitForAll()
        }
        #expect(bench.main.calls(.read) == 1)
        try await bench.stop(served)
    }

    @Test func aReadThatFailsIsEverybodysAndIsMadeAgain() async throws {
        let bench = try await CacheBench([60_000])
        let served = try await bench.serve()
        let file = try await served.handle("f0")
        bench.main.inject(.refuse(.io), on: .read)
        #expect(try await served.client.read(file, offset: 0, count: 10).result.status == .io)
        try await bench.checkAll(served)
        #expect(bench.main.calls(.read) == 2)
        try await bench.stop(served)
    }

    @Test func aReaderInOrderIsReadAheadOf() async throws {
        let bench = try await CacheBench([8 << 20])
        let served = try await bench.serve()
        try await bench.checkAll(served)
        #expect(try await bench.settle(served).filledBlocks == 128)
        // 256 KiB each, but for where windows end.
        #expect((32...44).contains(bench.main.calls(.read)), "\(bench.main.calls(.read))")
        try await bench.stop(served)
    }

    @Test func aFileThatIsPartlyWrittenIsMadeOfBoth() async throws {
        let bench = try await CacheBench([400_000])
        let served = try await bench.serve()
        var content = try #require(bench.files["f0"])
        let file = try await served.handle("f0")
        var generator = bench.seed.makeGenerator()
        for round in 0..<60 {
            let start = Int.random(in: 0..<390_000, using: &generator)
            let count = Int.random(in: 1..<9000, using: &generator)
            let bytes = [UInt8](repeating: UInt8(round + 1), count: count)
            _ = try await served.client.write(
                file, offset: UInt64(start), data: ByteBuffer(bytes: bytes), stable: .unstable
            ).success
            content.replaceSubrange(start..<start + count, with: bytes)
            let from = Int.random(in: 0..<content.count - 1, using: &generator)
            let (_, data) = try await served.client.read(file, offset: UInt64(from), count: 100_000)
            let isRight = data.readableBytesView.elementsEqual(content[from...].prefix(100_000))
            #expect(isRight, bench.note)
        }
        let again = try await served.restarted()
        let (_, data) = try await again.client.read(file, offset: 0, count: 1 << 20)
        let isRight = data.readableBytesView.elementsEqual(content)
        #expect(isRight, bench.note)
        #expect(try await again.proxy.status().bytes.fromMain == 0)
        try await bench.stop(again)
    }

    @Test func aFileThatChangesUnderneathIsNotMixed() async throws {
        let bench = try await CacheBench([400_000])
        let served = try await bench.serve()
        let file = try await served.handle("f0")
        try await bench.check(served.client, file, "f0", 300_000..<310_000)
        bench.main.changeFile("f0", to: [UInt8](repeating: 1, count: 400_000))
        #expect(try await served.client.read(file, offset: 0, count: 10).result.status == .stale)
        try await bench.check(served.client, file, "f0", 300_000..<310_000)
        try await bench.stop(served)
    }

    // MARK: Limits

    @Test func theLimitIsKeptAndTheBytesAreRight() async throws {
        let limit = 4 << 20
        let bench = try await CacheBench(
            [40 << 20, 20 << 20, 3 << 20, 1 << 20], cacheBytes: UInt64(limit))
        let served = try await bench.serve()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in 0..<3 {
                group.addTask {
                    var generator = bench.generator(reader)
                    for _ in 0..<60 {
                        let name = try #require(
                            bench.files.keys.sorted().randomElement(using: &generator))
                        let size = bench.files[name]?.count ?? 0
                        let file = try await served.handle(name)
                        var start = Int.random(in: 0..<size, using: &generator)
                        for _ in 0..<Int.random(in: 1..<20, using: &generator) where start < size {
                            try await bench.check(served.client, file, name, start..<start + 50_000)
                            start += 50_000
                        }
                        #expect(bench.storedBytes <= limit + limit / 20, bench.note)
                    }
                }
            }
            try await group.waitForAll()
        }
        try await bench.checkAll(served, ["f3", "f2"])
        let status = try await bench.settle(served)
        #expect(status.evictedBlocks > 100 && status.damaged == 0, bench.note)
        #expect(bench.storedBytes <= limit + limit / 20 && bench.storedBytes > limit / 2)
        #expect(status.used == UInt64(bench.storedBytes))
        let again = try await served.restarted()
        try await bench.checkAll(again, ["f3", "f2"])
        #expect(bench.storedBytes <= limit + limit / 20)
        try await bench.stop(again)
    }

    @Test func theLimitIsKeptWithManySmallFiles() async throws {
        var generator = Seed().makeGenerator()
        let sizes = (0..<3000).map { _ in Int.random(in: 1..<9000, using: &generator) }
        let limit = 4 << 20
        let bench = try await CacheBench(sizes, cacheBytes: UInt64(limit))
        var served = try await bench.serve()
        for _ in 0..<2 {
            for name in bench.files.keys.sorted() {
                let file = try await served.handle(name)
                try await bench.check(served.client, file, name, 0..<10_000)
            }
            _ = try await bench.settle(served)
            #expect(bench.storedBytes <= limit + limit / 20, bench.note)
            #expect(bench.storedBytes > limit / 2)
            served = try await served.restarted()
        }
        try await bench.stop(served)
    }

    @Test(arguments: [1, 65_536, 100_000, 500_000])
    func aLimitSmallerThanAFileIsNoHarm(limit: Int) async throws {
        let bench = try await CacheBench([2 << 20, 300], cacheBytes: UInt64(limit))
        let served = try await bench.serve()
        for _ in 0..<2 { try await bench.checkAll(served) }
        _ = try await bench.settle(served)
        #expect(bench.storedBytes <= limit + limit / 20, bench.note)
        try await bench.stop(served)
    }

    @Test func aSmallerLimitIsKeptFromTheStart() async throws {
        let bench = try await CacheBench([2 << 20])
        let served = try await bench.serve()
        try await bench.checkAll(served)
        _ = try await bench.settle(served)
        try await served.stop()
        let again = try await Served.remote(bench.main, in: bench.folder) {
            $0.cacheSize = ByteSize(bytes: 1 << 20)
        }
        _ = try await bench.settle(again)
        #expect(bench.storedBytes <= (1 << 20) + (1 << 20) / 20)
        try await bench.checkAll(again)
        try await bench.stop(again)
    }

    @Test func withoutACacheNothingIsKept() async throws {
        let bench = try await CacheBench([300_000], cacheBytes: 0)
        let served = try await bench.serve()
        try await bench.checkAll(served)
        try await bench.checkAll(served)
        #expect(bench.main.calls(.read) == 20)
        #expect(try await served.proxy.status().cache == nil)
        #expect(bench.cacheFiles.isEmpty)
        try await bench.stop(served)
    }

    // MARK: A full disk

    @Test func readsGoOnWhenTheDiskIsFull() async throws {
        let bench = try await CacheBench([12 << 20, 300_000])
        let disk = try await SmallDisk.make(bytes: 8 << 20)
        let proxy = try await RowctlProcess.start(
            [
                "serve", bench.main.export.url, "--session", "full", "--state",
                "\(disk.path)/state", "--durability", "relaxed",
            ], by: disk.wrapper)
        for round in 0..<3 {
            let client = try await NFSClient.connect(NFSURL(proxy.export.url))
            for name in bench.files.keys.sorted() {
                let file = try await client.lookup(NFS3.Filename(name), in: client.rootHandle)
                    .success.object
                for start in stride(from: 0, to: bench.files[name]?.count ?? 0, by: 1 << 19) {
                    try await bench.check(client, file, name, start..<start + 1 << 19)
                }
            }
            await client.close()
            if round == 0 { try disk.fill() }
            if round == 1 {
                try await proxy.kill()
                try await proxy.restart()
            }
        }
        try disk.unfill()
        try await proxy.terminate()
        try await bench.main.stop()
    }
}

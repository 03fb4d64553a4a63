import Foundation
import NFSProtocol
import NIOCore
import NIOPosix
import ROWTestKit
import SystemPackage
import Testing

@testable import ROWCore
@testable import ROWProxy

/// Disks on which nothing can be kept for a while.
@Suite struct CacheFailureTests {
    private static let limit: UInt64 = 1 << 30

    /// A cache on a loop of its own. What is sent between loop and test is used on the loop alone.
    private final class Bench: @unchecked Sendable {
        let folder: TemporaryDirectory
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let pool = NIOThreadPool(numberOfThreads: 2)
        let directory: CacheDirectory
        private var image: ImageStore?
        private var cache: BlockCache?
        private var time = NIODeadline.now()
        private var attributes: NFS3.Attributes?

        init(_ blocks: String?) async throws {
            folder = try TemporaryDirectory("rowfs-failures")
            let main = FilePath(try folder.directory("main"))
            let state = FilePath(folder.path("state"))
            directory = CacheDirectory(image: blocks.map { FilePath($0) } ?? state)
            pool.start()
            try await on { loop in
                let root = try DirectoryImage(path: main).rootEntry()
                let image = try ImageStore(
                    directory: state, source: "test", root: root, isDurable: false,
                    loop: { work in loop.execute(work) })
                self.image = image
                var attributes = root.attributes
                attributes.type = .regular
                attributes.size = 1 << 20
                self.attributes = attributes
                let cache = BlockCache(
                    directory: self.directory, limit: CacheFailureTests.limit, image: image,
                    loop: loop, pool: self.pool, onEvent: { _ in })
                cache.now = { self.time }
                self.cache = cache
            }
        }

        private func on<T: Sendable>(
            _ work: @escaping @Sendable (any EventLoop) throws -> T
        ) async throws -> T {
            let loop = group.next()
            return try await loop.submit { try work(loop) }.get()
        }

        /// Has all of a file of a megabyte kept.
        func fill(_ id: UInt64) async throws -> Bool {
            let loop = group.next()
            return try await loop.flatSubmit {
                let promise = loop.makePromise(of: Bool.self)
                guard let cache = self.cache, let attributes = self.attributes,
                    let layout = CacheLayout(id: NodeID(rawValue: id), attributes: attributes)
                else {
                    promise.succeed(false)
                    return promise.futureResult
                }
                let data = ByteBuffer(repeating: 7, count: 1 << 20)
                cache.fill(layout, 0..<layout.blockCount, data) { promise.succeed($0) }
                return promise.futureResult
            }.get()
        }

        func advance(_ amount: TimeAmount) async throws {
            try await on { _ in self.time = self.time + amount }
        }

        func status() async throws -> ROWProxy.SessionStatus.Cache {
            try await on { _ in try #require(self.cache).status }
        }

        func close() async throws {
            let loop = group.next()
            try await loop.flatSubmit {
                let promise = loop.makePromise(of: Void.self)
                self.cache?.close { promise.succeed(()) }
                return promise.futureResult
            }.get()
            try await on { _ in
                self.cache = nil
                self.image = nil
            }
            try await pool.shutdownGracefully()
            try await group.shutdownGracefully()
        }
    }

    @Test func aDiskThatHasRoomAgainIsUsedAsBefore() async throws {
        let disk = try await SmallDisk.make(bytes: 8 << 20)
        let bench = try await Bench(disk.path("image"))
        for id in 10..<13 { #expect(try await bench.fill(UInt64(id))) }
        try disk.fill()
        #expect(try await bench.fill(13) == false)
        try await poll(for: "room", within: .seconds(20)) {
            let cache = try await bench.status()
            // What failed is gone, or counted.
            let stored = bench.directory.scan().reduce(0) { $0 + $1.allocated }
            return cache.used == stored && cache.used <= cache.limit ? () : nil
        }
        #expect(try await bench.status().limit < 3 << 20)
        try disk.unfill()
        try await bench.advance(.minutes(1))
        _ = try await bench.fill(14)
        #expect(try await bench.status().limit < 3 << 20)
        try await bench.advance(BlockCache.failureCounts)
        for id in 20..<24 { #expect(try await bench.fill(UInt64(id))) }
        let cache = try await bench.status()
        #expect(cache.limit == Self.limit && cache.used >= 4 << 20)
        try await bench.close()
    }

    @Test func aDiskThatFailedIsTriedAgain() async throws {
        let bench = try await Bench(nil)
        let blocks = bench.directory.path.string
        #expect(FileManager.default.createFile(atPath: blocks, contents: Data()))
        #expect(try await bench.fill(10) == false)
        try FileManager.default.removeItem(atPath: blocks)
        #expect(try await bench.fill(10) == false)
        try await bench.advance(BlockCache.failureCounts)
        #expect(try await bench.fill(10))
        try await bench.close()
    }
}

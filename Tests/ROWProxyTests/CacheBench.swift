import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWCore
import ROWProxy
import ROWTestKit
import SystemPackage
import Testing

/// Files of random bytes behind a simulated main, and a proxy with a cache before it.
final class CacheBench: Sendable {
    let seed = Seed()
    let folder: TemporaryDirectory
    let main: SimulatedNFSServer
    let files: [String: [UInt8]]
    let cacheBytes: UInt64
    static let block = Int(CacheLayout.blockBytes)

    var note: Comment { "\(seed)" }

    init(_ sizes: [Int], cacheBytes: UInt64 = 10 << 30) async throws {
        folder = try TemporaryDirectory("rowfs-cache")
        var generator = seed.makeGenerator()
        var files: [String: [UInt8]] = [:]
        for (number, size) in sizes.enumerated() {
            let words = (0..<(size + 7) / 8).map { _ in generator.next() }
            files["f\(number)"] = words.withUnsafeBytes { [UInt8]($0.prefix(size)) }
        }
        self.files = files
        self.cacheBytes = cacheBytes
        main = try await SimulatedNFSServer.start(
            .directory(files.sorted { $0.key < $1.key }.map { ($0.key, .file($0.value)) }))
    }

    /// One of several with the same seed.
    func generator(_ number: Int) -> Seed.Generator {
        var generator = seed.makeGenerator()
        for _ in 0..<number * 100_003 { _ = generator.next() }
        return generator
    }

    func serve() async throws -> Served {
        try await Served.remote(main, in: folder) {
            $0.cacheSize = ByteSize(bytes: self.cacheBytes)
            $0.mainTimeout = .seconds(60)
        }
    }

    /// Reads, and compares.
    func check(
        _ client: NFSClient, _ file: NFS3.FileHandle, _ name: String, _ range: Range<Int>
    ) async throws {
        let content = try #require(files[name])
        let (result, data) = try await client.read(
            file, offset: UInt64(range.lowerBound), count: UInt32(range.count))
        _ = try result.success
        let expected = content[range.clamped(to: 0..<content.count)]
        // A comparison by element takes long in a debug build.
        let isRight = data.withUnsafeReadableBytes { read in
            expected.withUnsafeBytes { expected in
                guard let one = read.baseAddress, let other = expected.baseAddress else {
                    return read.count == expected.count
                }
                return read.count == expected.count && memcmp(one, other, read.count) == 0
            }
        }
        #expect(isRight, "\(name) \(range) \(seed)")
    }

    /// Reads all of some files from the beginning to the end.
    func checkAll(_ served: Served, _ names: [String]? = nil, by step: Int = 32 << 10) async throws
    {
        for name in names ?? files.keys.sorted() {
            let file = try await served.handle(name)
            for start in stride(from: 0, to: files[name]?.count ?? 0, by: step) {
                try await check(served.client, file, name, start..<start + step)
            }
        }
    }

    /// Waits until nothing is on its way to the disk.
    func settle(_ served: Served) async throws -> ROWProxy.SessionStatus.Cache {
        var last = -1
        var quiet = 0
        return try await poll(for: "end of filling", within: .seconds(30)) {
            let cache = try #require(try await served.proxy.status().cache)
            quiet = cache.filledBlocks + cache.evictedBlocks == last ? quiet + 1 : 0
            last = cache.filledBlocks + cache.evictedBlocks
            return quiet > 20 ? cache : nil
        }
    }

    // MARK: The files of the cache

    var cacheFiles: [String] {
        let images = folder.path("state/images")
        let all = FileManager.default.enumerator(atPath: images)?.compactMap { $0 as? String } ?? []
        return all.filter { path in
            let words = path.split(separator: "/")
            return words.count == 4 && words[1] == "blocks"
        }.map { images + "/" + $0 }.sorted()
    }

    /// Bytes of storage that they take up.
    var storedBytes: Int {
        cacheFiles.reduce(0) { sum, path in
            var status = stat()
            return lstat(path, &status) == 0 ? sum + Int(status.st_blocks) * 512 : sum
        }
    }

    static func size(_ path: String) -> Int {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Inverts a bit of a file.
    static func flip(_ path: String, byte: Int, bit: Int) throws {
        let handle = try FileHandle(forUpdating: URL(filePath: path))
        try handle.seek(toOffset: UInt64(byte))
        guard let old = try handle.read(upToCount: 1)?.first else { return }
        try handle.seek(toOffset: UInt64(byte))
        try handle.write(contentsOf: [old ^ UInt8(1 << bit)])
        try handle.close()
    }

    func stop(_ served: Served) async throws {
        try await served.stop()
        try await main.stop()
    }
}

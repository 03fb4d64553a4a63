import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

extension Integration {
    /// The cache of main's blocks in a process of its own, over nfs-ganesha.
    @Suite struct CacheTests {
        private static let kills = isLongRun ? 50 : 6

        /// Files of words that tell where they are, on disk and so without memory.
        private struct Image {
            let path: String
            let sizes: [Int]
            let seed = Seed()
            var note: Comment { "\(seed)" }

            init(in folder: TemporaryDirectory, _ sizes: [Int]) throws {
                path = try folder.directory("image")
                self.sizes = sizes
                for (number, size) in sizes.enumerated() {
                    let file = open("\(path)/f\(number)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
                    try #require(file >= 0)
                    defer { close(file) }
                    for start in stride(from: 0, to: size, by: 1 << 20) {
                        let bytes = content(number, start..<min(start + 1 << 20, size))
                        try #require(pwrite(file, bytes, bytes.count, start) == bytes.count)
                    }
                }
            }

            /// - Parameter range: begins with a word.
            func content(_ number: Int, _ range: Range<Int>) -> [UInt8] {
                let words = (range.lowerBound / 8..<(range.upperBound + 7) / 8).map { word in
                    (UInt64(word) &+ UInt64(number) << 40 &+ seed.value) &* 0x9e37_79b9_7f4a_7c15
                }
                return words.withUnsafeBytes { [UInt8]($0.prefix(range.count)) }
            }

            func check(
                _ client: NFSClient, _ file: NFS3.FileHandle, _ number: Int, _ range: Range<Int>
            ) async throws {
                let (result, data) = try await client.read(
                    file, offset: UInt64(range.lowerBound), count: UInt32(range.count))
                #expect(result.status == .ok, note)
                let isRight = data.readableBytesView.elementsEqual(content(number, range))
                #expect(isRight, "f\(number) \(range) \(seed)")
            }

            func checkAll(_ client: NFSClient, _ number: Int) async throws {
                let file = try await client.object("f\(number)", in: client.rootHandle)
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let size = sizes[number]
                    for reader in 0..<4 {
                        group.addTask {
                            for start in stride(from: reader << 17, to: size, by: 4 << 17) {
                                let end = min(start + 1 << 17, size)
                                try await check(client, file, number, start..<end)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }

        private static func storedBytes(_ state: String) -> Int {
            let images = "\(state)/images"
            let all = FileManager.default.enumerator(atPath: images)
            return (all?.compactMap { $0 as? String } ?? []).reduce(0) { sum, path in
                var status = stat()
                guard path.contains("/blocks/"), lstat("\(images)/\(path)", &status) == 0,
                    status.st_mode & S_IFMT == S_IFREG
                else { return sum }
                return sum + Int(status.st_blocks) * 512
            }
        }

        @Test func killsWhileTheCacheFillsLeaveNoWrongByte() async throws {
            let folder = try TemporaryDirectory()
            let sizes = [24 << 20, 8 << 20, 3_000_001] + (0..<40).map { 100 + $0 * 2500 }
            let image = try Image(in: folder, sizes)
            let main = try await Ganesha.start(directory: image.path)
            let state = try folder.directory("state")
            // Blocks are given up, too.
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "kill", "--state", state, "--cache-size",
                "24M",
            ])
            var generator = image.seed.makeGenerator()
            for _ in 0..<Self.kills {
                let readers = (0..<4).map { reader in
                    var generator = generator
                    for _ in 0..<reader * 1009 { _ = generator.next() }
                    return Task { [generator] in
                        await Self.readUntilItEnds(proxy, image, generator)
                    }
                }
                // Not waited for: the moment of the kill is to be a random one.
                let pause = Int.random(in: 20...700, using: &generator)
                try await Task.sleep(for: .milliseconds(pause))
                try await proxy.kill()
                for reader in readers { await reader.value }
                try await proxy.restart()
                let client = try await NFSClient.connect(NFSURL(proxy.export.url))
                for number in sizes.indices { try await image.checkAll(client, number) }
                await client.close()
                #expect(Self.storedBytes(state) <= 24 << 20 + (24 << 20) / 20, image.note)
            }
            try await proxy.terminate()
            try await main.stop()
        }

        /// Reads at random and in order; what it is told is right, however it ends.
        private static func readUntilItEnds(
            _ proxy: RowctlProcess, _ image: Image, _ generator: Seed.Generator
        ) async {
            var generator = generator
            guard let client = try? await NFSClient.connect(NFSURL(proxy.export.url)) else {
                return
            }
            let limit = Task {
                try? await Task.sleep(for: .seconds(1))
                await client.close()
            }
            while true {
                let number = Int.random(in: image.sizes.indices, using: &generator)
                let size = image.sizes[number]
                guard
                    let file = try? await client.object("f\(number)", in: client.rootHandle)
                else { break }
                var start = Int.random(in: 0..<size, using: &generator) & ~7
                for _ in 0..<20 where start < size {
                    let end = min(start + 40_000, size)
                    guard
                        let (result, data) = try? await client.read(
                            file, offset: UInt64(start), count: UInt32(end - start)),
                        result.status == .ok
                    else { break }
                    let isRight = data.readableBytesView.elementsEqual(
                        image.content(number, start..<end))
                    #expect(isRight, image.note)
                    start = end
                }
            }
            limit.cancel()
            await client.close()
        }

        @Test func aLimitOf64MiBIsKeptUnderAWorkingSetManyTimesAsLarge() async throws {
            let folder = try TemporaryDirectory()
            let total = isLongRun ? 1 << 30 : 256 << 20
            let image = try Image(in: folder, [total / 2, total / 4, total / 8, total / 8])
            let main = try await Ganesha.start(directory: image.path)
            let state = try folder.directory("state")
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "limit", "--state", state, "--cache-size",
                "64M",
            ])
            let client = try await NFSClient.connect(NFSURL(proxy.export.url))
            var largest = 0
            for _ in 0..<2 {
                for number in image.sizes.indices {
                    try await image.checkAll(client, number)
                    largest = max(largest, Self.storedBytes(state))
                }
            }
            print("storage of a cache of 64 MiB, MiB: \(largest >> 20)")
            #expect(largest <= 64 << 20 + (64 << 20) / 20)
            #expect(largest > 48 << 20)
            await client.close()
            try await proxy.terminate()
            try await main.stop()
        }
    }
}

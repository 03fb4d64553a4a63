import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

extension Integration {
    /// What the proxy keeps in memory has a limit of its own; the size of the tree is none of it.
    @Suite struct MemoryTests {
        private static let directories = 200
        private static let filesPerDirectory = isLongRun ? 1000 : 250
        private static let largeBytes = isLongRun ? 10 << 30 : 1 << 30

        @Test func memoryAfterWalksOfAManyTimesLargerTreeStaysWhereItIs() async throws {
            let folder = try TemporaryDirectory()
            for directory in 0..<Self.directories {
                let path = try folder.directory("image/d\(directory)")
                for number in 0..<Self.filesPerDirectory {
                    let file = open("\(path)/f\(number)", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
                    try #require(file >= 0)
                    close(file)
                }
            }
            let path = try folder.directory("image/large") + "/data"
            let sparse = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
            try #require(sparse >= 0 && ftruncate(sparse, Self.largeBytes) == 0)
            close(sparse)
            let main = try await Ganesha.start(directory: folder.path("image"))
            let proxy = try await RowctlProcess.start([
                "serve", main.export.url, "--session", "walk", "--state",
                try folder.directory("state"), "--cache-size", "4G",
            ])
            let idle = try ProcessMemory.residentBytes(of: proxy.processID)
            var after: [Int] = []
            for _ in 1...2 {
                let start = ContinuousClock.now
                let found = try await walk(proxy.export)
                #expect(found == Self.directories * Self.filesPerDirectory + 1)
                after.append(try ProcessMemory.residentBytes(of: proxy.processID))
                print("walk of \(found) files: \(ContinuousClock.now - start)")
            }
            print("rowctl's memory, MiB: idle \(idle >> 20), walked \(after.map { $0 >> 20 })")
            #expect(after[1] <= after[0] + after[0] / 10)
            // 32,768 nodes of some 500 bytes, the databases' page caches and what malloc keeps.
            #expect(after[1] - idle < 64 << 20)
            // And what the cache has on its way to the disk.
            let most = try await readThrough(proxy)
            print("at most \(most >> 20) while \(Self.largeBytes >> 30) GiB were read")
            #expect(most - idle < 96 << 20)
            try await proxy.terminate()
            try await main.stop()
        }

        /// Reads the large file as a client does that reads ahead.
        /// - Returns: the most memory that the process took.
        private func readThrough(_ proxy: RowctlProcess) async throws -> Int {
            let client = try await NFSClient.connect(NFSURL(proxy.export.url))
            let directory = try await client.object("large", in: client.rootHandle)
            let file = try await client.object("data", in: directory)
            var most = 0
            for start in stride(from: 0, to: Self.largeBytes, by: 8 << 20) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for part in 0..<8 {
                        group.addTask {
                            let (result, data) = try await client.read(
                                file, offset: UInt64(start + part << 20), count: 1 << 20)
                            #expect(result.status == .ok && data.readableBytes == 1 << 20)
                        }
                    }
                    try await group.waitForAll()
                }
                most = max(most, try ProcessMemory.residentBytes(of: proxy.processID))
            }
            await client.close()
            return most
        }

        /// Lists every directory and asks for the attributes of every file, as find(1) and stat(1) do.
        /// - Returns: how many files there were.
        private func walk(_ export: NFSExport) async throws -> Int {
            let client = try await NFSClient.connect(NFSURL(export.url))
            var found = 0
            for entry in try await entries(of: client.rootHandle, client) {
                let directory = try await client.object(entry, in: client.rootHandle)
                let names = try await entries(of: directory, client)
                found += try await withThrowingTaskGroup(of: Bool.self) { group in
                    for name in names {
                        group.addTask {
                            let file = try await client.object(name, in: directory)
                            return try await client.getattr(file).status == .ok
                        }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
            }
            await client.close()
            return found
        }

        private func entries(
            of directory: NFS3.FileHandle, _ client: NFSClient
        ) async throws -> [String] {
            var listing = Listing(client: client, directory: directory, procedure: .readdirplus)
            var names: [String] = []
            while !listing.isAtEnd { names += try await listing.next() }
            return names.filter { $0 != "." && $0 != ".." }
        }
    }
}

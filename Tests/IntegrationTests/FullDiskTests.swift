import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

extension Integration {
    /// A session whose file system has no space left.
    @Suite struct FullDiskTests {
        private static let chunkBytes = 48 << 10
        /// What these take is more than what a session holds back for itself, which comes first.
        private static let removed = 40

        @Test(arguments: ["strict", "relaxed"])
        func removalMakesRoomOnAFullFileSystemAndNothingIsLost(durability: String) async throws {
            let bench = try await Bench(durability: durability)
            let first = try await bench.writeUntilFull("first")
            try #require(first.count > 2 * Self.removed)
            try await bench.expect(first, "when it is full")

            // The first call of the kind is enough, though the one that finds the disk full.
            let victims = first.keys.sorted().prefix(Self.removed)
            try await bench.remove(Array(victims))
            let rest = first.filter { !victims.contains($0.key) }
            let second = try await bench.writeUntilFull("second")
            #expect(second.count >= 4, "\(second.count) \(bench)")
            try await bench.expect(rest.merging(second) { $1 }, "when it is full again")

            // As it is after a crash, with no space to spare.
            try await bench.proxy.kill()
            try await bench.proxy.restart()
            try await bench.expect(rest.merging(second) { $1 }, "after kill -9")
            let others = rest.keys.sorted().prefix(Self.removed)
            try await bench.remove(Array(others))
            let left = rest.merging(second) { $1 }.filter { !others.contains($0.key) }
            let third = try await bench.writeUntilFull("third")
            #expect(third.count >= 4, "\(third.count) \(bench)")
            try await bench.expect(left.merging(third) { $1 }, "in the end")
            try await bench.finish()
        }

        @Test(arguments: ["strict", "relaxed"], [true, false])
        func removalIsCommittedWhereNothingElseCanBe(
            durability: String, removesFirst: Bool
        ) async throws {
            let bench = try await Bench(durability: durability)
            let file = [UInt8](repeating: 7, count: Self.chunkBytes)
            for name in ["one", "two", "three"] {
                #expect(try await bench.write(name, file) == .ok)
            }
            try bench.disk.fill()
            if removesFirst { try await bench.remove(["one"]) }
            // The space that the session holds back is not for these.
            var refused: NFS3.Status?
            for number in 0..<20 where refused == nil {
                let status = try await bench.create("new\(number)")
                if status != .ok { refused = status }
            }
            #expect(refused == .nospc)
            let names = try await bench.names()
            try await bench.expect(["two": file, "three": file], "when it is full")
            try await bench.remove(["two"])
            #expect(try await bench.names() == names.subtracting(["two"]))

            try await bench.proxy.kill()
            try await bench.proxy.restart()
            #expect(try await bench.names() == names.subtracting(["two"]))
            try await bench.remove(["three"])
            try bench.disk.unfill()
            #expect(try await bench.write("later", file) == .ok)
            try await bench.expect(["later": file], "in the end")
            try await bench.finish()
        }

        /// A session of an image with one file, on a disk of its own.
        private struct Bench: CustomStringConvertible {
            let folder: TemporaryDirectory
            let disk: SmallDisk
            let proxy: RowctlProcess
            let client: NFSClient
            let seed = Seed()
            var description: String { "\(proxy.errors) \(seed)" }

            init(durability: String) async throws {
                folder = try TemporaryDirectory()
                _ = try folder.directory("image")
                _ = try folder.file("image/main", "of main\n")
                disk = try await SmallDisk.make(bytes: 12 << 20)
                proxy = try await RowctlProcess.start(
                    [
                        "serve", folder.path("image"), "--session", "full", "--state",
                        "\(disk.path)/state", "--durability", durability,
                    ], by: disk.wrapper)
                client = try await NFSClient.connect(NFSURL(proxy.export.url))
                // Known from here on: to learn of names takes space, too.
                _ = try await names()
            }

            /// Makes files until there is no space; in turns by stable WRITEs and by COMMIT.
            /// - Returns: what was acknowledged whole.
            func writeUntilFull(_ prefix: String) async throws -> [String: [UInt8]] {
                var generator = seed.makeGenerator()
                var written: [String: [UInt8]] = [:]
                while true {
                    let name = "\(prefix)\(1000 + written.count)"
                    let words = (0..<FullDiskTests.chunkBytes / 8).map { _ in generator.next() }
                    let bytes = words.withUnsafeBytes { [UInt8]($0) }
                    let status = try await write(
                        name, bytes, isStable: written.count.isMultiple(of: 2))
                    guard status == .ok else {
                        #expect(status == .nospc, "\(self)")
                        // What is there of it was not acknowledged.
                        _ = try await client.remove(NFS3.Filename(name), in: client.rootHandle)
                        return written
                    }
                    written[name] = bytes
                }
            }

            func create(_ name: String) async throws -> NFS3.Status {
                try await client.create(
                    NFS3.Filename(name), in: client.rootHandle,
                    .guarded(NFS3.SetAttributes(mode: 0o644))
                ).status
            }

            /// - Returns: the first status that is not OK.
            func write(
                _ name: String, _ bytes: [UInt8], isStable: Bool = true
            ) async throws -> NFS3.Status {
                let made = try await create(name)
                guard made == .ok else { return made }
                let file = try await client.object(name, in: client.rootHandle)
                let result = try await client.write(
                    file, offset: 0, data: ByteBuffer(bytes: bytes),
                    stable: isStable ? .fileSync : .unstable)
                guard case .ok(let written) = result, !isStable else { return result.status }
                let commit = try await client.commit(file)
                guard case .ok(let committed) = commit else { return commit.status }
                return committed.verifier == written.verifier ? .ok : .nospc
            }

            func remove(_ names: [String]) async throws {
                for name in names {
                    let result = try await client.remove(
                        NFS3.Filename(name), in: client.rootHandle)
                    #expect(result.status == .ok, "removing \(name): \(self)")
                }
            }

            func names() async throws -> Set<String> {
                var listing = Listing(
                    client: client, directory: client.rootHandle, procedure: .readdirplus)
                var names: [String] = []
                while !listing.isAtEnd { names += try await listing.next() }
                #expect(Set(names).count == names.count)
                return Set(names)
            }

            /// Nothing else of the test's is there, and main's file is.
            func expect(_ files: [String: [UInt8]], _ comment: String) async throws {
                for (name, bytes) in files {
                    let file = try await client.object(name, in: client.rootHandle)
                    let (result, data) = try await client.read(file, offset: 0, count: 1 << 20)
                    #expect(result.status == .ok, "\(name) \(comment): \(self)")
                    let isRight = [UInt8](buffer: data) == bytes
                    #expect(isRight, "\(name) \(comment): \(self)")
                }
                let main = try await client.object("main", in: client.rootHandle)
                let (_, data) = try await client.read(main, offset: 0, count: 100)
                #expect(String(buffer: data) == "of main\n", "\(comment): \(self)")
            }

            func finish() async throws {
                await client.close()
                #expect(try await proxy.terminate() == .exited(0), "\(self)")
                let words =
                    disk.wrapper + [try ProjectPaths.builtProgram("rowctl"), "fsck", "full"]
                let check = try await Tool.result(
                    of: words[0], words.dropFirst() + ["--state", "\(disk.path)/state"])
                #expect(check.output == "session full: clean\n", "\(check)")
            }
        }
    }
}

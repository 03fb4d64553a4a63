import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Synchronization
import Testing

extension Integration {
    /// A reader and a writer in a session of an image on two servers, of which always one fails.
    @Suite struct FailoverTests {
        private static let rounds = isLongRun ? 20 : 4
        private static let fileBytes = isLongRun ? 1 << 30 : 256 << 20
        private static let otherBytes = 16 << 20
        private static let mainTimeoutSeconds = 10
        /// What is read between two failures, at least.
        private static let progressBytes = 8 << 20

        private enum Failure: String {
            case kill, stall
        }

        @Test func noClientNoticesServersThatDieFallSilentAndComeBack() async throws {
            let seed = Seed()
            let pattern = Pattern(seed)
            let folder = try TemporaryDirectory()
            let first = try folder.directory("first")
            try pattern.write(Self.fileBytes, to: "\(first)/file")
            try pattern.write(Self.otherBytes, to: "\(first)/other")
            let second = folder.path("second")
            try await runTool("cp", ["-a", first, second])
            let before = try TreeHash(of: first, modificationTimes: true)
            let servers = [
                try await Ganesha.start(directory: first),
                try await Ganesha.start(directory: second),
            ]
            let state = try folder.directory("state")
            let proxy = try await RowctlProcess.start([
                "serve", servers.map(\.export.url).joined(separator: ","), "--session", "s",
                "--state", state, "--main-timeout", "\(Self.mainTimeoutSeconds)",
                // Too little for the file: main is read all the time.
                "--cache-size", "64M",
            ])

            let progress = Progress()
            async let reading: Void = Self.read(proxy.export.url, pattern, progress)
            async let writing: Void = Self.write(proxy.export.url, pattern, seed, progress)
            do {
                try await Self.fail(servers, state, progress)
            } catch {
                progress.isOver.store(true, ordering: .relaxed)
                throw error
            }
            progress.isOver.store(true, ordering: .relaxed)
            try await reading
            try await writing
            let longest = progress.longest.withLock { $0 }
            print(
                "fail-over: \(progress.bytesRead.load(ordering: .relaxed) >> 20) MiB read,",
                "\(progress.writes.load(ordering: .relaxed)) writes, longest stall \(longest),",
                "\(seed)")
            #expect(longest < .seconds(Self.mainTimeoutSeconds), "\(seed)")
            let status = try await SessionStatus.read(session: "s", state: state)
            #expect(
                !status.events.contains { $0.message.contains("changed under us") },
                "\(status.events.map(\.message))")
            try await proxy.terminate()
            for server in servers { try await server.stop() }
            for directory in [first, second] {
                let after = try TreeHash(of: directory, modificationTimes: true)
                #expect(after.differences(from: before) == [], "\(seed)")
            }
        }

        private final class Progress: Sendable {
            let isOver = Atomic(false)
            let bytesRead = Atomic(0)
            let writes = Atomic(0)
            let longest = Mutex(Duration.zero)

            /// Makes a call and notes how long it took.
            func time<Value>(_ call: () async throws -> Value) async throws -> Value {
                let start = ContinuousClock.now
                let value = try await call()
                let time = ContinuousClock.now - start
                longest.withLock { $0 = max($0, time) }
                return value
            }
        }

        // MARK: Failures

        /// Ends or silences the server that is asked, and brings it back: each by each in turn.
        private static func fail(
            _ servers: [Ganesha], _ state: String, _ progress: Progress
        ) async throws {
            var failures: [String: Int] = [:]
            try await wait(state, "both servers") { $0.allSatisfy { $0.state == "connected" } }
            for _ in 0..<rounds {
                for failure in [Failure.kill, .kill, .stall, .stall] {
                    try await proceed(progress)
                    let mains = try await SessionStatus.read(session: "s", state: state).main
                    let victim = try #require(mains.firstIndex { $0.active })
                    failures["\(failure) of \(victim)", default: 0] += 1
                    switch failure {
                    case .kill: try await servers[victim].kill()
                    case .stall: servers[victim].pause()
                    }
                    try await wait(state, "another server") {
                        !$0[victim].active && $0[1 - victim].active
                    }
                    try await proceed(progress)
                    switch failure {
                    case .kill: try await servers[victim].restart()
                    case .stall: servers[victim].resume()
                    }
                    try await wait(state, "return") { $0[victim].state == "connected" }
                }
            }
            print("fail-over: \(failures.sorted { $0.key < $1.key })")
            #expect(failures.count == 4)
        }

        private static func wait(
            _ state: String, _ purpose: String,
            until isSo: ([SessionStatus.Main]) -> Bool
        ) async throws {
            try await poll(for: purpose, within: .seconds(60)) {
                let mains = try await SessionStatus.read(session: "s", state: state).main
                return isSo(mains) ? () : nil
            }
        }

        private static func proceed(_ progress: Progress) async throws {
            let start = progress.bytesRead.load(ordering: .relaxed)
            try await poll(for: "progress of the reader", within: .seconds(60)) {
                let bytes = progress.bytesRead.load(ordering: .relaxed)
                return bytes - start >= progressBytes ? () : nil
            }
        }

        // MARK: Clients

        private static func client(_ url: String) async throws -> NFSClient {
            var options = NFSClient.Options()
            options.timeout = .seconds(60)
            return try await NFSClient.connect(NFSURL(url), options: options)
        }

        /// Reads the file from its start to its end, again and again.
        private static func read(
            _ url: String, _ pattern: Pattern, _ progress: Progress
        ) async throws {
            let client = try await client(url)
            let file = try await client.object("file", in: client.rootHandle)
            let count = 1 << 18
            var offset = 0
            while !progress.isOver.load(ordering: .relaxed) {
                let start = offset
                let (result, data) = try await progress.time {
                    try await client.read(file, offset: UInt64(start), count: UInt32(count))
                }
                guard result.status == .ok, data.readableBytes == count else {
                    Issue.record("READ at \(offset): \(result.status), \(data.readableBytes) bytes")
                    progress.isOver.store(true, ordering: .relaxed)
                    return
                }
                guard pattern.isEqual(data, at: offset) else {
                    Issue.record("wrong bytes at \(offset)")
                    progress.isOver.store(true, ordering: .relaxed)
                    return
                }
                progress.bytesRead.add(count, ordering: .relaxed)
                offset = (offset + count) % fileBytes
            }
            await client.close()
        }

        /// Writes into another file of the image and reads what is the image's and what is not.
        private static func write(
            _ url: String, _ pattern: Pattern, _ seed: Seed, _ progress: Progress
        ) async throws {
            let client = try await client(url)
            let file = try await client.object("other", in: client.rootHandle)
            var model = pattern.bytes(otherBytes)
            var random = seed.makeGenerator()
            while !progress.isOver.load(ordering: .relaxed) {
                let start = Int.random(in: 0..<otherBytes - 9000, using: &random)
                let bytes = [UInt8](
                    repeating: .random(in: 0 ... .max, using: &random),
                    count: .random(in: 1...9000, using: &random))
                let written = try await progress.time {
                    try await client.write(
                        file, offset: UInt64(start), data: ByteBuffer(bytes: bytes),
                        stable: .fileSync)
                }
                #expect(written.status == .ok)
                model.replaceSubrange(start..<start + bytes.count, with: bytes)
                let look = Int.random(in: 0..<otherBytes - (1 << 16), using: &random)
                let (result, data) = try await progress.time {
                    try await client.read(file, offset: UInt64(look), count: 1 << 16)
                }
                guard result.status == .ok,
                    data.readableBytesView.elementsEqual(model[look..<look + (1 << 16)])
                else {
                    Issue.record(
                        "what was written is not there: \(look), \(result.status), \(seed)")
                    return
                }
                progress.writes.add(1, ordering: .relaxed)
            }
            await client.close()
        }
    }

    /// What is in a file at each place: another part of one noise in each MiB.
    struct Pattern: Sendable {
        private static let blockBytes = 1 << 20
        private let noise: [UInt8]

        init(_ seed: Seed) {
            var generator = seed.makeGenerator()
            let words = (0..<Self.blockBytes / 8).map { _ in generator.next() }
            let block = words.withUnsafeBytes { Array($0) }
            noise = block + block
        }

        private func start(_ block: Int) -> Int { block * 8191 % Self.blockBytes }

        func write(_ count: Int, to path: String) throws {
            try Data().write(to: URL(fileURLWithPath: path))
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            for block in 0..<count / Self.blockBytes {
                try file.write(contentsOf: Data(noise[start(block)...].prefix(Self.blockBytes)))
            }
            try file.close()
        }

        func bytes(_ count: Int) -> [UInt8] {
            (0..<count / Self.blockBytes).flatMap { noise[start($0)...].prefix(Self.blockBytes) }
        }

        /// - Parameter offset: the bytes do not reach over the end of its MiB.
        func isEqual(_ data: ByteBuffer, at offset: Int) -> Bool {
            let first = start(offset / Self.blockBytes) + offset % Self.blockBytes
            return data.withUnsafeReadableBytes { data in
                noise.withUnsafeBytes { noise in
                    guard first + data.count <= noise.count, let wanted = noise.baseAddress,
                        let found = data.baseAddress
                    else { return data.isEmpty }
                    return memcmp(found, wanted + first, data.count) == 0
                }
            }
        }
    }
}

import Foundation
import Glibc
import NFSClient
import ROWTestKit
import Synchronization
import Testing

/// Servers, clients and what is done to them.
final class Soak: Sendable, CustomStringConvertible {
    /// How long it lasts; `make soak` says longer.
    static let seconds =
        ProcessInfo.processInfo.environment["ROWFS_SOAK_SECONDS"].flatMap { Int($0) } ?? 20
    /// Of main's data less than half.
    static let cacheBytes = 48 << 20

    private static let dataFiles = 8
    private static let dataBytes = 16 << 20
    private static let workers = 3
    private static let listedNames = 500
    /// Between two snapshots, and for the first of them two restarts.
    private static let stepCount = 40
    private static let stepsWithRestart = 16
    private static let snapshotsKept = 2

    let seed = Seed()
    private let folder: TemporaryDirectory
    /// Of the client that uses libnfs; the other's has the same name.
    private let programs: TemporaryDirectory
    private let image: String
    private let state: String
    private let before: TreeHash
    private let main: Ganesha
    private let proxy: RowctlProcess
    private let relay: FaultyTransport
    private let (finishing, finished) = AsyncStream<Void>.makeStream()
    /// Counts when the proxy goes, and when it is back: odd while it is away.
    private let turns = Mutex(0)

    var description: String { "\(proxy.errors.suffix(2000)) \(seed)" }

    init() async throws {
        folder = try TemporaryDirectory("rowfs-soak")
        programs = try TemporaryDirectory("rowfs-soak")
        image = try folder.directory("image")
        state = try folder.directory("state")
        try Self.fill(folder, seed.makeGenerator())
        before = try TreeHash(of: image, modificationTimes: true)
        main = try await Ganesha.start(directory: image)
        proxy = try await RowctlProcess.start([
            "serve", main.export.url, "--session", "soak", "--state", state, "--cache-size",
            "\(Self.cacheBytes >> 20)M",
        ])
        // Takes connections while the proxy is away: libnfs does not bear being refused for long.
        relay = try await FaultyTransport.start(target: proxy.export.port)
        try await relay.setPatient(true)
    }

    private static func fill(_ folder: TemporaryDirectory, _ start: Seed.Generator) throws {
        var generator = start
        for client in ["kernel", "libnfs"] {
            for worker in 0..<workers {
                let directory = try folder.directory("image/\(client)/worker\(worker)")
                for index in 0..<CrashModel.mainFiles {
                    try Data(CrashModel.mainFile(index)).write(
                        to: URL(fileURLWithPath: "\(directory)/main\(index)"))
                }
            }
        }
        _ = try folder.directory("image/data")
        for file in 0..<dataFiles {
            let words = (0..<dataBytes / 8).map { _ in generator.next() }
            let bytes = words.withUnsafeBytes { Data($0) }
            try bytes.write(to: URL(fileURLWithPath: folder.path("image/data/f\(file)")))
        }
        _ = try folder.directory("image/names")
        for name in 0..<listedNames { _ = try folder.file("image/names/entry.\(name)", "") }
    }

    // MARK: Clients

    /// The kernel's client: writers, and readers of all that main has.
    func startGuest() async throws -> Guest.Running {
        let writer = try await CProgram.build("crash-writer", flags: ["-static"], in: folder)
        let reader = try await CProgram.build("guest-io", flags: ["-static"], in: folder)
        var sums: [String] = []
        for file in 0..<Self.dataFiles {
            let sum = try await runTool(reader, ["checksum", "\(image)/data/f\(file)"])
            sums.append(sum.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        let finishing = finishing
        return try Guest(limit: .seconds(Self.seconds + 400)).start(
            """
            nfs_mount \(mountWords("")) /mnt actimeo=1 || fail "no mount"
            crash-writer /mnt/kernel \(Self.workers) \(seed.value) & writer=$!
            read_main() {
                local file=0 sum
                for sum in \(sums.joined(separator: " ")); do
                    [ "$(guest-io checksum /mnt/data/f$file)" = "$sum" ] || return 1
                    file=$((file + 1))
                    [ ! -e /stop ] || return 0
                done
                [ "$(ls /mnt/names | wc -l)" = \(Self.listedNames) ] || return 2
            }
            ( rounds=0
            while [ ! -e /stop ]; do
                read_main || fail "main was read wrong: $?"
                rounds=$((rounds + 1))
                echo 3 >/proc/sys/vm/drop_caches
            done
            echo "main was read, rounds: $rounds" ) & reader=$!
            host finished
            touch /stop
            wait $reader || fail "the reader failed"
            kill $writer
            wait $writer || fail "the writer failed"
            umount /mnt || fail "no unmount"
            """, programs: [writer, reader],
            hostCommands: [
                "finished": { _ in
                    for await _ in finishing {}
                    return ""
                }
            ])
    }

    func startLibnfs() async throws -> ChildProcess {
        let program = try await CProgram.build(
            "crash-writer", flags: ["-DLIBNFS", "-lnfs"], in: programs)
        return try ChildProcess(program, [url("/libnfs"), "\(Self.workers)", "\(seed.value + 1)"])
    }

    /// Reads files of main by nfs-cat until the task is cancelled.
    /// - Returns: how many.
    func readMain() async throws -> Int {
        var generator = seed.makeGenerator()
        var count = 0
        while !Task.isCancelled {
            let file = Int.random(in: 0..<Self.dataFiles, using: &generator)
            let before = turns.withLock(\.self)
            let reader = try ChildProcess("nfs-cat", [url("/data/f\(file)")])
            let status = try await Task { try await reader.exit(within: .seconds(120)) }.value
            // libnfs comes back to what it has mounted, and gives up a mount whose connection is cut.
            let wasAway = before % 2 == 1 || before != turns.withLock(\.self)
            if wasAway, reader.errors.contains("Failed to mount") { continue }
            #expect(status == .exited(0), "\(reader.errors) \(self)")
            let isRight = FileManager.default.contentsEqual(
                atPath: reader.outputPath, andPath: "\(image)/data/f\(file)")
            #expect(isRight, "f\(file) \(self)")
            count += 1
        }
        return count
    }

    private func mountWords(_ directory: String) -> String {
        NFSExport(
            port: relay.port, mountPort: relay.port, path: proxy.export.path + directory
        ).mountWords
    }

    private func url(_ path: String) -> String {
        "nfs://127.0.0.1\(proxy.export.path)\(path)?nfsport=\(relay.port)"
            + "&mountport=\(relay.port)&autoreconnect=-1"
    }

    // MARK: Operators

    /// Takes and drops snapshots all the time, and restarts the proxy at first.
    func operate(while clients: [ChildProcess]) async throws {
        for step in 0..<Self.stepCount {
            try await Task.sleep(for: .seconds(Self.seconds) / Self.stepCount)
            for client in clients { try #require(client.isRunning, "\(client.name) \(self)") }
            try await RowctlProcess.run(["snapshot", "soak", "s\(step)", "--state", state])
            if step >= Self.snapshotsKept {
                try await RowctlProcess.run([
                    "snapshots", "soak", "--remove", "s\(step - Self.snapshotsKept)", "--state",
                    state,
                ])
            }
            guard step < Self.stepsWithRestart else { continue }
            turns.withLock { $0 += 1 }
            if step % 2 == 0 { try await proxy.terminate() } else { try await proxy.kill() }
            try await proxy.restart()
            turns.withLock { $0 += 1 }
        }
    }

    /// Has the kernel's client end.
    func finish() { finished.finish() }

    /// Looks at the proxy every now and then until the task is cancelled.
    func sample() async throws -> SoakSamples {
        var samples = SoakSamples()
        while !Task.isCancelled {
            samples.add(of: proxy.processID, state: state, cacheBytes: try cacheBytes())
            try? await Task.sleep(for: .seconds(Self.seconds) / 600)
        }
        return samples
    }

    /// What the cache takes of the disk.
    private func cacheBytes() throws -> Int {
        var bytes = 0
        let files = FileManager.default.enumerator(atPath: "\(state)/images")
        while let name = files?.nextObject() as? String {
            guard name.contains("/blocks/") else { continue }
            var status = stat()
            // It may be gone since it was listed.
            guard lstat("\(state)/images/\(name)", &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFREG { bytes += Int(status.st_blocks) * 512 }
        }
        return bytes
    }

    // MARK: The end

    /// - Parameter logs: of the writers, by the directory in which they worked.
    func expectRightBytes(_ logs: [String: String]) async throws {
        try await relay.stop()
        // Nothing was in memory alone.
        try await proxy.kill()
        try await proxy.restart()
        for (directory, text) in logs {
            let log = try CrashLog(text)
            print("\(directory): \(log.acknowledged) changes acknowledged")
            #expect(log.workers.count == Self.workers, "\(self)")
            let place = NFSExport(
                port: proxy.export.port, mountPort: proxy.export.mountPort,
                path: "\(proxy.export.path)/\(directory)")
            let client = try await NFSClient.connect(NFSURL(place.url))
            for (number, worker) in log.workers {
                let tree = try await CrashTree(of: "worker\(number)", by: client)
                let differences = worker.states.map { tree.differences(from: $0) }
                let least = differences.min { $0.count < $1.count } ?? []
                #expect(least == [], "\(directory) pending \(worker.pending ?? []) \(self)")
            }
            await client.close()
        }
    }

    /// The session is as it should be, and main as it was.
    func expectCleanEnd() async throws {
        try await proxy.terminate()
        let check = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"), ["fsck", "soak", "--state", state])
        #expect(check.output.hasSuffix("session soak: clean\n"), "\(check) \(self)")
        try await main.stop()
        let after = try TreeHash(of: image, modificationTimes: true)
        #expect(after.differences(from: before) == [], "\(self)")
    }
}

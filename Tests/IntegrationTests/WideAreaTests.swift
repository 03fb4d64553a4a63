import Foundation
import ROWTestKit
import Synchronization
import Testing

extension Integration {
    /// A main far away: what the kernel's client does on it directly, through a proxy that knows nothing
    /// yet, and through one that has been started again since. Calls at main are what is asserted; times are
    /// printed, and asserted only in the long form, where they are long.
    @Suite struct WideAreaTests {
        private static let listing = [
            "find": "/usr/bin/find . | wc -l", "ls": "/usr/bin/ls -lR | wc -c",
        ]
        /// The manifest, which a direct mount shows, left out.
        private static let sealedListing = [
            "find": "/usr/bin/find . -path ./.rowfs -prune -o -print | wc -l",
            "ls": "/usr/bin/ls -lR | grep -v rowfs | wc -l",
        ]
        private static let reading = ["tar": "/usr/bin/tar c . | wc -c"]

        @Test func aTreeFarAwayIsListedWithFewCallsAndThenWithNone() async throws {
            try await measure(Self.listing, files: 150, milliseconds: 23).expectFewCalls()
        }

        @Test func aTreeFarAwayIsReadWithFewCallsAndThenWithNone() async throws {
            try await measure(Self.reading, files: 150, milliseconds: 23).expectFewCalls()
        }

        /// Names, attributes and links come out of the manifest, of which the pieces are READ.
        @Test func aSealedTreeFarAwayIsListedByReadingItsManifest() async throws {
            let runs = try await measure(
                Self.sealedListing, files: isLongRun ? 2000 : 150, milliseconds: 68,
                isSealed: true)
            runs.expectFewCalls()
            for command in runs.commands {
                #expect(try Set(runs[command, "cold"].calls.keys).isSubset(of: ["READ"]))
            }
        }

        /// Minutes of waiting for the line: `make test-long` runs this one and the next.
        @Test(arguments: [23, 68])
        func aLargeTreeFarAwayIsListedWithFewCallsAndThenWithNone(milliseconds: Int) async throws {
            try await measure(Self.listing, files: 2000, milliseconds: milliseconds)
                .expectFewCalls()
        }

        @Test(arguments: [23, 68])
        func aLargeTreeFarAwayIsReadManyTimesFaster(milliseconds: Int) async throws {
            let runs = try await measure(Self.reading, files: 2000, milliseconds: milliseconds)
            runs.expectFewCalls()
            if milliseconds == 68 {
                #expect(try runs.ratio("tar", "direct", to: "cold") >= 5)
                #expect(try runs.ratio("tar", "direct", to: "warm") >= 50)
            }
        }

        @Test func aLargeFileFarAwayIsReadAtTheRateOfTheLine() async throws {
            let bytes = 256 << 20
            let line = 100_000_000
            let folder = try TemporaryDirectory()
            let image = try folder.directory("image")
            try Pattern(Seed(7)).write(bytes, to: "\(image)/file")
            let main = try await FarMain.start(image, milliseconds: 68, bitsPerSecond: line)
            let gateway = Gateway(main: main.export, folder: folder)
            let result = try await Guest(limit: .seconds(300)).run(
                """
                \(Self.clock)
                proxy=$(host start) || fail "$proxy"
                nfs_mount $proxy /mnt || fail "no mount"
                began=$(now)
                sum=$(md5sum </mnt/file) || fail "not read"
                echo "$(($(now) - began)) $sum"
                """,
                hostCommands: ["start": { _ in try await gateway.start() }])
            #expect(result.exitCode == 0, "\(result)")
            let words = result.output.split(whereSeparator: \.isWhitespace)
            let seconds = try #require(words.first.flatMap { Double($0) }) / 100
            let sum = try await runTool("md5sum", ["\(image)/file"])
            #expect(words[1] == sum.prefix { $0 != " " })
            let fromMain = try await gateway.status.bytes.fromMain
            #expect(fromMain == bytes)
            let share = Double(bytes * 8) / seconds / Double(line)
            print("256 MiB, 68 ms, 100 Mbit/s: \(seconds) s, \(share) of the line")
            #expect(share >= 0.9)
            try await gateway.stop()
            try await main.stop()
        }

        @Test func aLargeTreeFarAwayIsReadInTheTimeOfTheLineWithAProfile() async throws {
            let line = 100_000_000
            let folder = try TemporaryDirectory()
            let image = try folder.directory("image")
            _ = try WideAreaTree(at: image, files: 2000)
            let main = try await FarMain.start(image, milliseconds: 68, bitsPerSecond: line)
            let gateway = Gateway(main: main.export, folder: folder)
            let profile = folder.path("profile")
            let result = try await Guest(limit: .seconds(300)).run(
                """
                \(Self.clock)
                # read WAY: how long it takes from the mount on, and the checksum of what was read.
                read_all() {
                    proxy=$(host $1) || fail "$proxy"
                    began=$(now)
                    nfs_mount $proxy /mnt || fail "no mount"
                    sum=$(tar c -C /mnt . | md5sum) || fail "not read"
                    echo "$1 $(($(now) - began)) ${sum%% *}"
                    umount /mnt
                }
                for way in recorded warm profiled; do read_all $way; done
                """,
                programs: ["tar"],
                hostCommands: [
                    "recorded": { _ in try await gateway.start(["--record", profile]) },
                    "warm": { _ in try await gateway.restart() },
                    "profiled": { _ in try await gateway.start(["--profile", profile]) },
                ])
            #expect(result.exitCode == 0, "\(result)")
            var seconds: [String: Double] = [:]
            var sums: Set<String> = []
            for line in result.output.split(separator: "\n") {
                let words = line.split(separator: " ").map(String.init)
                guard words.count == 3, let time = Double(words[1]) else { continue }
                seconds[words[0]] = time / 100
                sums.insert(words[2])
            }
            #expect(sums.count == 1)
            let bytes = try await gateway.status.bytes.fromMain
            let needed = try #require(seconds["warm"]) + Double(bytes * 8) / Double(line)
            let ratio = try #require(seconds["profiled"]) / needed
            print(
                "tar of 2000 files, \(bytes) bytes, 68 ms, 100 Mbit/s: \(seconds), with a profile",
                "\(ratio) x (warm + bytes / bandwidth)")
            #expect(ratio <= 1.3)
            try await gateway.stop()
            try await main.stop()
        }

        private static let clock =
            #"now() { read -r up rest </proc/uptime; echo "${up%.*}${up#*.}"; }"#

        /// Runs each command in the three ways; prints and returns what came of it.
        private func measure(
            _ commands: [String: String], files: Int, milliseconds: Int, isSealed: Bool = false
        ) async throws -> Runs {
            let folder = try TemporaryDirectory()
            let tree = try WideAreaTree(at: try folder.directory("image"), files: files)
            if isSealed { try await RowctlProcess.run(["image", "seal", tree.path]) }
            let main = try await FarMain.start(
                tree.path, milliseconds: milliseconds, bitsPerSecond: 500_000_000)
            let gateway = Gateway(main: main.export, folder: folder)
            let result = try await Guest(limit: .seconds(1100)).run(
                Self.script(main.export, commands), programs: ["find", "ls", "tar"],
                hostCommands: [
                    "cold": { _ in try await gateway.start() },
                    "warm": { _ in try await gateway.restart() },
                    "calls": { _ in try await gateway.calls() },
                ])
            #expect(result.exitCode == 0, "\(result)")
            try await gateway.stop()
            try await main.stop()
            let runs = try Runs(result.output)
            print("\(files) files, round trip \(milliseconds) ms:\n\(runs)")
            for command in runs.commands {
                let printed = try Runs.ways.map { try runs[command, $0].output }
                #expect(Set(printed).count == 1, "\(command): \(printed)")
                if command == "find" { #expect(printed.first == "\(tree.objects)") }
            }
            return runs
        }

        /// Prints a line for each run: command, way, hundredths of a second, what it printed, calls at main.
        private static func script(
            _ far: NFSExport, _ commands: [String: String]
        ) -> String {
            """
            # Calls of all programs on the transport, those for access control lists among them.
            sent() { awk '$1 == "device" { here = ($5 == "/mnt") } here && $1 == "xprt:" { print $8 }' \
                /proc/self/mountstats; }
            \(clock)
            # measure COMMAND WAY EXPORT PORT MOUNTPORT LINE; the mount is a new one.
            measure() {
                nfs_mount "$3" "$4" "$5" /mnt || fail "no mount"
                began=$(now)
                printed=$(cd /mnt && eval "$6") || fail "$1 $2"
                ended=$(now)
                if [ "$2" = direct ]; then
                    calls="SENT $(sent) $(rpc_counts /mnt | tr '\\n' ' ')"
                else
                    calls=$(host calls) || fail "$calls"
                fi
                umount /mnt || fail "no unmount"
                echo "run $1 $2 $((ended - began)) ${printed:-none} $calls"
            }
            three_ways() {
                measure "$1" direct \(far.mountWords) "$2"
                proxy=$(host cold) || fail "$proxy"
                measure "$1" cold $proxy "$2"
                proxy=$(host warm) || fail "$proxy"
                measure "$1" warm $proxy "$2"
            }
            \(commands.sorted { $0.key < $1.key }.map { "three_ways \($0.key) '\($0.value)'" }
                .joined(separator: "\n"))
            """
        }
    }
}

/// A server at the other end of a long line.
private struct FarMain: Sendable {
    let export: NFSExport
    private let server: Ganesha
    private let line: FaultyTransport

    static func start(
        _ directory: String, milliseconds: Int, bitsPerSecond: Int
    ) async throws -> FarMain {
        let server = try await Ganesha.start(directory: directory)
        let line = try await FaultyTransport.start(target: server.export.port)
        try await line.setLink(
            roundTrip: .milliseconds(milliseconds), bitsPerSecond: bitsPerSecond)
        // Mounting goes past the line: it is not what is measured.
        let export = NFSExport(
            port: line.port, mountPort: server.export.mountPort, path: server.export.path)
        return FarMain(export: export, server: server, line: line)
    }

    func stop() async throws {
        try await line.stop()
        try await server.stop()
    }
}

/// A proxy on this side of the line: a new one for each command.
private final class Gateway: Sendable {
    private let main: NFSExport
    private let folder: TemporaryDirectory
    private let running = Mutex<(proxy: RowctlProcess, state: String)?>(nil)

    init(main: NFSExport, folder: TemporaryDirectory) {
        self.main = main
        self.folder = folder
    }

    private var current: (proxy: RowctlProcess, state: String) {
        get throws {
            guard let running = running.withLock({ $0 }) else { throw NoProxy() }
            return running
        }
    }

    private struct NoProxy: Error {}

    /// Starts one that knows nothing; the words to mount it by.
    func start(_ arguments: [String] = []) async throws -> String {
        try await stop()
        let state = try folder.directory("state-\(UInt64.random(in: 0...UInt64.max))")
        let proxy = try await RowctlProcess.start(
            ["serve", main.url, "--session", "far", "--state", state] + arguments)
        running.withLock { $0 = (proxy, state) }
        return proxy.export.mountWords
    }

    /// Starts it again: it knows what is on its disk, and counts from zero.
    func restart() async throws -> String {
        let (proxy, _) = try current
        try await proxy.terminate()
        try await proxy.restart()
        return proxy.export.mountWords
    }

    /// Calls that it made to main, as `rpc_counts` prints them.
    func calls() async throws -> String {
        try await status.calls.main.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
            .joined(separator: " ")
    }

    var status: SessionStatus {
        get async throws {
            try await SessionStatus.read(session: "far", state: try current.state)
        }
    }

    func stop() async throws {
        try await running.withLock { $0 }?.proxy.terminate()
        running.withLock { $0 = nil }
    }
}

/// What a guest measured.
private struct Runs: CustomStringConvertible {
    static let ways = ["direct", "cold", "warm"]

    struct Run {
        let seconds: Double
        let output: String
        let calls: [String: Int]

        /// Of a mount, what went through its transport.
        var total: Int { calls["SENT"] ?? calls.values.reduce(0, +) }
    }

    struct Missing: Error {
        let run: String
    }

    private var runs: [String: Run] = [:]

    init(_ text: String) throws {
        for line in text.split(separator: "\n") where line.hasPrefix("run ") {
            let words = line.split(separator: " ").map(String.init)
            guard words.count >= 5, let time = Double(words[3]) else { throw Missing(run: text) }
            var calls: [String: Int] = [:]
            for index in stride(from: 5, to: words.count - 1, by: 2) {
                calls[words[index]] = Int(words[index + 1])
            }
            runs["\(words[1]) \(words[2])"] = Run(
                seconds: time / 100, output: words[4], calls: calls)
        }
    }

    subscript(command: String, way: String) -> Run {
        get throws {
            guard let run = runs["\(command) \(way)"] else {
                throw Missing(run: "\(command) \(way)")
            }
            return run
        }
    }

    func ratio(_ command: String, _ way: String, to other: String) throws -> Double {
        // The guest's clock has hundredths.
        try self[command, way].seconds / max(self[command, other].seconds, 0.01)
    }

    var commands: [String] { Set(runs.keys.map { String($0.prefix { $0 != " " }) }).sorted() }

    /// Half of the client's own calls at most while nothing is known, none afterwards.
    func expectFewCalls() {
        for command in commands {
            guard let direct = runs["\(command) direct"], let cold = runs["\(command) cold"],
                let warm = runs["\(command) warm"]
            else {
                Issue.record("\(command) was not run in all ways")
                continue
            }
            #expect(
                cold.total * 2 <= direct.total, "\(command): \(cold.calls), \(direct.calls)")
            let names = warm.calls.filter { $0.key != "READ" }
            #expect(names.isEmpty, "\(command) asked main again: \(names)")
            #expect(warm.calls["READ", default: 0] == 0, "\(command) read from main again")
        }
    }

    var description: String {
        runs.keys.sorted().map { name in
            guard let run = runs[name] else { return name }
            let words = name.split(separator: " ").map(String.init)
            let ratio = try? self.ratio(words[0], "direct", to: words[1])
            let times = ratio.map { String(format: "%.1f", $0) } ?? "?"
            return "  \(name): \(run.seconds) s, \(times) x direct, \(run.total) calls \(run.calls)"
        }.joined(separator: "\n")
    }
}

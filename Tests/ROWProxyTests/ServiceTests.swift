import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWTestKit
import Testing

/// `rowctl serve --config`: what a file says, told to a service manager.
@Suite struct ServiceTests {
    private static let settings = """
        state: STATE
        images:
          golden:
            source: GOLDEN
            listen: 127.0.0.1:PORT
            sessions:
              lab1:
              lab2: {durability: relaxed}
          tools:
            source: TOOLS
            sessions:
              tools: {read-only: yes}
        """

    private final class Bench {
        let folder: TemporaryDirectory
        let service: ChildProcess
        private let manager: ChildProcess
        /// Of the first image.
        private let port = LoopbackPort.free()

        init(
            _ settings: String = ServiceTests.settings, watchdog: Duration? = nil,
            environment: [String: String] = [:]
        ) async throws {
            folder = try TemporaryDirectory("rowfs-service")
            _ = try folder.directory("golden")
            _ = try folder.directory("tools")
            _ = try folder.file("golden/file", "golden")
            _ = try folder.file("tools/file", "tools")
            let socket = folder.path("notify")
            manager = try ChildProcess("python3", ["-uc", Self.managerProgram, socket])
            try await poll(for: "socket of the manager", within: .seconds(20)) {
                FileManager.default.fileExists(atPath: socket) ? () : nil
            }
            var variables = environment
            variables["NOTIFY_SOCKET"] = socket
            if let watchdog {
                variables["WATCHDOG_USEC"] =
                    "\(watchdog.components.attoseconds / 1_000_000_000_000)"
            }
            let file = folder.path("rowfs.yaml")
            try Self.text(settings, folder, port).write(
                toFile: file, atomically: true, encoding: .utf8)
            service = try ChildProcess(
                try ProjectPaths.builtProgram("rowctl"), ["serve", "--config", file],
                environment: variables)
        }

        /// Writes each message on a line of its own.
        private static let managerProgram = """
            import socket, sys
            inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            inbox.bind(sys.argv[1])
            while True: print(inbox.recv(4096).decode().replace("\\n", " "))
            """

        private static func text(
            _ settings: String, _ folder: TemporaryDirectory, _ port: Int
        ) -> String {
            settings.replacing("STATE", with: folder.path("state"))
                .replacing("PORT", with: "\(port)")
                .replacing("GOLDEN", with: folder.path("golden"))
                .replacing("TOOLS", with: folder.path("tools"))
        }

        /// Puts other settings in the file, and has them read.
        func reload(_ settings: String) async throws {
            let count = messages("READY=1").count
            try Self.text(settings, folder, port)
                .write(toFile: folder.path("rowfs.yaml"), atomically: true, encoding: .utf8)
            service.signal(SIGHUP)
            try await wait(for: "READY=1", count: count + 1)
        }

        /// What the manager was told that begins so.
        func messages(_ start: String) -> [String] {
            manager.output.split(separator: "\n").map(String.init).filter { $0.hasPrefix(start) }
        }

        func wait(for start: String, count: Int = 1) async throws {
            try await poll(for: "\(start), \(count) times", within: .seconds(30)) {
                try #require(service.isRunning, "\(service.output) \(service.errors)")
                return messages(start).count >= count ? () : nil
            }
        }

        func waitForOutput(_ words: String) async throws {
            try await poll(for: words, within: .seconds(30)) {
                service.output.contains(words) ? () : nil
            }
        }

        func waitForErrors(_ words: String) async throws {
            try await poll(for: words, within: .seconds(20)) {
                service.errors.contains(words) ? () : nil
            }
        }

        /// Where a session was served last.
        func export(_ session: String) throws -> NFSExport {
            let line = service.output.split(separator: "\n").last {
                $0.hasPrefix("ready: ") && $0.contains(":/\(session) ")
            }
            let words = line?.split { " ,=".contains($0) } ?? []
            let place = words.firstIndex(of: "port").flatMap { Int(words[$0 + 1]) }
            let port = try #require(place, "\(session) \(service.output) \(service.errors)")
            return NFSExport(port: port, mountPort: port, path: "/\(session)")
        }

        /// - Parameter comesBack: when its connection is cut.
        func client(_ session: String, comesBack: Bool = false) async throws -> NFSClient {
            var options = NFSClient.Options()
            if !comesBack { options.connection.reconnection = .never }
            return try await NFSClient.connect(NFSURL(export(session).url), options: options)
        }

        func isServed(_ session: String) async throws -> Bool {
            do {
                let client = try await client(session)
                await client.close()
                return true
            } catch is NFSClientError {
                return false
            }
        }

        func end() async throws {
            #expect(try await service.terminate() == .exited(0), "\(service.errors)")
            #expect(messages("STOPPING=1").count == 1)
            try await manager.kill()
        }
    }

    private func text(_ client: NFSClient) async throws -> String {
        let found = try await client.lookup(NFS3.Filename("file"), in: client.rootHandle)
        return try await client.text(of: found.success.object)
    }

    @Test func everythingThatTheFileNamesIsServed() async throws {
        let bench = try await Bench(watchdog: .milliseconds(300))
        try await bench.wait(for: "READY=1")
        #expect(bench.messages("READY=1") == ["READY=1 STATUS=sessions: lab1, lab2, tools"])
        let lab = try await bench.client("lab1")
        let other = try await bench.client("lab2")
        let tools = try await bench.client("tools")
        #expect(try await text(lab) == "golden")
        #expect(try await text(tools) == "tools")
        _ = try await lab.create("mine", "of lab1")
        #expect(
            try await other.lookup(NFS3.Filename("mine"), in: other.rootHandle).status == .noent)
        let refused = try await tools.mkdir(
            NFS3.Filename("x"), in: tools.rootHandle, NFS3.SetAttributes())
        #expect(refused.status == .rofs)
        // As long as all goes round.
        try await bench.wait(for: "WATCHDOG=1", count: 5)
        for client in [lab, other, tools] { await client.close() }
        try await bench.end()
    }

    private static func waitForAll(_ service: ChildProcess) async throws {
        try await poll(for: "all sessions", within: .seconds(60)) {
            service.output.split(separator: "\n").count == 3 ? () : nil
        }
    }

    /// One of the two is served in the process of the other, which has nothing to make durable.
    @Test(arguments: ["lab1", "lab2"])
    func whatASessionHasIsDurableWhenAllOfItsImageEnd(session: String) async throws {
        let bench = try await Bench(environment: ["ROWFS_SYNC_DELAY_MS": "100"])
        try await Self.waitForAll(bench.service)
        let client = try await bench.client(session)
        let file = try await client.create("mine")
        let data = ByteBuffer(repeating: 7, count: 4096)
        let written = try await client.write(file, offset: 8192, data: data, stable: .unstable)
        #expect(try written.success.committed == .unstable)
        await client.close()
        try await bench.end()
        let again = try ChildProcess(
            try ProjectPaths.builtProgram("rowctl"),
            ["serve", "--config", bench.folder.path("rowfs.yaml")])
        try await Self.waitForAll(again)
        let later = try await bench.client(session)
        let (result, read) = try await later.read(file, offset: 8192, count: 4096)
        _ = try result.success
        #expect(read == data)
        await later.close()
        try await again.terminate()
    }

    @Test func aReloadChangesWhatTheFileChangesAndDisturbsNothingElse() async throws {
        let bench = try await Bench()
        try await bench.wait(for: "READY=1")
        let tools = try await bench.client("tools")
        let lab = try await bench.client("lab1")
        let file = try await lab.create("mine", "of lab1")
        try await bench.reload(
            Self.settings.replacing("lab2: {durability: relaxed}", with: "lab3:"))
        #expect(bench.messages("RELOADING=1").count == 1)
        #expect(try await bench.isServed("lab3"))
        #expect(try await !bench.isServed("lab2"))
        // It would not connect again.
        #expect(try await text(tools) == "tools")
        // The session that ended may have been the one in whose process the other was served.
        #expect(try await lab.text(of: file) == "of lab1")
        // What is about the image is about all of its sessions.
        try await bench.reload(
            Self.settings.replacing("source: GOLDEN", with: "source: GOLDEN\n    root: squash"))
        #expect(try await text(tools) == "tools")
        let later = try await bench.client("lab1")
        #expect(try await later.text(of: file) == "of lab1")
        for client in [lab, later, tools] { await client.close() }
        try await bench.end()
    }

    @Test func whatAReloadEndsHoldsNothingOpen() async throws {
        let bench = try await Bench()
        try await bench.wait(for: "READY=1")
        let directory = "/proc/\(bench.service.id)/fd"
        /// How many descriptors there are of each.
        func databases() throws -> [String: Int] {
            let targets = try FileManager.default.contentsOfDirectory(atPath: directory)
                .compactMap {
                    try? FileManager.default.destinationOfSymbolicLink(
                        atPath: "\(directory)/\($0)")
                }
            return Dictionary(
                grouping: targets.filter { $0.hasSuffix(".sqlite") }, by: \.self
            ).mapValues(\.count)
        }
        for round in 1...8 {
            // All sessions of the image end at once, one of them in the process of another.
            let root = round % 2 == 0 ? "keep" : "squash"
            try await bench.reload(
                Self.settings.replacing("source: GOLDEN", with: "source: GOLDEN\n    root: \(root)")
            )
        }
        try await poll(for: "databases closed", within: .seconds(20)) {
            let counts = try databases()
            guard counts.count == 5 else { return nil as Void? }
            // One writes, another reads; SQLite has one more of those that it has just made.
            return counts.values.allSatisfy { $0 <= 3 } ? () : nil
        }
        try await bench.end()
    }

    @Test func settingsThatCannotBeUsedChangeNothing() async throws {
        let bench = try await Bench()
        try await bench.wait(for: "READY=1")
        let lab = try await bench.client("lab1")
        try await bench.reload(Self.settings.replacing("durability", with: "durabilty"))
        try await bench.waitForErrors("everything goes on as it was")
        #expect(bench.service.errors.contains("rowfs.yaml:8: there is no setting"))
        #expect(try await bench.isServed("lab2"))
        // What needs a new start is told.
        try await bench.reload(Self.settings.replacing("state: STATE", with: "state: STATE-other"))
        try await bench.waitForErrors("'state', 'catalogue' and 'http' stay as they were")
        #expect(try await text(lab) == "golden")
        await lab.close()
        try await bench.end()
    }

    @Test func anImageThatIsNotThereDoesNotHoldUpOthers() async throws {
        let bench = try await Bench(Self.settings.replacing("GOLDEN", with: "GOLDEN/later"))
        try await bench.wait(for: "READY=1")
        #expect(try await bench.isServed("tools"))
        try await bench.waitForErrors("session=lab1")
        #expect(
            bench.service.errors.contains(/not served now, trying again .* session=lab1\n/),
            "\(bench.service.errors)")
        _ = try bench.folder.directory("golden/later")
        try await poll(for: "lab1", within: .seconds(20)) {
            bench.service.output.contains(":/lab1 ") ? () : nil
        }
        #expect(try await bench.isServed("lab1"))
        try await bench.end()
    }

    /// A service of which one image is on a server that does not answer.
    private func hanging(_ patience: Duration) async throws -> (Bench, TemporaryDirectory) {
        let folder = try TemporaryDirectory("rowfs-hanging")
        let library = try await CProgram.build(
            "hanging-path", flags: ["-shared", "-fPIC", "-ldl"], in: folder)
        let inherited = ProcessInfo.processInfo.environment["LD_PRELOAD"]
        let bench = try await Bench(
            Self.settings.replacing("GOLDEN", with: "GOLDEN/hangs"),
            environment: [
                // Beside what a sanitizer needs there.
                "LD_PRELOAD": [library, inherited ?? ""].joined(separator: " "),
                "ROWFS_SERVICE_PATIENCE_MS": "\(patience.components.seconds * 1000)",
            ])
        return (bench, folder)
    }

    @Test func anImageThatHangsHoldsUpOthersForAMomentOnly() async throws {
        let (bench, folder) = try await hanging(.seconds(1))
        defer { withExtendedLifetime(folder) {} }
        try await bench.wait(for: "READY=1")
        // On a busy machine the other one may not be there by then, either.
        let ready = bench.messages("READY=1")
        #expect(
            ready.first?.hasPrefix(
                "READY=1 STATUS=sessions: lab1, lab2, tools; not there yet: lab1, lab2") == true,
            "\(ready)")
        try await bench.waitForErrors("source=")
        #expect(bench.service.errors.contains(/warning not served yet.* session=lab1 source=/))
        try await bench.waitForOutput(":/tools ")
        #expect(try await bench.isServed("tools"))
        try await bench.reload(
            Self.settings.replacing("GOLDEN", with: "GOLDEN/hangs")
                .replacing("tools: {read-only: yes}", with: "more:"))
        try await bench.waitForOutput(":/more ")
        #expect(try await bench.isServed("more"))
        try await bench.end()
    }

    @Test func signalsAreLookedAtWhileAnImageHangs() async throws {
        let (bench, folder) = try await hanging(.seconds(600))
        defer { withExtendedLifetime(folder) {} }
        try await bench.waitForOutput(":/tools ")
        try await bench.end()
        #expect(bench.messages("READY=1") == [])
    }

    @Test func sessionsOfOneImageShareAPortThatWasPicked() async throws {
        let bench = try await Bench(
            Self.settings.replacing(
                "listen: 127.0.0.1:PORT", with: "listen: 0.0.0.0:0\n    allow: [127.0.0.1]"))
        try await bench.wait(for: "READY=1")
        #expect(try bench.export("lab1").port == bench.export("lab2").port)
        #expect(try await bench.isServed("lab1"))
        #expect(try await bench.isServed("lab2"))
        try await bench.end()
    }

    @Test func theFileSaysHowMessagesAreWrittenAndAReloadChangesThat() async throws {
        let bench = try await Bench("log-format: json\nlog-level: info\n" + Self.settings)
        try await bench.wait(for: "READY=1")
        let lines = try await poll(for: "first messages", within: .seconds(20)) {
            let lines = bench.service.errors.split(separator: "\n")
                .filter { $0.contains(#""served""#) }
            return lines.count == 3 ? lines : nil
        }
        for line in lines {
            let said = try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
            #expect(said["level"] == "info" && said["message"] == "served")
            #expect(["golden", "tools"].contains(said["image"]))
        }
        try await bench.reload(Self.settings)
        try await poll(for: "text", within: .seconds(20)) {
            bench.service.errors.contains("Z notice the settings were read again") ? () : nil
        }
        try await bench.end()
    }

    @Test func settingsThatCannotBeUsedAreToldAtTheStart() async throws {
        let folder = try TemporaryDirectory("rowfs-service")
        let file = try folder.file("f.yaml", "images:\n  a:\n    sorce: /x\n    sessions: {s: }\n")
        let result = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"), ["serve", "--config", file])
        #expect(result.status == .exited(64))
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { $0.hasPrefix("rowctl: \(file):") })
        for arguments in [
            ["/tmp", "--config", file], ["--config", file, "--listen", "127.0.0.1:1"],
            ["/tmp"], ["--session", "s"], ["/tmp", "--session", "s", "--set", "a=b"],
        ] {
            let result = try await Tool.result(
                of: ProjectPaths.builtProgram("rowctl"), ["serve"] + arguments)
            #expect(result.status == .exited(64), "\(arguments)")
        }
    }

    /// systemd's own judgement: 0 is best, 10 worst.
    @Test func theUnitIsExposedLittle() async throws {
        let unit = ProjectPaths.root.appendingPathComponent("packaging/rowfs.service").path
        let result = try await Tool.result(
            of: "systemd-analyze", ["security", "--offline=true", "--threshold=20", unit])
        #expect(result.status == .exited(0), "\(result)")
        #expect(result.output.contains("Overall exposure level"))
    }

    @Test func theFileThatIsInstalledIsGood() async throws {
        let file = ProjectPaths.root.appendingPathComponent("packaging/rowfs.yaml").path
        let output = try await RowctlProcess.run(["config", "check", file])
        #expect(output == "\(file): good; images: 1, sessions: 1\n")
    }
}

import Foundation
import Glibc
import NFSClient
import NFSProtocol
import NIOCore
import ROWProxy
import ROWTestKit
import Testing

/// `rowctl serve --config` below a service manager that keeps its sockets, as systemd does.
@Suite struct ServiceRestartTests {
    private final class Bench: Sendable {
        let folder: TemporaryDirectory
        let port = LoopbackPort.free()
        private let manager: ChildProcess

        init() async throws {
            folder = try TemporaryDirectory("rowfs-restart")
            _ = try folder.directory("golden")
            _ = try folder.file("golden/file", "golden")
            try Self.write(Self.settings(port), in: folder)
            manager = try ChildProcess(
                "python3",
                [
                    "-uc", Self.program, folder.path("notify"),
                    try ProjectPaths.builtProgram("rowctl"), "serve", "--config",
                    folder.path("rowfs.yaml"),
                ])
            try await wait(for: "READY=1", count: 1)
        }

        static func settings(_ port: Int, host: String = "127.0.0.1") -> String {
            """
            state: STATE
            images:
              golden:
                source: GOLDEN
                listen: \(host):\(port)
                allow: [127.0.0.1]
                sessions:
                  lab:
                  rest:
            """
        }

        func write(_ settings: String) throws { try Self.write(settings, in: folder) }

        private static func write(_ settings: String, in folder: TemporaryDirectory) throws {
            try settings.replacing("STATE", with: folder.path("state"))
                .replacing("GOLDEN", with: folder.path("golden"))
                .write(toFile: folder.path("rowfs.yaml"), atomically: true, encoding: .utf8)
        }

        /// What the service has said.
        var errors: String { manager.errors }

        /// Starts its service at once, and after each end when it gets SIGUSR1, with the sockets that it was told to
        /// keep; tells what it was told. What it is not to keep any more it does not pass on, and has for ever.
        private static let program = """
            import array, ctypes, os, signal, socket, sys
            inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            inbox.bind(sys.argv[1])
            kept, gone = {}, []
            def start(*_):
                child = os.fork()
                if child == 0:
                    # PR_SET_PDEATHSIG: it ends with this one.
                    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
                    fds = [os.dup2(fd, 1000 + n) for n, fd in enumerate(kept.values())]
                    for n, fd in enumerate(fds): os.dup2(fd, 3 + n)
                    os.closerange(3 + len(fds), 2000)
                    os.environ.update(
                        NOTIFY_SOCKET=sys.argv[1], LISTEN_PID=str(os.getpid()),
                        LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(kept))
                    os.execv(sys.argv[2], sys.argv[2:])
                print(f"pid {child}")
            def ended(*_):
                child, status = os.waitpid(-1, os.WNOHANG)
                if child: print(f"ended {os.waitstatus_to_exitcode(status)}")
            signal.signal(signal.SIGUSR1, start)
            signal.signal(signal.SIGCHLD, ended)
            start()
            while True:
                text, control, _, _ = inbox.recvmsg(4096, socket.CMSG_SPACE(16))
                lines = text.decode().split("\\n")
                name = next((l[7:] for l in lines if l.startswith("FDNAME=")), None)
                if lines[0] == "FDSTORE=1": kept[name] = array.array("i", control[0][2])[0]
                if lines[0] == "FDSTOREREMOVE=1": gone.append(kept.pop(name))
                print(" ".join(lines))
            """

        private func lines(_ start: String) -> [Substring] {
            manager.output.split(separator: "\n").filter { $0.hasPrefix(start) }
        }

        func wait(for start: String, count: Int) async throws {
            try await poll(for: "\(start), \(count) times", within: .seconds(30)) {
                try #require(manager.isRunning, "\(manager.errors)")
                return lines(start).count >= count ? () : nil
            }
        }

        func count(_ start: String) -> Int { lines(start).count }

        func signal(_ number: Int32) throws {
            let pid = try #require(lines("pid ").last.flatMap { Int32($0.dropFirst(4)) })
            try #require(kill(pid, number) == 0)
        }

        /// Has the manager start the service again.
        func start() async throws {
            let count = count("pid ")
            manager.signal(SIGUSR1)
            try await wait(for: "pid ", count: count + 1)
        }

        func client(port: Int? = nil, session: String = "lab") async throws -> NFSClient {
            let port = port ?? self.port
            let export = NFSExport(port: port, mountPort: port, path: "/\(session)")
            var options = NFSClient.Options()
            options.connection.reconnection = .never
            options.timeout = .seconds(60)
            return try await NFSClient.connect(NFSURL(export.url), options: options)
        }

        func end() async throws {
            let ended = count("ended ")
            try signal(SIGTERM)
            try await wait(for: "ended ", count: ended + 1)
            #expect(lines("ended ").last == "ended 0", "\(manager.errors)")
            try await manager.kill()
        }
    }

    @Test(arguments: [SIGKILL, SIGTERM])
    func clientsThatConnectWhileNoProcessServesWaitForTheNext(signal: Int32) async throws {
        let bench = try await Bench()
        let before = try await bench.client()
        let file = try await before.create("mine", "of lab")
        for round in 1...2 {
            try bench.signal(signal)
            try await bench.wait(for: "ended ", count: round)
            // Refused, they would have failed; and so would they before their session is there.
            async let connecting = bench.client()
            async let resting = bench.client(session: "rest")
            try await poll(for: "connections that wait", within: .seconds(20)) {
                TCPTable.waiting(port: bench.port) == 2 ? () : nil
            }
            try await bench.start()
            let (client, other) = try await (connecting, resting)
            #expect(try await client.text(of: file) == "of lab")
            await client.close()
            await other.close()
        }
        await before.close()
        // Once, by the first process.
        #expect(bench.count("FDSTORE=1") == 1)
        try await bench.end()
    }

    @Test func aPortThatIsUsedNoMoreIsNotKept() async throws {
        let bench = try await Bench()
        let other = LoopbackPort.free()
        try bench.write(Bench.settings(other))
        try bench.signal(SIGHUP)
        try await bench.wait(for: "READY=1", count: 2)
        try await bench.wait(
            for: "FDSTOREREMOVE=1 FDNAME=listen-127.0.0.1-\(bench.port)", count: 1)
        await #expect(throws: NFSClientError.self) { try await bench.client() }
        let client = try await bench.client(port: other)
        await client.close()
        // The next process has the port that is.
        try bench.signal(SIGKILL)
        try await bench.wait(for: "ended ", count: 1)
        try await bench.start()
        try await bench.wait(for: "READY=1", count: 3)
        let later = try await bench.client(port: other)
        await later.close()
        #expect(bench.count("FDSTORE=1") == 2)
        try await bench.end()
    }

    @Test func anotherAddressOfThePortIsListenedAtAtOnce() async throws {
        let bench = try await Bench()
        for (count, host) in [(2, "0.0.0.0"), (3, "127.0.0.1")] {
            try bench.write(Bench.settings(bench.port, host: host))
            try bench.signal(SIGHUP)
            try await bench.wait(for: "READY=1", count: count)
            let client = try await bench.client()
            await client.close()
        }
        #expect(!bench.errors.contains("not served"), "\(bench.errors)")
        try await bench.end()
    }

    @Test func aPortThatWasAnImagesMayBecomeTheStatusPages() async throws {
        let bench = try await Bench()
        try bench.write(
            Bench.settings(LoopbackPort.free()) + "\nhttp: 127.0.0.1:\(bench.port)\n")
        try bench.signal(SIGTERM)
        try await bench.wait(for: "ended ", count: 1)
        try await bench.start()
        try await bench.wait(for: "READY=1", count: 2)
        let page = try await runTool(
            "curl", ["-sS", "http://127.0.0.1:\(bench.port)/status.json"])
        #expect(page.contains("golden"))
        try await bench.end()
    }

    /// Names that are of one address are not found by those who look at the file.
    @Test func twoImagesDoNotShareAPort() async throws {
        let bench = try await Bench()
        _ = try bench.folder.directory("other")
        try bench.write(
            Bench.settings(bench.port) + """

                  other:
                    source: \(bench.folder.path("other"))
                    listen: 127.1:\(bench.port)
                    allow: [127.0.0.1]
                    sessions:
                      tool:
                """)
        try bench.signal(SIGHUP)
        try await bench.wait(for: "READY=1", count: 2)
        try await poll(for: "complaint", within: .seconds(20)) {
            bench.errors.contains("cannot listen on 127.1:\(bench.port)") ? () : nil
        }
        for _ in 0..<5 {
            let client = try await bench.client()
            await client.close()
        }
        await #expect(throws: NFSClientError.self) { try await bench.client(session: "tool") }
        try await bench.end()
    }

    @Test func whatCannotBeServedIsNotWaitedFor() async throws {
        let bench = try await Bench()
        let golden = bench.folder.path("golden")
        try bench.signal(SIGKILL)
        try await bench.wait(for: "ended ", count: 1)
        try FileManager.default.moveItem(atPath: golden, toPath: golden + ".away")
        let connecting = Task { try await bench.client() }
        try await poll(for: "connection that waits", within: .seconds(20)) {
            TCPTable.waiting(port: bench.port) > 0 ? () : nil
        }
        try await bench.start()
        await #expect(throws: NFSClientError.self) { try await connecting.value }
        try FileManager.default.moveItem(atPath: golden + ".away", toPath: golden)
        let client = try await poll(for: "service", within: .seconds(20)) {
            try? await bench.client()
        }
        await client.close()
        try await bench.end()
    }
}

/// Connections of this machine.
private enum TCPTable {
    /// How many wait at a port of 127.0.0.1 to be taken, by the length of its queue.
    static func waiting(port: Int) -> Int {
        let table = (try? KernelFile.text("/proc/net/tcp")) ?? ""
        let place = "0100007F:" + String(format: "%04X", port)
        for line in table.split(separator: "\n") {
            let words = line.split(separator: " ")
            // State 0A: listens; its receive queue is of connections.
            guard words.count > 4, words[1] == place, words[3] == "0A" else { continue }
            return Int(words[4].split(separator: ":")[1], radix: 16) ?? 0
        }
        return 0
    }
}

import Foundation
import Glibc
import NIOCore
import ROWTestKit
import Synchronization
import Testing

@testable import Netboot

@Suite struct DnsmasqTests {
    private let folder: TemporaryDirectory
    private let network: NetworkNamespace
    private let events: AsyncStream<Dnsmasq.Event>
    private let onEvent: @Sendable (Dnsmasq.Event) -> Void

    init() async throws {
        folder = try TemporaryDirectory()
        network = try await NetworkNamespace()
        let (events, continuation) = AsyncStream<Dnsmasq.Event>.makeStream()
        self.events = events
        onEvent = { continuation.yield($0) }
    }

    private func supervisor(
        _ name: String = "run", configuration: String? = nil, patience: Duration = .seconds(5)
    ) throws -> Dnsmasq {
        let settings = try settings(
            announcesRouter: "fd77:3::", tftpRoot: folder.directory("tftp"),
            leaseFile: folder.path(name + ".leases"))
        return try Dnsmasq(
            configuration: configuration ?? DnsmasqConfiguration(settings).text,
            tftpRoot: settings.tftpRoot, runDirectory: folder.path(name),
            launcher: network.launcher, patienceForPorts: patience, onEvent: onEvent)
    }

    /// What runs in the network, by process id.
    private func processes() async throws -> [pid_t] {
        try await runTool("ip", ["netns", "pids", network.name])
            .split(separator: "\n").compactMap { pid_t($0) }
    }

    @Test func isReadyWhenItStartsAndLeavesNothingWhenItStops() async throws {
        let dnsmasq = try supervisor()
        try await dnsmasq.start()
        #expect(try await processes().count == 1)
        _ = try folder.file("tftp/boot.ipxe", "#!ipxe\n")
        let asked = try await runTool(
            "ip", Array((network.clientLauncher + ["python3", "-c", Self.fetch]).dropFirst()))
        #expect(asked == "#!ipxe\n")
        let sent = Dnsmasq.Event.boot(.sent(file: "boot.ipxe", address: "10.77.3.9"))
        #expect(await events.first { $0 == sent } != nil)
        await dnsmasq.stop()
        #expect(try await processes().isEmpty)
        // Once more does no harm.
        await dnsmasq.stop()
    }

    /// Fetches boot.ipxe by TFTP (RFC 1350), of one block.
    private static let fetch = """
        import socket, sys
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asking.settimeout(5)
        asking.sendto(b"\\0\\1boot.ipxe\\0octet\\0", ("10.77.3.1", 69))
        block, server = asking.recvfrom(2048)
        asking.sendto(b"\\0\\4" + block[2:4], server)
        sys.stdout.write(block[4:].decode())
        """

    @Test func comesBackWhenItIsKilledAndTells() async throws {
        let dnsmasq = try supervisor()
        try await dnsmasq.start()
        let first = try #require(try await processes().first)
        kill(first, SIGKILL)
        let ended = Dnsmasq.Event.ended(
            reason: "it was ended by signal 9", restartsAfter: .milliseconds(200))
        #expect(await events.first { $0 == ended } != nil)
        #expect(await events.first { $0 == .restarted } != nil)
        let second = try await processes()
        #expect(second.count == 1 && second != [first])
        await dnsmasq.stop()
        #expect(try await processes().isEmpty)
    }

    @Test func stopsWhileItWaitsToStartAgain() async throws {
        let dnsmasq = try supervisor()
        try await dnsmasq.start()
        kill(try #require(try await processes().first), SIGKILL)
        for await event in events {
            guard case .ended = event else { continue }
            break
        }
        await dnsmasq.stop()
        #expect(try await processes().isEmpty)
    }

    @Test func tellsAnErrorInItsConfigurationInItsOwnWords() async throws {
        let dnsmasq = try supervisor(configuration: "port=0\nno-such-option=1\n")
        let error = await #expect(throws: NetbootError.self) { try await dnsmasq.start() }
        #expect(error?.code == .notStarted)
        #expect(error?.message.contains("bad option at line 2 of ") == true, "\(error as Any)")
        await dnsmasq.stop()
    }

    /// Holds the port of DHCP until it is killed, as a server that is no dnsmasq does: those share it.
    private func holder() async throws -> ChildProcess {
        let program = """
            import socket, time
            held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held.bind(("", 67))
            print("held", flush=True)
            time.sleep(3600)
            """
        let command = network.launcher + ["python3", "-c", program]
        let holder = try ChildProcess(command[0], Array(command.dropFirst()))
        _ = try await poll(for: "port", within: .seconds(20)) {
            holder.output.isEmpty ? nil : true
        }
        return holder
    }

    @Test func waitsForAPredecessorThatIsEnding() async throws {
        let predecessor = try await holder()
        let dnsmasq = try supervisor()
        async let started: Void = dnsmasq.start()
        // It has tried, and met the other.
        let refusal = await events.first {
            if case .line(let line) = $0 { line.contains("Address already in use") } else { false }
        }
        #expect(refusal != nil)
        try await predecessor.kill()
        try await started
        #expect(try await processes().count == 1)
        await dnsmasq.stop()
    }

    @Test func saysWhoMayHaveItsPort() async throws {
        let other = try await holder()
        let dnsmasq = try supervisor(patience: .zero)
        let error = await #expect(throws: NetbootError.self) { try await dnsmasq.start() }
        #expect(error?.code == .addressInUse)
        #expect(error?.message.contains("ss -lunp") == true, "\(error as Any)")
        try await other.kill()
    }

    @Test func saysThatItIsNotInstalled() throws {
        let error = #expect(throws: NetbootError.self) {
            _ = try Dnsmasq(
                settings(), runDirectory: folder.path("run"), program: "/no/such/dnsmasq"
            ) { _ in }
        }
        #expect(error?.code == .missingProgram)
    }

    @Test func endsWithItsParentHoweverThatEnds() async throws {
        let programs = URL(filePath: #filePath).deletingLastPathComponent().appending(
            path: "Programs")
        let sources = ProjectPaths.root.appending(path: "Sources/CLinux").path
        let parentProgram = folder.path("tied-parent")
        try await runTool(
            "gcc",
            [
                "-O1", "-Wall", "-Wextra", "-Werror", "-D_Nonnull=",
                "-D_Nullable=",
                "-I\(sources)/include", "-o", parentProgram,
                programs.appending(path: "tied-parent.c").path, "\(sources)/CLinux.c",
            ])
        let configuration = try folder.file(
            "conf",
            DnsmasqConfiguration(
                settings(tftpRoot: folder.directory("tftp"), leaseFile: folder.path("leases"))
            ).text)
        let parent = try ChildProcess(
            parentProgram,
            [Tool.find("ip"), "netns", "exec", network.name, Tool.find("dnsmasq")]
                + ["--keep-in-foreground", "--conf-file=\(configuration)", "--pid-file"])
        // It has done all it does to its own credentials by then, which could undo the tie.
        _ = try await poll(for: "dnsmasq", within: .seconds(20)) {
            parent.output.contains("TFTP root is") ? true : nil
        }
        let id = try #require(parent.output.split(separator: "\n").first.flatMap { pid_t($0) })
        #expect(try await processes() == [id])
        parent.signal(SIGKILL)
        _ = try await parent.exit(within: .seconds(20))
        _ = try await poll(for: "end of dnsmasq", within: .seconds(20)) {
            try await processes().isEmpty ? true : nil
        }
    }
}

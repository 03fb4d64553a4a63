import Foundation
import Glibc
import ROWTestKit
import Testing

/// `rowctl netboot` as it is, in a network of its own, with libnfs and an HTTP client as machines.
@Suite struct NetbootVerbTests {
    private let folder: TemporaryDirectory
    private let network: NetworkNamespace
    private let image: String

    init() async throws {
        folder = try TemporaryDirectory()
        network = try await NetworkNamespace()
        image = try folder.directory("image")
        _ = try folder.directory("image/boot")
        _ = try folder.file("image/boot/vmlinuz-1", String(repeating: "kernel ", count: 400_000))
        _ = try folder.file("image/boot/initrd.img", "initial file system")
        _ = try folder.file("image/hello", "hello, world\n")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("image/boot/vmlinuz"), withDestinationPath: "/boot/vmlinuz-1")
    }

    private var state: [String] { ["--state", folder.path("state")] }

    private func arguments(_ more: [String]) -> [String] {
        ["netboot", "--image", image, "--interface", "boot0", "--name", "test"] + state + more
    }

    /// It ended where it should serve.
    private struct Ended: Error {
        let errors: String
    }

    /// Starts it, and waits until it says that it is ready.
    private func start(
        _ more: [String] = ["--range", "10.77.3.50-10.77.3.99"]
    ) async throws -> ChildProcess {
        let command =
            network.launcher + [try ProjectPaths.builtProgram("rowctl")] + arguments(more)
        let child = try ChildProcess(command[0], Array(command.dropFirst()))
        try await poll(for: "ready line", within: .seconds(60)) {
            guard child.isRunning else {
                throw Ended(errors: child.errors)
            }
            return child.output.contains("ready: machines on boot0 boot /boot/test of 10.77.3.1\n")
                ? () : nil
        }
        return child
    }

    /// Runs a command where the machine is.
    private func onClient(_ command: String...) async throws -> String {
        let words = network.clientLauncher + command
        return try await runTool(words[0], Array(words.dropFirst()))
    }

    private func fetch(_ path: String) async throws -> String {
        try await onClient("busybox", "wget", "-q", "-O", "-", "http://10.77.3.1:8080/\(path)")
    }

    private static let root = "nfs://10.77.3.1/boot/test"

    private func listing() async throws -> String {
        try await RowctlProcess.run(["ls"] + state)
    }

    /// Process ids of the dnsmasqs in the network.
    private func dnsmasqs() async throws -> [pid_t] {
        try await runTool("ip", ["netns", "pids", network.name]).split(separator: "\n")
            .compactMap { pid_t($0) }.filter { id in
                let name = try? String(contentsOfFile: "/proc/\(id)/comm", encoding: .utf8)
                return name == "dnsmasq\n"
            }
    }

    @Test func aMachineGetsItsKernelAndARootOfItsOwn() async throws {
        let server = try await start()
        let script = try await fetch("boot.ipxe")
        #expect(script.hasPrefix("#!ipxe\n"))
        #expect(script.contains("nfsroot=10.77.3.1:/boot/test,nfsvers=3,tcp,nolock"))
        #expect(try await fetch("boot/vmlinuz") == String(repeating: "kernel ", count: 400_000))
        #expect(try await listing().contains("loading"))
        #expect(try await onClient("nfs-ls", Self.root).contains("hello"))
        // What it writes is its own, and its firmware gets that, too.
        let own = try folder.file("own", "another kernel")
        _ = try await onClient("nfs-cp", own, "\(Self.root)/boot/mine")
        #expect(try await onClient("nfs-cat", "\(Self.root)/boot/mine") == "another kernel")
        #expect(try await fetch("boot/mine") == "another kernel")
        let card = try await onClient("cat", "/sys/class/net/client0/address")
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let session = "test-" + card.replacing(":", with: "")
        let listed = try await listing()
        let line = try #require(listed.split(separator: "\n").first { $0.hasPrefix(session) })
        #expect(line.contains(card) && line.contains("running") && line.contains("10.77.3.9"))
        // The image is as it was, and what TFTP has is of the image.
        #expect(!FileManager.default.fileExists(atPath: folder.path("image/boot/mine")))
        try await poll(for: "kernel for TFTP", within: .seconds(20)) {
            let copy = folder.path("state/netboot/test/tftp/vmlinuz")
            return FileManager.default.contents(atPath: copy)?.count == 2_800_000 ? () : nil
        }
        #expect(try await server.terminate() == .exited(0))
        #expect(try await dnsmasqs().isEmpty)
    }

    @Test func anEphemeralMachineGetsTheKernelOfTheImage() async throws {
        let server = try await start(["--range", "10.77.3.50-10.77.3.99", "--ephemeral"])
        let own = try folder.file("own", "another")
        _ = try await onClient("nfs-cp", own, "\(Self.root)/boot/mine")
        #expect(try await onClient("nfs-ls", "\(Self.root)/boot").contains("mine"))
        #expect(try await fetch("boot/initrd.img") == "initial file system")
        await #expect(throws: ToolFailure.self) { try await fetch("boot/mine") }
        // It boots: the next who mounts as its kernel does finds the image.
        _ = try await fetch("boot.ipxe")
        let listed = try await onClient("nfs-ls", "\(Self.root)/boot")
        #expect(listed.contains("initrd.img") && !listed.contains("mine"))
        #expect(try await server.terminate() == .exited(0))
    }

    @Test func aDnsmasqThatEndsIsStartedAgainAndReported() async throws {
        let server = try await start()
        let first = try #require(try await dnsmasqs().first)
        kill(first, SIGKILL)
        try await poll(for: "report", within: .seconds(20)) {
            server.errors.contains("dnsmasq runs again") ? () : nil
        }
        #expect(server.errors.contains("dnsmasq ended (it was ended by signal 9)"))
        let again = try await dnsmasqs()
        #expect(again.count == 1 && again != [first])
        let status = try await RowctlProcess.run(["stat-session", "test"] + state)
        #expect(status.contains("dnsmasq ended"))
        #expect(try await server.terminate() == .exited(0))
    }

    @Test func afterAKillOneDnsmasqRunsAndMachinesGoOn() async throws {
        var server = try await start()
        let own = try folder.file("own", "mine")
        _ = try await onClient("nfs-cp", own, "\(Self.root)/mine")
        try await server.kill()
        try await poll(for: "end of dnsmasq", within: .seconds(20)) {
            try await dnsmasqs().isEmpty ? () : nil
        }
        server = try await start()
        #expect(try await dnsmasqs().count == 1)
        #expect(try await onClient("nfs-cat", "\(Self.root)/mine") == "mine")
        #expect(try await server.terminate() == .exited(0))
    }

    @Test func withoutAKernelItSaysWhatIsMissing() async throws {
        try FileManager.default.removeItem(atPath: folder.path("image/boot/initrd.img"))
        let command =
            network.launcher + [try ProjectPaths.builtProgram("rowctl")]
            + arguments(["--range", "10.77.3.50-10.77.3.99"])
        let result = try await Tool.result(of: Tool.find(command[0]), Array(command.dropFirst()))
        #expect(result.status == .exited(1))
        #expect(result.errors.contains("has no boot/initrd.img"), "\(result.errors)")
        #expect(try await dnsmasqs().isEmpty)
    }

    @Test func itGoesOnBesideAnotherServerAndWithoutAnyOfItsOwn() async throws {
        for (more, count) in [(["--proxy-dhcp"], 1), (["--no-dhcp"], 0)] {
            let server = try await start(more)
            #expect(try await dnsmasqs().count == count)
            #expect(try await fetch("boot/initrd.img") == "initial file system")
            #expect(try await server.terminate() == .exited(0))
        }
    }

    @Test func othersMayNotComeIn() async throws {
        let server = try await start(["--no-dhcp", "--allow", "10.77.3.200"])
        await #expect(throws: ToolFailure.self) { try await fetch("boot.ipxe") }
        await #expect(throws: ToolFailure.self) { try await onClient("nfs-ls", Self.root) }
        #expect(try await server.terminate() == .exited(0))
    }

    @Test func theConfigurationIsPrinted() async throws {
        let words = [
            "netboot", "--image", image, "--interface", "lo", "--name", "test", "--print-config",
            "--range", "127.0.0.50-127.0.0.99", "--append", "console=ttyS0",
        ]
        let printed = try await RowctlProcess.run(words + state)
        for line in [
            "dhcp-range=127.0.0.50,127.0.0.99,255.0.0.0,3600", "interface=lo", "#!ipxe",
            "next-server 127.0.0.1",
        ] {
            #expect(printed.contains(line), "\(line)")
        }
        #expect(printed.contains("console=ttyS0"))
        #expect(!FileManager.default.fileExists(atPath: folder.path("state")))
    }

    @Test(arguments: [
        ([], "--interface"), (["--interface", "lo"], "--range"),
        (["--interface", "lo", "--proxy-dhcp", "--no-dhcp"], "say who hands out addresses"),
        (["--interface", "nothing0", "--no-dhcp"], "there are: "),
        (["--interface", "lo", "--range", "10.0.0.1-10.0.0.9"], "not inside"),
        (["--interface", "lo", "--range", "nonsense"], "FIRST-LAST"),
        (["--interface", "lo", "--range", "127.0.0.9-127.0.0.2"], "lowest"),
        (["--interface", "lo", "--no-dhcp", "--machines", "0"], "--machines"),
        (["--interface", "lo", "--no-dhcp", "--name", "a/b"], "name of an image"),
        (["--interface", "lo", "--no-dhcp", "--append", "x\ny"], "one line"),
        (["--interface", "lo", "--no-dhcp", "--kernel", "../vmlinuz"], "cannot be fetched"),
        (["--interface", "lo", "--no-dhcp", "--http-port", "0"], "port"),
        (["--interface", "lo", "--no-dhcp", "--no-ipv6-router"], "fd00::/8"),
    ] as [([String], String)])
    func wrongArgumentsAreExplained(arguments: [String], words: String) async throws {
        let result = try await Tool.result(
            of: ProjectPaths.builtProgram("rowctl"),
            ["netboot", "--image", "/", "--print-config"] + arguments)
        #expect(result.status == .exited(64) || result.status == .exited(1))
        #expect(result.errors.hasPrefix("rowctl: ") && result.errors.contains(words), "\(result.errors)")
        #expect(result.errors.split(separator: "\n").count == 1)
    }
}

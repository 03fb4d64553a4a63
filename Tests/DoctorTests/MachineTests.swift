import Doctor
import Foundation
import ROWTestKit
import Testing

/// The machine itself: limits, clock, kernel, programs, networks.
@Suite struct MachineTests {
    // MARK: Limits

    @Test(arguments: [("200", "problem"), ("1024", "warning"), ("8192", "fine")])
    func fewDescriptors(limit: String, severity: String) async throws {
        let folder = try TemporaryDirectory()
        let state = ["--state", folder.path("state")]
        let (code, lines) = try await doctor(
            state, by: ["prlimit", "--nofile=\(limit):", "--"])
        let line = try #require(lines.first { $0.check == "descriptors" })
        #expect(line.severity == severity && line.found.contains(" \(limit) "))
        #expect(code == (lines.contains { $0.severity == "problem" } ? 1 : 0))
        guard let remedy = line.remedy?.split(separator: ", or").first else {
            return #expect(severity == "fine")
        }
        let program = try ProjectPaths.builtProgram("rowctl")
        let again = try await Tool.result(
            of: "prlimit",
            [
                "--nofile=\(limit):", "--", "/bin/sh", "-c",
                "\(remedy); exec \(program) doctor --json --state \(folder.path("state"))",
            ])
        #expect(
            try Line.all(again.output).first { $0.check == "descriptors" }?.severity == "fine")
    }

    /// Those of the process that serves count, where there is one.
    @Test func theLimitsOfTheService() async throws {
        let folder = try TemporaryDirectory()
        let state = ["--state", folder.path("state")]
        let served = try await RowctlProcess.start(
            ["serve", try folder.directory("image"), "--session", "s"] + state,
            by: ["prlimit", "--nofile=5000:", "--"])
        let (_, lines) = try await doctor(state, by: ["prlimit", "--nofile=200:", "--"])
        let line = try #require(lines.first { $0.check == "descriptors" })
        #expect(line.subject == "/proc/\(served.processID)/limits" && line.severity == "fine")
        try await served.terminate()
    }

    // MARK: Clock

    @Test func aClockThatBeganAnew() async throws {
        let patient = try Patient()
        patient.surroundings.isClockSynchronized = true
        patient.surroundings.now = Date(timeIntervalSince1970: 60)
        let finding = try await patient.complaint(.clock, .problem)
        #expect(finding.found == "it says 1970-01-01T00:01:00Z")
        patient.surroundings.now = Date(timeIntervalSince1970: 1_800_000_000)
        #expect(await patient.complaints(.clock) == [])
    }

    @Test func aClockThatNothingKeepsRight() async throws {
        let patient = try Patient()
        patient.surroundings.isClockSynchronized = false
        _ = try await patient.complaint(.clock, .warning)
        // Where the kernel does not say there is nothing to tell.
        for state in [true, nil] {
            patient.surroundings.isClockSynchronized = state
            #expect(await patient.complaints(.clock) == [])
        }
    }

    // MARK: Kernel and programs

    @Test func aKernelWithoutTheClient() async throws {
        let patient = try Patient()
        let types = try patient.folder.directory("proc") + "/filesystems"
        patient.surroundings.proc = patient.folder.path("proc")
        patient.surroundings.hasModule = { _ in false }
        try "nodev\tsysfs\n\text4\nnodev\tnfsd\n".write(
            toFile: types, atomically: true, encoding: .utf8)
        _ = try await patient.complaint(.kernelClient, .warning)
        try "nodev\tsysfs\nnodev\tnfs\n".write(toFile: types, atomically: true, encoding: .utf8)
        #expect(await patient.complaints(.kernelClient) == [])
        try "".write(toFile: types, atomically: true, encoding: .utf8)
        patient.surroundings.hasModule = { $0 == "nfsv3" }
        #expect(await patient.complaints(.kernelClient) == [])
    }

    private func install(_ program: String, _ patient: Patient) throws {
        _ = try patient.folder.file("programs/\(program)", "#!/bin/sh\n")
        try Patient.chmod(patient.folder.path("programs/\(program)"), 0o755)
    }

    @Test func programsThatAreMissing() async throws {
        let patient = try Patient()
        patient.plan.bootsMachines = true
        patient.surroundings.programFolders = [try patient.folder.directory("programs")]
        patient.surroundings.loaderFolder = try patient.folder.directory("loaders")
        _ = try await patient.complaint(.mountProgram, .warning)
        let found = await patient.complaints(.netboot)
        #expect(found.map(\.severity) == [.problem, .warning, .warning])
        #expect(found.map(\.remedy).first??.hasPrefix("apt install dnsmasq-base") == true)
        try install("mount.nfs", patient)
        try install("dnsmasq", patient)
        for name in ["undionly.kpxe", "ipxe.efi"] {
            _ = try patient.folder.file("loaders/\(name)", "")
        }
        #expect(await patient.complaints(.mountProgram) == [])
        #expect(await patient.complaints(.netboot) == [])
        patient.plan.bootsMachines = false
        patient.surroundings.programFolders = []
        #expect(await patient.complaints(.netboot) == [])
    }

    @Test func dnsmasqOfSomebodyElseHasTheDHCPPort() async throws {
        let folder = try TemporaryDirectory()
        let script = """
            ip link set lo up
            doctor() { \(try ProjectPaths.builtProgram("rowctl")) doctor --netboot --state "$1/state"; }
            dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file --port=0 --user=root --no-ping \\
                --interface=lo --dhcp-range=127.0.0.2,127.0.0.9 --dhcp-leasefile="$1/leases" 2>/dev/null &
            for try in $(seq 100); do
                grep -q ':0043 ' /proc/net/udp && break
                sleep 0.05
            done
            echo "dnsmasq is $!"; doctor "$1"; echo ----
            kill $!; wait $!; doctor "$1"; true
            """
        let output = try await runTool(
            "unshare", ["--net", "/bin/sh", "-c", script, "sh", folder.path])
        let parts = output.components(separatedBy: "----")
        let id = try #require(output.firstMatch(of: /dnsmasq is (\d+)/)?.output.1)
        #expect(parts[0].contains("problem  ports: 67 (udp): dnsmasq (\(id)) has it"), "\(output)")
        #expect(parts[0].contains("remedy: kill \(id), or"))
        #expect(parts[1].contains("ports: 67 (udp): it is free"), "\(output)")
    }

    // MARK: Networks

    @Test func tunnelsWhosePacketsDoNotFit() async throws {
        let folder = try TemporaryDirectory()
        let script = """
            ip link set lo up; mount -t sysfs sys /sys
            doctor() { \(try ProjectPaths.builtProgram("rowctl")) doctor --json --state "$1/state"; }
            ip tuntap add dev below mode tap; ip link set dev below mtu 1500 up
            ip address add 192.0.2.1/24 dev below; ip route add default dev below
            ip tuntap add dev small mode tun; ip link set dev small mtu 1000 up
            ip tuntap add dev large mode tun; ip link set dev large mtu 1450 up
            doctor "$1" >"$1/before"
            ip link set dev small mtu 1280; ip link set dev large mtu 1420
            doctor "$1" >"$1/after"; true
            """
        try await runTool(
            "unshare", ["--net", "--mount", "/bin/sh", "-c", script, "sh", folder.path])
        func complaints(_ name: String) throws -> [Line] {
            try Line.all(try String(contentsOfFile: folder.path(name), encoding: .utf8))
                .filter { $0.check == "overlay" && $0.severity != "fine" }
        }
        let before = try complaints("before")
        #expect(before.map(\.subject) == ["large", "small"])
        #expect(
            before.map { $0.remedy?.split(separator: ",").first }
                == ["ip link set dev large mtu 1420", "ip link set dev small mtu 1280"])
        #expect(try complaints("after").isEmpty)
    }
}

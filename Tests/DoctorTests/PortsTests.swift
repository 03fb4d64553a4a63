import Doctor
import Foundation
import ROWProxy
import ROWTestKit
import Synchronization
import Testing

/// Ports that are wanted, and who has them.
@Suite struct PortsTests {
    private func address(_ port: Int) -> ListenAddress? { ListenAddress("127.0.0.1:\(port)") }

    @Test func aPortThatAnotherProgramHas() async throws {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        let port = LoopbackPort.free()
        try patient.serve(image) { $0.listen = address(port) }
        #expect(await patient.complaints(.ports) == [])
        let other = try await RowctlProcess.start(
            ["export", image, "--listen", "127.0.0.1:\(port)", "--state", patient.folder.path("o")])
        let finding = try await patient.complaint(.ports, .problem)
        // What another finding says is not to be done here.
        try #require(finding.found == "rowctl (\(other.processID)) has it")
        try await patient.follow(finding)
        try await poll(for: "end of the other", within: .seconds(20)) {
            LoopbackPort.isOpen(port) ? nil : ()
        }
        #expect(await patient.complaints(.ports) == [])
        withExtendedLifetime(other) {}
    }

    @Test func aSocketOfThisProcessOnAllAddresses() async throws {
        let patient = try Patient()
        let listener = try Listener(everywhere: true)
        try patient.serve(patient.folder.path) { $0.listen = address(listener.port) }
        let finding = try await patient.complaint(.ports, .problem)
        #expect(finding.found.hasSuffix("(\(getpid())) has it"))
        listener.close()
        #expect(await patient.complaints(.ports) == [])
    }

    /// The kernel's table changes while it is read, and leaves a socket out.
    @Test(arguments: [1, 2])
    func aSocketThatTheFirstReadingsLeaveOut(readings: Int) async throws {
        let patient = try Patient()
        let listener = try Listener()
        try patient.serve(patient.folder.path) { $0.listen = address(listener.port) }
        let port = ":" + String(format: "%04X", listener.port)
        let read = patient.surroundings.text
        let count = Mutex(0)
        patient.surroundings.text = { path in
            guard path == "/proc/net/tcp" else { return read(path) }
            let isWhole = count.withLock {
                $0 += 1
                return $0 > readings
            }
            return read(path)?.split(separator: "\n").filter { isWhole || !$0.contains(port) }
                .joined(separator: "\n")
        }
        let finding = try await patient.complaint(.ports, .problem)
        #expect(finding.found.hasSuffix("(\(getpid())) has it"), "\(finding)")
        #expect(count.withLock { $0 } == readings + 1)
        withExtendedLifetime(listener) {}
    }

    /// It is believed in the end: a socket of the kernel is nobody's.
    @Test func aSocketThatNoReadingHas() async throws {
        let patient = try Patient()
        let listener = try Listener()
        try patient.serve(patient.folder.path) { $0.listen = address(listener.port) }
        let read = patient.surroundings.text
        let readings = Mutex(0)
        patient.surroundings.text = { path in
            guard path == "/proc/net/tcp" else { return read(path) }
            readings.withLock { $0 += 1 }
            return ""
        }
        let finding = try await patient.complaint(.ports, .problem)
        #expect(!finding.found.hasSuffix("(\(getpid())) has it"), "\(finding)")
        #expect(readings.withLock { $0 } == 3)
        withExtendedLifetime(listener) {}
    }

    @Test func processesAreLookedAtOnceARun() async throws {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        try patient.serve(image) { $0.listen = address(LoopbackPort.free()) }
        let read = patient.surroundings.text
        let readings = Mutex([String: Int]())
        patient.surroundings.text = { path in
            readings.withLock { $0[path, default: 0] += 1 }
            return read(path)
        }
        #expect(await patient.complaints(.ports) == [])
        for path in ["/proc/\(getpid())/comm", "/proc/net/tcp", "/proc/net/udp6"] {
            #expect(readings.withLock { $0[path] } == 1, "\(path)")
        }
    }

    @Test func whatServesHereAlreadyIsFine() async throws {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        let served = try await RowctlProcess.start(
            ["serve", image, "--session", "s", "--state", patient.state])
        try patient.serve(image) { $0.listen = address(served.export.port) }
        #expect(await patient.complaints(.ports) == [])
        try await served.terminate()
    }

    @Test func aPortOfTheStatusPageThatAnotherProgramHas() async throws {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        let port = LoopbackPort.free()
        let other = try await RowctlProcess.start(
            ["export", image, "--listen", "127.0.0.1:\(port)", "--state", patient.folder.path("o")])
        let file = try patient.folder.file(
            "rowfs.yaml",
            "http: \"127.0.0.1:\(port)\"\nimages: {a: {source: \(image), sessions: {s: }}}\n")
        patient.plan = Plan(configuration: file, state: patient.plan.state)
        let finding = try await patient.complaint(.ports, .problem)
        #expect(finding.found == "rowctl (\(other.processID)) has it")
        #expect(finding.remedy?.contains("change 'http' (\(file):1)") == true, "\(finding)")
        try await other.terminate()
        #expect(await patient.complaints(.ports) == [])
    }

    @Test func twoImagesThatWantOnePort() async throws {
        let patient = try Patient()
        let images = try ["one", "other"].map { try patient.folder.directory($0) }
        let port = LoopbackPort.free()
        let text = """
            images:
              a: {source: \(images[0]), listen: "127.0.0.1:\(port)", sessions: {s: }}
              b: {source: \(images[1]), listen: "127.0.0.1:PORT", sessions: {t: }}
            """
        let file = try patient.folder.file(
            "rowfs.yaml", text.replacing("PORT", with: "\(port)"))
        patient.plan = Plan(configuration: file, state: patient.plan.state)
        let finding = try await patient.complaint(.configuration, .problem)
        #expect(finding.subject == "\(file):3" && finding.found.contains("'a'"), "\(finding)")
        _ = try patient.folder.file(
            "rowfs.yaml", text.replacing("PORT", with: "\(LoopbackPort.free())"))
        patient.plan = Plan(configuration: file, state: patient.plan.state)
        #expect(await patient.complaints(.configuration) == [])
        #expect(await patient.complaints(.ports) == [])
    }

    @Test func aPortMapperInThePlaceOfOurs() async throws {
        let patient = try Patient()
        let listener = try Listener()
        try patient.serve(patient.folder.path) { $0.portmap = address(listener.port) }
        let finding = try await patient.complaint(.ports, .problem)
        #expect(finding.subject == "127.0.0.1:\(listener.port) (tcp)")
        #expect(finding.remedy?.hasSuffix("; or change --portmap") == true)
        listener.close()
        #expect(await patient.complaints(.ports) == [])
    }

    // MARK: In a network of its own

    /// - Parameter address: where an image is to be served.
    /// - Parameter script: has `$doctor`, a command.
    private func inNetwork(_ address: String, _ script: String) async throws -> Tool.Result {
        let patient = try Patient()
        let image = try patient.folder.directory("image")
        let text = """
            state: \(patient.folder.path("new"))
            images:
              a: {source: \(image), listen: "\(address)", allow: [192.0.2.0/24], sessions: {s: }}
            """
        let file = try patient.folder.file("rowfs.yaml", text)
        for path in [patient.folder.path, image] { try Patient.chmod(path, 0o755) }
        let program = try ProjectPaths.builtProgram("rowctl")
        let prepared = "ip link set lo up; doctor='\(program) doctor --config \(file)'; \(script)"
        let result = try await Tool.result(
            of: Tool.find("unshare"), ["--net", "/bin/sh", "-c", prepared])
        withExtendedLifetime(patient) {}
        return result
    }

    @Test func aPortBelow1024WithoutTheRightToIt() async throws {
        let result = try await inNetwork(
            "127.0.0.1:1000",
            """
            setpriv --inh-caps -net_bind_service --bounding-set -net_bind_service $doctor
            echo ----
            setpriv --inh-caps +net_bind_service --ambient-caps +net_bind_service $doctor
            """)
        let parts = result.output.components(separatedBy: "----")
        let complaint = "ports: 127.0.0.1:1000 (tcp): this user may not listen on ports below 1024"
        #expect(parts[0].contains("problem  \(complaint)"), "\(result)")
        #expect(parts[0].contains("AmbientCapabilities=CAP_NET_BIND_SERVICE"))
        #expect(parts[1].contains("ports: 127.0.0.1:1000 (tcp): it is free"), "\(result)")
    }

    @Test func anAddressThatThisMachineDoesNotHave() async throws {
        let result = try await inNetwork(
            "192.0.2.7:2049",
            "$doctor; echo ----; ip address add 192.0.2.7 dev lo; $doctor")
        let parts = result.output.components(separatedBy: "----")
        #expect(parts[0].contains("this machine does not have the address"), "\(result)")
        #expect(parts[0].contains("remedy: ip address add 192.0.2.7 dev INTERFACE"))
        #expect(parts[1].contains("ports: 192.0.2.7:2049 (tcp): it is free"), "\(result)")
    }
}

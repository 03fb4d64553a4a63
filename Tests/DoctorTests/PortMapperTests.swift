import Doctor
import Foundation
import ROWTestKit
import Testing

/// What a port mapper tells clients of this machine.
@Suite struct PortMapperTests {
    @Test func aPortMapperThatDoesNotAnswer() async throws {
        let patient = try Patient()
        let listener = try Listener()
        patient.surroundings.portmapPort = listener.port
        patient.surroundings.patience = .milliseconds(300)
        _ = try await patient.complaint(.portMapper, .warning)
        listener.close()
        #expect(await patient.complaints(.portMapper) == [])
    }

    private func settings(_ folder: TemporaryDirectory) throws -> String {
        let text = """
            state: \(folder.path("state"))
            images:
              a: {source: \(try folder.directory("image")), register: yes, sessions: {s: }}
            """
        return try folder.file("rowfs.yaml", text)
    }

    @Test func thereIsNoneToRegisterAt() async throws {
        let folder = try TemporaryDirectory()
        let arguments = ["--config", try settings(folder)]
        let script = "ip link set lo up; mount -t tmpfs run /run; exec \"$@\""
        let (code, lines) = try await doctor(
            arguments, by: ["unshare", "--net", "--mount", "/bin/sh", "-c", script, "sh"])
        let line = try #require(lines.first { $0.check == "port-mapper" })
        #expect(code == 1 && line.severity == "problem")
        #expect(line.remedy?.hasPrefix("apt install rpcbind") == true)
        let (_, others) = try await doctor(arguments, by: [ProjectPaths.labScript("with-rpcbind")])
        #expect(others.first { $0.check == "port-mapper" }?.severity == "fine")
    }

    @Test func aRegistrationThatIsLeftBehind() async throws {
        let folder = try TemporaryDirectory()
        let script = """
            doctor() { \(try ProjectPaths.builtProgram("rowctl")) doctor --json --config "$1/rowfs.yaml"; }
            mkfifo "$1/out"
            \(try ProjectPaths.builtProgram("rowctl")) serve --config "$1/rowfs.yaml" >"$1/out" &
            read -r ready <"$1/out"
            doctor "$1" >"$1/serving"
            kill -KILL $!; wait $!
            doctor "$1" >"$1/before"
            rpcinfo -d 100003 3; rpcinfo -d 100005 1; rpcinfo -d 100005 3
            doctor "$1" >"$1/after"; true
            """
        _ = try settings(folder)
        try await runTool(
            ProjectPaths.labScript("with-rpcbind"),
            ["/bin/bash", "-c", script, "bash", folder.path])
        func complaints(_ name: String) throws -> [Line] {
            try Line.all(try String(contentsOfFile: folder.path(name), encoding: .utf8))
                .filter { $0.check == "port-mapper" && $0.severity != "fine" }
        }
        #expect(try complaints("serving").isEmpty)
        #expect(
            try complaints("before").compactMap(\.remedy)
                == ["rpcinfo -d 100003 3", "rpcinfo -d 100005 1; rpcinfo -d 100005 3"])
        #expect(try complaints("after").isEmpty)
    }
}

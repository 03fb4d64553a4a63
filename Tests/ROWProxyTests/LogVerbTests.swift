import Foundation
import Glibc
import NFSClient
import ROWTestKit
import Testing

/// What `rowctl serve` writes to standard error, for people, programs and the journal.
@Suite struct LogVerbTests {
    /// Serves to nobody but a network that there is none of, so that each client is an event.
    private func start(
        _ folder: TemporaryDirectory, _ arguments: [String] = [],
        environment: [String: String] = [:]
    ) async throws -> RowctlProcess {
        try await RowctlProcess.start(
            [
                "serve", folder.directory("image"), "--session", "alice", "--state",
                folder.path("state"), "--allow", "192.0.2.0/24",
            ] + arguments, environment: environment)
    }

    /// A client that is turned away.
    private func knock(_ server: RowctlProcess) async throws {
        do {
            var options = NFSClient.Options()
            options.connection.reconnection = .never
            let client = try await NFSClient.connect(NFSURL(server.export.url), options: options)
            await client.close()
            Issue.record("it was let in")
        } catch is NFSClientError {}
    }

    private func lines(_ server: RowctlProcess, with words: String) async throws -> [String] {
        try await poll(for: words, within: .seconds(30)) {
            let lines = server.errors.split(separator: "\n").map(String.init)
            return lines.contains { $0.contains(words) } ? lines : nil
        }
    }

    private func object(_ line: String) throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: Data(line.utf8))
    }

    @Test func eventsAreLinesForPeopleOrForPrograms() async throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let people = try await start(folder)
        try await knock(people)
        let text = try await lines(people, with: "refused a connection")
        #expect(
            text[0].contains(#/^[0-9-]+T[0-9:.]+Z warning refused a connection from 127.0.0.1: /#),
            "\(text)")
        #expect(text[0].hasSuffix("image=\(folder.path("image"))"), "\(text)")
        try await people.terminate()

        let programs = try await start(folder, ["--log-format", "json", "--log-level", "info"])
        try await knock(programs)
        let objects = try await lines(programs, with: "refused a connection").map(object)
        #expect(objects[0]["message"] == "served" && objects[0]["session"] == "alice")
        #expect(objects[0]["level"] == "info" && objects[0]["image"] == folder.path("image"))
        #expect(objects[1]["level"] == "warning" && objects[1]["time"]?.hasSuffix("Z") == true)
        try await programs.terminate()
    }

    @Test func optionsComeBeforeVariables() async throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let variables = ["ROWFS_LOG_FORMAT": "json", "ROWFS_LOG_LEVEL": "error"]
        let server = try await start(
            folder, ["--log-level", "notice"], environment: variables)
        try await knock(server)
        let all = try await lines(server, with: "refused a connection")
        #expect(try object(all[0])["level"] == "warning")
        try await server.terminate()
        let wrong = try ChildProcess(
            try ProjectPaths.builtProgram("rowctl"),
            ["serve", folder.path("image"), "--session", "s", "--state", folder.path("state")],
            environment: ["ROWFS_LOG_LEVEL": "loud"])
        #expect(try await wrong.exit(within: .seconds(30)) == .exited(64))
        #expect(wrong.errors.contains("ROWFS_LOG_LEVEL is 'loud', and must be one of: debug"))
    }

    @Test func aClientDoesNotFillTheDisk() async throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let server = try await start(folder)
        // At once, so that more come in a second than are written in one.
        try await withThrowingTaskGroup { group in
            for _ in 0..<300 { group.addTask { try await knock(server) } }
            try await group.waitForAll()
        }
        let all = try await lines(server, with: "more like it: refused a connection")
        #expect(all.count < 100, "\(all.count)")
        try await server.terminate()
    }

    @Test func whatEndsItIsALineOfTheLogForPrograms() async throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let child = try ChildProcess(
            try ProjectPaths.builtProgram("rowctl"),
            [
                "serve", folder.path("image"), "--session", "s", "--state", folder.path("state"),
                "--log-format", "json",
            ])
        #expect(try await child.exit(within: .seconds(30)) == .exited(64))
        let said = try object(child.errors.trimmingCharacters(in: .newlines))
        #expect(said["level"] == "critical")
        #expect(said["message"]?.contains("neither a directory nor") == true)
    }

    /// The journal's descriptor is known by its device and inode; here it is a file's.
    @Test func theJournalGetsPrioritiesAndNoTime() async throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let (image, journal) = (try folder.directory("image"), try folder.file("journal", ""))
        let server = try await RowctlProcess.start(
            [
                "serve", image, "--session", "alice", "--state", folder.path("state"), "--allow",
                "192.0.2.0/24",
            ],
            by: [
                "sh", "-c",
                """
                exec 2>>"$0"; JOURNAL_STREAM=$(stat -L -c %d:%i "$0"); export JOURNAL_STREAM; exec "$@"
                """, journal,
            ])
        try await knock(server)
        let text = try await poll(for: "event in the journal", within: .seconds(30)) {
            let text = try String(contentsOfFile: journal, encoding: .utf8)
            return text.contains("\n") ? text : nil
        }
        #expect(text.hasPrefix("<4>refused a connection from 127.0.0.1: "), "\(text)")
        try await server.terminate()
    }

    @Test func asManyFilesAsAreAllowedMayBeOpen() async throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let server = try await RowctlProcess.start(
            [
                "serve", folder.directory("image"), "--session", "s", "--state",
                folder.path("state"),
            ], by: ["prlimit", "--nofile=256:4000"])
        let limits = try String(contentsOfFile: "/proc/\(server.processID)/limits", encoding: .utf8)
        #expect(limits.contains(#/Max open files +4000 +4000 /#), "\(limits)")
        try await server.terminate()
    }
}

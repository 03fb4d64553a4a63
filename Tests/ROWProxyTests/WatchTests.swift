import Foundation
import Glibc
import NFSClient
import ROWTestKit
import Testing

/// What `rowctl` shows on a terminal.
@Suite struct WatchTests {
    private static let enters = "\u{1b}[?1049h"
    private static let leaves = "\u{1b}[?1049l"
    private static let showsCursor = "\u{1b}[?25h"

    /// A session that is served, in which a client has chosen a name.
    private final class Bench {
        let folder: TemporaryDirectory
        private let server: RowctlProcess

        init(name: String = "file") async throws {
            folder = try TemporaryDirectory("rowfs-watch")
            server = try await RowctlProcess.start([
                "serve", folder.directory("image"), "--session", "alice", "--state",
                folder.path("state"),
            ])
            let client = try await NFSClient.connect(NFSURL(server.export.url))
            _ = try await client.create(name, String(repeating: "x", count: 10_000))
            await client.close()
        }

        func watch(_ environment: [String: String] = [:]) throws -> TerminalProcess {
            try TerminalProcess(
                try ProjectPaths.builtProgram("rowctl"),
                [
                    "stat-session", "alice", "--state", folder.path("state"), "--watch",
                    "--interval", "0.1",
                ], environment: environment)
        }

        func end() async throws { try await server.terminate() }
    }

    private func wait(_ terminal: TerminalProcess, for text: String) async throws {
        try await poll(for: text.debugDescription, within: .seconds(60)) {
            terminal.output.contains(text) ? () : nil
        }
    }

    /// What is shown now: from the last time that it was drawn from the top.
    private func frame(_ terminal: TerminalProcess) -> [String] {
        let frames = terminal.output.split(separator: "\u{1b}[H")
        // The last may not be all there.
        return frames.dropLast().last.map { $0.split(separator: "\r\n").map(String.init) } ?? []
    }

    enum End: CaseIterable { case key, interrupt, terminate, hangUp }

    @Test(arguments: End.allCases)
    func theTerminalIsAsItWasHoweverItEnds(end: End) async throws {
        let bench = try await Bench()
        let terminal = try bench.watch()
        try await wait(terminal, for: "calls")
        #expect(terminal.output.hasPrefix(Self.enters))
        #expect(!terminal.isCooked)
        switch end {
        case .key:
            terminal.type("q")
            #expect(try await terminal.exit() == .exited(0))
        case .interrupt:
            // As from the keyboard.
            terminal.type("\u{3}")
            #expect(try await terminal.exit() == .killed(signal: SIGINT))
        case .terminate:
            terminal.signal(SIGTERM)
            #expect(try await terminal.exit() == .killed(signal: SIGTERM))
        case .hangUp:
            terminal.signal(SIGHUP)
            #expect(try await terminal.exit() == .killed(signal: SIGHUP))
        }
        try await wait(terminal, for: Self.showsCursor + Self.leaves)
        #expect(terminal.isCooked)
        try await bench.end()
    }

    @Test func itFollowsTheWindow() async throws {
        let bench = try await Bench()
        let terminal = try bench.watch(["NO_COLOR": "1"])
        try await wait(terminal, for: "SERVERS")
        terminal.resize(rows: 5, columns: 20)
        let small = try await poll(for: "small window", within: .seconds(60)) {
            let lines = frame(terminal)
            return lines.count == 5 ? lines : nil
        }
        for line in small {
            let text = line.replacing(/\r|\u{1b}\[[KJ]/, with: "")
            #expect(text.count <= 20 && !text.contains("\u{1b}"), "\(text)")
        }
        terminal.resize(rows: 50, columns: 120)
        try await poll(for: "large window", within: .seconds(60)) {
            frame(terminal).count > 10 ? () : nil
        }
        terminal.type("q")
        #expect(try await terminal.exit() == .exited(0))
        try await bench.end()
    }

    @Test func aStoppedOneGivesTheTerminalBackMeanwhile() async throws {
        let bench = try await Bench()
        let terminal = try bench.watch()
        try await wait(terminal, for: "calls")
        terminal.signal(SIGTSTP)
        try await wait(terminal, for: Self.leaves)
        #expect(terminal.isCooked)
        try await poll(for: "stop", within: .seconds(60)) { terminal.isStopped ? () : nil }
        terminal.signal(SIGCONT)
        try await poll(for: "second screen", within: .seconds(60)) {
            terminal.output.ranges(of: Self.enters).count == 2 ? () : nil
        }
        terminal.type("q")
        #expect(try await terminal.exit() == .exited(0))
        try await bench.end()
    }

    @Test func namesThatClientsChooseReachNoTerminal() async throws {
        let bench = try await Bench(name: "evil\u{1b}]0;owned\u{7}\u{1b}[31m\u{9b}2J")
        let terminal = try bench.watch(["NO_COLOR": "1"])
        try await wait(terminal, for: "evil")
        terminal.type("q")
        _ = try await terminal.exit()
        // Its own sequences, and no others.
        let own = /\u{1b}\[(\?(1049|25|7)[hl]|H|K|J|2J)/
        let rest = terminal.output.replacing(own, with: "")
        let strange = rest.unicodeScalars.filter {
            $0.properties.generalCategory == .control && $0 != "\r" && $0 != "\n"
        }
        #expect(strange.isEmpty, "\(rest.debugDescription)")
        #expect(rest.contains(#"evil\u{1B}]0;owned"#), "\(rest.debugDescription)")
        try await bench.end()
    }

    @Test func aTerminalThatCanDoNothingGetsOneLookAfterAnother() async throws {
        let bench = try await Bench()
        let terminal = try bench.watch(["TERM": "dumb"])
        try await poll(for: "two looks", within: .seconds(60)) {
            terminal.output.ranges(of: "session     alice").count >= 2 ? () : nil
        }
        terminal.signal(SIGINT)
        #expect(try await terminal.exit() == .killed(signal: SIGINT))
        #expect(!terminal.output.contains("\u{1b}"))
        try await bench.end()
    }

    @Test func whatIsWrongFromTheStartIsSaidOnTheTerminalAsItIs() async throws {
        let folder = try TemporaryDirectory("rowfs-watch")
        let terminal = try TerminalProcess(
            try ProjectPaths.builtProgram("rowctl"),
            ["stat-session", "nobody", "--state", folder.path("state"), "--watch"])
        #expect(try await terminal.exit() == .exited(1))
        try await wait(terminal, for: "rowctl: ")
        #expect(!terminal.output.contains("\u{1b}"))
    }

    // MARK: Progress

    @Test func aTerminalSeesHowFarASealIsAndOthersDoNot() async throws {
        let folder = try TemporaryDirectory("rowfs-progress")
        _ = try folder.directory("tree")
        _ = try folder.file("tree/file", String(repeating: "x", count: 100_000))
        let program = try ProjectPaths.builtProgram("rowctl")
        let terminal = try TerminalProcess(program, ["image", "seal", folder.path("tree")])
        #expect(try await terminal.exit() == .exited(0))
        try await wait(terminal, for: "sealed 1 files")
        // Drawn in one line, which is cleared before what it came to is said.
        let parts = terminal.output.components(separatedBy: "sealed 1 files")
        #expect(parts[0].contains("names, "), "\(parts[0].debugDescription)")
        #expect(parts[0].hasSuffix("\r\u{1b}[K") && !parts[0].contains("\n"))
        let plain = try TerminalProcess(
            program, ["image", "seal", folder.path("tree")], environment: ["TERM": "dumb"])
        #expect(try await plain.exit() == .exited(0))
        try await wait(plain, for: "sealed 1 files")
        #expect(!plain.output.contains("\u{1b}"))
    }
}

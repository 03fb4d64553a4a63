import ArgumentParser
import Console
import Foundation
import Glibc
import ROWCore
import ROWProxy
import SystemPackage

struct StatSession: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a session did: calls, bytes, changes, main's state, events.",
        discussion: """
            Asks the process that serves the session; when there is none, shows what it left on \
            disk. The mount is never touched, so this cannot hang on it. Calls to main and bytes \
            from main are those of all sessions that the process serves.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Flag(help: "As JSON, whose keys are stable; with --watch one line each time.")
    var json = false

    @Flag(
        help: ArgumentHelp(
            "Again and again, until SIGINT; on a terminal until 'q', with rates and the recent past."
        ))
    var watch = false

    @Option(help: ArgumentHelp("Between two looks of --watch.", valueName: "seconds"))
    var interval = 2.0

    @OptionGroup var state: StateOption

    func validate() throws {
        guard interval >= 0.1, interval <= 86_400 else {
            throw ValidationError("--interval must be from 0.1 to 86400 seconds")
        }
    }

    func run() throws {
        let abilities = TerminalAbilities(ProcessInfo.processInfo.environment)
        if watch, !json, abilities.hasCursor, isatty(STDOUT_FILENO) == 1 {
            // What is wrong from the start is said before anything is cleared.
            _ = try status()
            return try Watch.run(interval: interval, abilities) { [self] in try status() }
        }
        repeat {
            let status = try status()
            print(json ? try jsonText(status, isPretty: !watch) : status.text)
            flushStandardOutput()
            if watch { Thread.sleep(forTimeInterval: interval) }
        } while watch
    }
}

extension StatSession {
    private static let largestCount = 10

    private func status() throws -> SessionStatus {
        var status = try SessionStatus.read(name, in: state.directory)
        status.largest = try largest()
        return status
    }

    /// The files of which the session stores most.
    private func largest() throws -> [SessionStatus.StoredFile] {
        let changes: [Change]
        do throws(StateError) {
            changes = try SessionDiff.read(name, in: state.directory.layout)
        } catch {
            // A session that lost its image database has none until it is served again.
            return []
        }
        return changes.filter { $0.storedBytes > 0 }.sorted { $0.storedBytes > $1.storedBytes }
            .prefix(Self.largestCount)
            .map { .init(path: $0.path.string, storedBytes: Int($0.storedBytes)) }
    }
}

extension SessionStatus {
    private static func milliseconds(_ value: Double?) -> String {
        value.map { String(format: "%.3f", $0) } ?? ""
    }

    /// For people.
    var text: String {
        var lines = [
            "session     \(session) (\(state), \(durability))",
            "image       \(image)",
            "uptime      \(Int(uptimeSeconds)) s",
            "changed     \(changed.files) files, \(changed.blocks) blocks, "
                + "\(byteText(bytes.shadowStored)) stored",
            "from main   \(byteText(bytes.fromMain))",
            "clients     \(byteText(bytes.toClient)) out, \(byteText(bytes.fromClient)) in",
            "nodes       \(handles) in memory",
        ]
        for server in main {
            let isSpare = main.count > 1 && server.state == "connected" && !server.isActive
            let time = server.roundTripMS.map { String(format: ", %.1f ms", $0) } ?? ""
            lines.append(
                "main        \(server.server) \(server.state)\(isSpare ? ", spare" : "")\(time)"
                    + (server.lastError.map { ": \($0.printable)" } ?? ""))
        }
        if let manifest {
            let part = manifest.pieces.map { " (\(manifest.piecesLoaded ?? 0) of \($0) pieces)" }
            let isWhole = manifest.state != "loading"
            lines.append(
                "manifest    \(manifest.state)\(isWhole ? "" : part ?? ""): "
                    + "\(manifest.verified) blocks right, \(manifest.wrong) wrong, "
                    + "\(byteText(manifest.copiedBytes)) copied from other images")
        }
        if let shadow {
            lines.append(
                "shadow      \(shadow.server) \(shadow.state)"
                    + (shadow.lastError.map { ": \($0.printable)" } ?? ""))
        }
        let names = Set(calls.client.keys).union(calls.main.keys).union(calls.shadow.keys)
        if !names.isEmpty {
            var table = Table([
                ("CALLS", .left), ("CLIENT", .right), ("P50 MS", .right), ("P99 MS", .right),
                ("MAIN", .right), ("P99 MS", .right), ("SHADOW", .right),
            ])
            for name in names.sorted() {
                table.add(
                    name, "\(calls.client[name] ?? 0)",
                    Self.milliseconds(latency?.client[name]?.p50MS),
                    Self.milliseconds(latency?.client[name]?.p99MS),
                    "\(calls.main[name] ?? 0)", Self.milliseconds(latency?.main[name]?.p99MS),
                    "\(calls.shadow[name] ?? 0)")
            }
            lines += ["", table.text]
        }
        if let checks = calls.mainChecks, checks > 0 {
            lines += ["", "\(checks) more calls asked whether main is there and still the same"]
        }
        if let largest, !largest.isEmpty {
            var table = Table([("STORED", .right), ("FILE", .left)])
            for file in largest { table.add(byteText(file.storedBytes), file.path.printable) }
            lines += ["", table.text]
        }
        if !events.isEmpty { lines.append("") }
        for event in events.suffix(10) {
            let time = Date(timeIntervalSince1970: event.time).formatted(.iso8601)
            lines.append("\(time) \(event.message.printable)")
        }
        return lines.joined(separator: "\n")
    }
}

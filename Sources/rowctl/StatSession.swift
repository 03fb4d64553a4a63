import ArgumentParser
import Foundation
import ROWCore
import ROWProxy

struct StatSession: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a session did: calls, bytes, changes, main's state, events.",
        discussion: """
            Asks the process that serves the session; when there is none, shows what it left on \
            disk. The mount is never touched, so this cannot hang on it.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Flag(help: "As JSON, whose keys are stable.")
    var json = false

    @OptionGroup var state: StateOption

    func run() throws {
        let status = try SessionStatus.read(name, in: state.directory)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(status), as: UTF8.self))
        } else {
            print(status.text)
        }
    }
}

extension SessionStatus {
    /// For people.
    var text: String {
        var lines = [
            "session     \(session) (\(state), \(durability))",
            "image       \(image)",
            "uptime      \(Int(uptimeSeconds)) s",
            "changed     \(changed.files) files, \(changed.blocks) blocks, "
                + "\(bytes.shadowStored) bytes stored",
            "from main   \(bytes.fromMain) bytes",
            "clients     \(bytes.toClient) bytes out, \(bytes.fromClient) bytes in",
            "nodes       \(handles) in memory",
        ]
        for server in main {
            lines.append(
                "main        \(server.server) \(server.state)"
                    + (server.lastError.map { ": \($0)" } ?? ""))
        }
        let names = Set(calls.client.keys).union(calls.main.keys).union(calls.shadow.keys)
        if !names.isEmpty {
            lines.append("")
            lines.append(row("calls", "client", "main", "shadow"))
        }
        for name in names.sorted() {
            lines.append(
                row(
                    name, String(calls.client[name] ?? 0), String(calls.main[name] ?? 0),
                    String(calls.shadow[name] ?? 0)))
        }
        if !events.isEmpty { lines.append("") }
        for event in events.suffix(10) {
            let time = Date(timeIntervalSince1970: event.time).formatted(.iso8601)
            lines.append("\(time) \(event.message)")
        }
        return lines.joined(separator: "\n")
    }

    private func row(_ cells: String...) -> String {
        cells.enumerated().map { index, cell in
            let padding = String(repeating: " ", count: max(0, 12 - cell.count))
            return index == 0 ? cell + padding : padding + cell
        }.joined()
    }
}

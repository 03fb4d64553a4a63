import ArgumentParser
import Foundation
import ROWProxy

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the sessions that exist.",
        discussion: "A session that cannot be read is listed as 'unreadable', and why.")

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var state: StateOption

    private struct Entry: Codable {
        let session: String
        /// For a session that cannot be read: why.
        let image: String
        let state: String
        let changedFiles: Int
        let storedBytes: Int

        enum CodingKeys: String, CodingKey {
            case session, image, state
            case changedFiles = "changed_files"
            case storedBytes = "stored_bytes"
        }
    }

    func run() throws {
        let entries = state.directory.sessionNames().map(entry)
        if json {
            print(try jsonText(entries))
            return
        }
        var table = Table([
            ("SESSION", .left), ("STATE", .left), ("FILES", .right), ("STORED", .right),
            ("IMAGE", .left),
        ])
        for entry in entries {
            table.add(
                entry.session, entry.state, "\(entry.changedFiles)", byteText(entry.storedBytes),
                entry.image)
        }
        print(table.text)
    }

    private func entry(_ name: String) -> Entry {
        do {
            let status = try SessionStatus.read(name, in: state.directory)
            return Entry(
                session: name, image: status.image, state: status.state,
                changedFiles: status.changed.files, storedBytes: status.bytes.shadowStored)
        } catch {
            return Entry(
                session: name, image: "\(error)", state: "unreadable", changedFiles: 0,
                storedBytes: 0)
        }
    }
}

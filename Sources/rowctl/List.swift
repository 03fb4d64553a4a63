import ArgumentParser
import Foundation
import ROWProxy

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the sessions that exist.")

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var state: StateOption

    private struct Entry: Codable {
        let session: String
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
        let entries = try state.directory.sessionNames().map { name in
            let status = try SessionStatus.read(name, in: state.directory)
            return Entry(
                session: name, image: status.image, state: status.state,
                changedFiles: status.changed.files, storedBytes: status.bytes.shadowStored)
        }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            print(String(decoding: try encoder.encode(entries), as: UTF8.self))
            return
        }
        for entry in entries {
            print(
                "\(entry.session)\t\(entry.state)\t\(entry.changedFiles) "
                    + "files\t\(entry.storedBytes) bytes\t\(entry.image)"
            )
        }
    }
}

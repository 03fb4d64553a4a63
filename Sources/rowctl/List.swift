import ArgumentParser
import Console
import Foundation
import ROWCore
import ROWProxy

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the sessions that exist, and the machines that boot here.",
        discussion: """
            A session that cannot be read is listed as 'unreadable', and why. A machine that `rowctl \
            netboot` boots is at dhcp (it has an address), loading, mounted, or running; as long as it has \
            not mounted its root it is listed without a session.
            """)

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var state: StateOption

    private struct Entry: Codable {
        /// Empty for a machine that has none yet.
        var session = ""
        /// For a session that cannot be read: why.
        var image = ""
        var state = "none"
        var changedFiles = 0
        var storedBytes = 0
        /// Bytes of files that clients read and wrote since it is served; absent for what is not known.
        var toClientBytes: Int?
        var fromClientBytes: Int?
        var machine: SessionStatus.Machine?
        /// When its clients were heard last, in seconds since 1970.
        var lastSeen: Double?

        enum CodingKeys: String, CodingKey {
            case session, image, state, machine
            case changedFiles = "changed_files"
            case storedBytes = "stored_bytes"
            case toClientBytes = "to_client_bytes"
            case fromClientBytes = "from_client_bytes"
            case lastSeen = "last_seen"
        }
    }

    func run() throws {
        try state.directory.layout.checkRights()
        let entries =
            state.directory.sessionNames().map(entry)
            + state.directory.machinesWithoutSession().map {
                Entry(machine: $0, lastSeen: $0.lastSeen)
            }
        if json {
            print(try jsonText(entries))
            return
        }
        let hasMachines = entries.contains { $0.machine != nil }
        var columns: [(String, Table.Alignment)] = [
            ("SESSION", .left), ("STATE", .left), ("FILES", .right), ("STORED", .right),
        ]
        if hasMachines {
            columns += [
                ("READ", .right), ("MACHINE", .left), ("STAGE", .left), ("SEEN", .left),
            ]
        }
        var table = Table(columns + [("IMAGE", .left)])
        let now = Date().timeIntervalSince1970
        for entry in entries {
            var cells = [
                entry.session.isEmpty ? "-" : entry.session, entry.state, "\(entry.changedFiles)",
                byteText(entry.storedBytes),
            ]
            if hasMachines {
                cells += [
                    entry.toClientBytes.map(byteText) ?? "-", entry.machine?.text ?? "-",
                    entry.machine?.stage ?? "-",
                    entry.lastSeen.map { Self.ago(now - $0) } ?? "-",
                ]
            }
            table.add(cells + [entry.image])
        }
        print(table.text)
    }

    /// How long ago, for people.
    private static func ago(_ seconds: Double) -> String {
        switch seconds {
        case ..<100: "\(max(0, Int(seconds))) s ago"
        case ..<6000: "\(Int(seconds / 60)) min ago"
        case ..<172_800: "\(Int(seconds / 3600)) h ago"
        default: "\(Int(seconds / 86_400)) days ago"
        }
    }

    private func entry(_ name: String) -> Entry {
        do {
            let status = try SessionStatus.read(name, in: state.directory)
            return Entry(
                session: name, image: status.image, state: status.state,
                changedFiles: status.changed.files, storedBytes: status.bytes.shadowStored,
                toClientBytes: status.bytes.toClient, fromClientBytes: status.bytes.fromClient,
                machine: status.machine, lastSeen: status.lastSeen)
        } catch {
            return Entry(session: name, image: "\(error)", state: "unreadable")
        }
    }
}

extension SessionStatus.Machine {
    /// For people: what it calls itself, or its network card, and where it is.
    fileprivate var text: String {
        let name = hostname?.printable ?? mac
        return [name, address.isEmpty ? nil : address].compactMap(\.self).joined(separator: " ")
    }
}

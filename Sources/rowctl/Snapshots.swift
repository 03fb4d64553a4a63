import ArgumentParser
import Console
import Foundation
import ROWCore
import ROWProxy

struct Snapshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep the state of a session under a name.",
        discussion: """
            The session may be in use: the snapshot is of one moment, and clients go on. No data is \
            copied: what the session has stored becomes a frozen layer that both share.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Argument(help: "The snapshot's name: letters, digits, '.', '_' and '-'.")
    var tag: String

    @OptionGroup var state: StateOption

    func run() throws {
        try state.directory.takeSnapshot(tag, of: name)
        print("snapshot '\(tag)' of the session \(name)")
    }
}

struct Snapshots: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List a session's snapshots, or remove one.")

    @Argument(help: "The session's name.")
    var name: String

    @Option(help: ArgumentHelp("Remove this snapshot.", valueName: "tag"))
    var remove: String?

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var state: StateOption

    func run() throws {
        if let remove {
            try state.directory.removeSnapshot(remove, of: name)
            print("removed the snapshot '\(remove)' of the session \(name)")
            return
        }
        let snapshots = try state.directory.snapshots(of: name)
        if json {
            print(try jsonText(snapshots))
            return
        }
        var table = Table([
            ("SNAPSHOT", .left), ("TAKEN", .left), ("FILES", .right), ("STORED", .right),
        ])
        for snapshot in snapshots {
            let time = Date(timeIntervalSince1970: snapshot.time)
            table.add(
                snapshot.tag, time.formatted(.iso8601), "\(snapshot.files)",
                byteText(Int(snapshot.allocated)))
        }
        print(table.text)
    }
}

struct Rollback: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take a session back to a snapshot.",
        discussion: """
            All that was changed since is gone, unless another snapshot has it. The session may be in \
            use: clients keep their handles and see that files have changed, but what they have open or \
            cached is theirs to look after, so stop a machine that has its root here first.

            A snapshot of before an upgrade takes the session back to the image that it was on; for that \
            nobody may serve it.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Argument(help: "The snapshot's name.")
    var tag: String

    @OptionGroup var state: StateOption

    func run() throws {
        try state.directory.rollBack(name, to: tag)
        print("the session \(name) is as at the snapshot '\(tag)'")
    }
}

struct Clone: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a new session of the state of another.",
        discussion: """
            The session may be in use. No data is copied: what is stored is shared, and changes to \
            either do not show in the other.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Argument(help: "The new session's name.")
    var new: String

    @Option(help: ArgumentHelp("Clone this snapshot, not the present state.", valueName: "tag"))
    var snapshot: String?

    @OptionGroup var state: StateOption

    func run() throws {
        try state.directory.clone(name, from: snapshot, to: new)
        print(
            "session \(new), a clone of \(snapshot.map { "the snapshot '\($0)' of " } ?? "")\(name)"
        )
    }
}

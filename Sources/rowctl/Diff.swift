import ArgumentParser
import Console
import NFSProtocol
import ROWCore
import ROWProxy
import SystemPackage

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what a session changed against its image: names, data, attributes.",
        discussion: """
            One line each: added, removed, replaced, changed or renamed, sorted by path. A renamed \
            directory is one line, whatever it holds. Works whether or not the session is served, and \
            asks nothing of the image's server. Writes that no client has synced yet may be missing.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Flag(
        help:
            "As JSON; where a path is not UTF-8, a member with Base64 after its name has its bytes."
    )
    var json = false

    @OptionGroup var state: StateOption

    func run() throws {
        _ = try state.directory.existingSession(name)
        let changes = try SessionDiff.read(name, in: state.directory.layout)
        if json {
            print(try jsonText(changes))
        } else {
            for change in changes { print("\(change)".printable) }
        }
    }
}

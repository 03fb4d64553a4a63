import ArgumentParser
import Foundation
import Glibc
import ROWCore
import ROWProxy

struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove a session and all that was changed in it.",
        discussion: "The image is not touched. A session that is in use is not removed.")

    @Argument(help: "The session's name.")
    var name: String

    @Flag(help: "Do not ask.")
    var yes = false

    @Flag(help: "Only say what would be removed.")
    var dryRun = false

    @OptionGroup var state: StateOption

    func run() throws {
        let directory = try state.directory.existingSession(name)
        let what: String
        do {
            let stored = try StoredSession.read(directory)
            what =
                "session \(name) of \(stored.image): \(stored.files) changed files, "
                + "\(stored.allocated) bytes stored"
        } catch {
            // What cannot be read can be removed all the same.
            what = "session \(name), which cannot be read (\(error))"
        }
        if dryRun {
            print("would remove \(what)")
            return
        }
        if !yes {
            guard isatty(STDIN_FILENO) == 1 else {
                throw UsageError(
                    description: "this would remove \(what); give --yes where nobody can be asked")
            }
            print("remove \(what)? [y/N] ", terminator: "")
            flushStandardOutput()
            guard readLine()?.lowercased().hasPrefix("y") == true else {
                print("not removed")
                return
            }
        }
        try StoredSession.remove(directory)
        print("removed \(what)")
    }
}

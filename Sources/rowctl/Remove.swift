import ArgumentParser
import Foundation
import Glibc
import ROWCore
import ROWProxy

struct Remove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove a session and all that was changed in it.",
        discussion: """
            The image is not touched. A session that is in use is not removed. Of a session with \
            --shadow, what is on the server goes first; when that cannot be reached, nothing is removed.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Flag(help: "Do not ask.")
    var yes = false

    @Flag(help: "Only say what would be removed.")
    var dryRun = false

    @Flag(help: "Leave what is on a shadow server to the server's administrator.")
    var leaveServerData = false

    @OptionGroup var tls: TLSOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        let directory = try state.directory.existingSession(name)
        var what: String
        var shadow: StoredShadow?
        var isReadable = false
        do {
            let stored = try StoredSession.read(directory)
            shadow = stored.shadow
            isReadable = true
            what =
                "session \(name) of \(stored.image): \(stored.files) changed files, "
                + "\(stored.allocated) bytes stored"
        } catch {
            // What cannot be read can be removed all the same.
            what = "session \(name), which cannot be read (\(error))"
        }
        if let shadow {
            what += ", in \(shadow.directory) on \(shadow.url)"
            if leaveServerData { what += " (which stays)" }
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
        if isReadable { try state.directory.letGo(name) }
        try await StoredSession.remove(directory) {
            if !leaveServerData { try await shadow?.remove(tls: tls.files) }
        }
        print("removed \(what)")
    }
}

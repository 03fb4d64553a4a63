import ArgumentParser
import Console
import Foundation
import ROWProxy
import ROWReport
import SystemPackage

struct Report: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a page with charts of what a session did, and what that took.",
        discussion: """
            The file report-NAME.html, which needs no network: calls by procedure and side; \
            processor, disk, network and memory of the process over time; what clients asked for of \
            the image against its size; what main sent and what was kept of it here.

            While a session is served, a sample is taken each second, into a history that is kept \
            with the session: 2048 samples at most, which are merged in pairs when there are more. \
            It is kept when the process ends, and goes on with the next. `rowctl mark` names a moment \
            in it; that a client mounts the session is a mark of itself. Works whether or not the \
            session is served.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Option(
        name: .customLong("out"),
        help: ArgumentHelp(
            "Where the page goes; made when it is not there.", valueName: "directory"))
    var directory = "."

    @Flag(help: "Print the figures as JSON, whose keys are stable, and make no page.")
    var json = false

    @OptionGroup var state: StateOption

    func run() throws {
        let report = try SessionReport.read(name, in: state.directory)
        if json {
            print(try jsonText(report))
            return
        }
        let path = FilePath(directory).appending("report-\(name).html").string
        do {
            try FileManager.default.createDirectory(
                atPath: directory, withIntermediateDirectories: true)
            try Data(ReportPage(report).html.utf8).write(
                to: URL(filePath: path), options: .atomic)
        } catch {
            throw FileFailure(
                description: "cannot write \(path): \(error.localizedDescription); choose another "
                    + "directory with --out")
        }
        print(path)
    }
}

/// A file that could not be written: what, why, and what to do.
private struct FileFailure: Error, CustomStringConvertible {
    let description: String
}

struct Mark: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Name this moment in the history of a session that is served.",
        discussion: """
            Such as 'boot', 'run' or 'reboot': `rowctl report` draws a line there, and counts from \
            each mark to the next.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Argument(help: "What begins now: up to 64 bytes.")
    var text: String

    @OptionGroup var state: StateOption

    func run() throws { try state.directory.mark(name, text) }
}

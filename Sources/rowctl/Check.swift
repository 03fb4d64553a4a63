import ArgumentParser
import Console
import Foundation
import Glibc
import ROWCore
import ROWProxy

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck", abstract: "Check a session on disk, and repair it.",
        discussion: """
            For a session that nobody uses now, after a bad disk, a lost power supply without strict \
            durability, or a copy that went wrong. Tells one line for each thing that is wrong: what \
            kind, where, what, and what a repair does about it. Without --repair nothing is changed.

            A repair keeps every file that is intact, and deletes nothing: what it takes out of use goes \
            to lost+found-1 (or -2 and so on) in the session's directory, with the rows of its database \
            as lines of JSON. Lines that begin with 'note:' are no damage: a crash may leave such things, \
            and the next use of the session gets by.

            Exit codes: 0 clean, or all repaired; 1 damage found, or left by a repair; 64 wrong \
            arguments.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Flag(help: "Put right what is wrong.")
    var repair = false

    @Option(
        help: ArgumentHelp(
            "The image that the session stands on, for when its record of that is lost.",
            valueName: "directory or url"))
    var image: String?

    @Flag(help: "As JSON, whose keys are stable.")
    var json = false

    @OptionGroup var state: StateOption

    func run() throws {
        let source = try image.map { try Proxy.Image.parse($0).canonicalName }
        let report = try SessionCheck.run(
            name, in: state.directory.layout, image: source, isRepairing: repair)
        if json {
            print(try jsonText(report))
        } else {
            for finding in report.findings { print(finding) }
            print(summary(report))
        }
        guard report.isClean else { throw ExitCode.failure }
    }

    private func summary(_ report: SessionCheck.Report) -> String {
        func count(_ findings: [SessionFinding], _ severity: SessionFinding.Severity) -> Int {
            findings.count { $0.severity == severity }
        }
        let damage = count(report.findings, .damage)
        let notes = count(report.findings, .note)
        let left = count(report.left, .damage)
        let found = "\(damage) damaged" + (notes > 0 ? ", \(notes) noted" : "")
        let aside = report.lostAndFound.map { "; what was moved aside is in \($0)" } ?? ""
        if report.findings.isEmpty { return "session \(name): clean" }
        if !repair {
            let advice = damage > 0 ? "; `rowctl fsck \(name) --repair` puts it right" : ""
            return "session \(name): \(damage > 0 ? found : "clean, \(notes) noted")\(advice)"
        }
        return "session \(name): \(found), \(left > 0 ? "\(left) left" : "none left")\(aside)"
    }
}

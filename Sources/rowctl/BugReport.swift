import ArgumentParser
import Console
import Doctor
import Foundation
import ROWProxy
import ROWSettings
import SystemPackage

struct BugReport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bugreport",
        abstract: "Write down what helps others to find out what is wrong here.",
        discussion: """
            One file of text: versions, the kernel, settings, what 'rowctl doctor' finds, sessions and images with \
            their sizes, what is mounted. Addresses, URLs and the names of sessions and machines are in it, so \
            read it before you send it. What files have, names of files of sessions and images, and keys are not.
            """)

    @OptionGroup var examined: Examined

    @Option(
        help: ArgumentHelp(
            "Write there, for its owner alone. (default: standard output)", valueName: "file"))
    var output: String?

    func run() async throws {
        let plan = try examined.plan()
        let state = StateReport(plan.state)
        let sections = [
            ("versions", MachineReport.versions),
            ("settings", try settings(plan.configuration)),
            ("doctor", try jsonText(try await examined.findings())),
            ("sessions", try jsonText(state.sessions)),
            ("images", try jsonText(state.images)),
            ("limits", MachineReport.limits),
            ("mounts", MachineReport.mounts),
        ]
        let text = sections.map { "== \($0.0)\n\($0.1)\n" }.joined(separator: "\n")
        guard let output else {
            print(text)
            return flushStandardOutput()
        }
        try write(text, to: output)
    }

    /// What holds, and who says so: not the file's own text, whose comments may have anything.
    private func settings(_ file: String?) throws -> String {
        guard let file else { return "no file" }
        do {
            let source = try SettingsSource(
                file: file, variables: ProcessInfo.processInfo.environment)
            let said = source.all.filter { $0.texts != nil }
            return said.map {
                "\($0.key): \($0.texts?.joined(separator: ", ") ?? "") (\($0.place))"
            }.joined(separator: "\n")
        } catch let error as SettingsError {
            return "\(error)"
        }
    }

    private func write(_ text: String, to path: String) throws {
        let file = try OutputFile.open(FilePath(path))
        try file.closeAfter { _ = try file.writeAll(text.utf8) }
    }
}

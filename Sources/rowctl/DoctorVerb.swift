import ArgumentParser
import Console
import Doctor
import Foundation
import NFSClient
import ROWProxy

struct DoctorVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Find what would keep rowfs from working on this machine.",
        discussion: """
            Looks at the kernel, ports, rights, disk, limits, clock and network, and asks each server of the \
            images, all at once. Each finding says why it matters and what mends it: a command to run, or a \
            line to change. Nothing is changed. Run it as the user that is to serve: rights are those of who asks.

            What is to be served is said by a file of settings, or by naming sources; without either by \
            \(Examined.standardFile), where there is one. Exit code 1 when there is a problem; warnings are none.
            """)

    @OptionGroup var examined: Examined

    @Flag(help: "As JSON, whose keys are stable.")
    var json = false

    func run() async throws {
        let findings = try await examined.findings()
        print(json ? try jsonText(findings) : text(findings))
        flushStandardOutput()
        guard !findings.contains(where: { $0.severity == .problem }) else {
            throw ExitCode.failure
        }
    }

    /// What needs attention last, where it is seen.
    private func text(_ findings: [Finding]) -> String {
        let order: [Finding.Severity] = [.fine, .warning, .problem]
        let all = order.flatMap { severity in
            findings.filter { $0.severity == severity }.flatMap(lines)
        }
        let counts = order.reversed().map { severity in
            "\(severity.rawValue): \(findings.count { $0.severity == severity })"
        }
        return (all + [counts.joined(separator: ", ")]).joined(separator: "\n")
    }

    private func lines(_ finding: Finding) -> [String] {
        let severity = finding.severity.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
        let head = "\(severity) \(finding.check.rawValue): \(finding.subject): \(finding.found)"
        let rest = [("why", finding.reason), ("remedy", finding.remedy)].compactMap { label, text in
            text.map { "           \(label): \($0.printable)" }
        }
        return [head.printable] + rest
    }
}

/// What is looked at.
struct Examined: ParsableArguments {
    static let standardFile = "/etc/rowfs/rowfs.yaml"

    @Argument(help: MainOptions.imageHelp)
    var sources: [String] = []

    @Option(
        name: .customLong("config"),
        help: ArgumentHelp("What a file of settings has served.", valueName: "file"))
    var file: String?

    @Flag(help: "Machines are to boot here, by 'rowctl netboot'.")
    var netboot = false

    @Option(help: ArgumentHelp("How long an answer is waited for.", valueName: "seconds"))
    var timeout = 2.0

    @OptionGroup var tls: TLSOptions

    @OptionGroup var state: StateOption

    func validate() throws {
        guard (0.1...3600).contains(timeout) else {
            throw ValidationError("--timeout must be from 0.1 to 3600 seconds")
        }
    }

    /// - Throws: what is wrong with sources that were named.
    func plan() throws -> Plan {
        let exists = FileManager.default.fileExists(atPath: Self.standardFile)
        let chosen = file ?? (sources.isEmpty && exists ? Self.standardFile : nil)
        var plan =
            chosen.map {
                Plan(
                    configuration: $0, state: state.path.map { _ in state.directory },
                    variables: ProcessInfo.processInfo.environment)
            } ?? Plan(state: state.directory)
        plan.images += try sources.map { try Plan.Image($0) }
        plan.bootsMachines = netboot
        return plan
    }

    func findings() async throws -> [Finding] {
        var surroundings = Surroundings()
        surroundings.patience = .milliseconds(Int64(timeout * 1000))
        let plan = try plan()
        surroundings.tls = tls.files == TLSFiles() ? plan.tls : tls.files
        return await Examination.findings(plan, surroundings)
    }
}

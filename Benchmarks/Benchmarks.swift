import ArgumentParser
import Foundation

@main
struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks",
        abstract:
            "Measure parts of the program alone, and the whole path beside other programs.",
        discussion: """
            The whole path is measured with a driver that is not our own client, in turns with \
            nfs-ganesha in the same run; what counts is the ratio of the medians. The section \
            'redirect' does the same work with other programs that redirect writes: \
            --peers names them. The last table has the goals. It starts and ends what it needs.
            Needs root, nfs-ganesha and libnfs ('make setup'), and what the peers are made of.
            """,
        subcommands: [Guard.self, GuardedParts.self, Attacks.self])

    @Option(help: ArgumentHelp("Only what has this in its name.", valueName: "text"))
    var filter = ""

    @Option(
        name: .customLong("section"),
        help: ArgumentHelp(
            "Only that, or those: \(Section.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "name"))
    var sections: [Section] = []

    @Option(
        help: ArgumentHelp(
            "Separated by commas: \(Peer.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "names"))
    var peers: Peers = .standard

    @Flag(help: "Install Debian packages that are missing, with apt-get.")
    var install = false

    @Option(help: ArgumentHelp("Measurements of each case and side.", valueName: "n"))
    var rounds = 5

    @Option(help: ArgumentHelp("Length of a measurement.", valueName: "s"))
    var seconds = 0.3

    @Option(help: ArgumentHelp("Of the files that are read and written.", valueName: "MiB"))
    var fileSize = 256

    @Option(
        help: ArgumentHelp(
            "TCP congestion control of all sides, in a network namespace of the run's own; "
                + "'system' leaves network and default as they are, where that is not permitted.",
            valueName: "name"))
    var congestion = "cubic"

    @Option(help: ArgumentHelp("Also write the results there.", valueName: "file"))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "Also draw a chart of each section there, as SECTION.svg.", valueName: "directory"))
    var charts: String?

    func validate() throws {
        guard rounds >= 1, seconds > 0, fileSize >= 1 else {
            throw ValidationError("--rounds, --seconds and --file-size must be positive")
        }
    }

    func run() async throws {
        #if DEBUG
            try Relaunch.asReleaseBuild()
        #endif
        let settings = Settings(
            filter: filter, rounds: rounds, seconds: seconds, fileBytes: fileSize << 20,
            peers: peers.all)
        let chosen = Section.allCases.filter {
            (sections.isEmpty || sections.contains($0)) && $0.hasAny(of: settings)
        }
        guard !chosen.isEmpty else {
            throw ValidationError("nothing has '\(filter)' in its name")
        }
        // Packages come by the network, which is out of reach in one of our own.
        if Relaunch.ownCongestion == nil {
            try await Requirements.check(chosen, settings, install: install)
        }
        if congestion != "system", Relaunch.ownCongestion == nil {
            try Relaunch.inOwnNetwork(congestion: congestion)
        }
        let report = Report()
        for section in chosen {
            report.begin(section)
            try await section.measure(settings, into: report)
        }
        report.finish()
        if let json { try report.write(to: json) }
        if let charts { try report.writeCharts(to: charts) }
    }
}

/// What a run measures, and for how long.
struct Settings: Sendable {
    let filter: String
    let rounds: Int
    /// Of one measurement.
    let seconds: Double
    /// Of the files that are read and written.
    let fileBytes: Int
    let peers: Set<Peer>

    /// Whether a case is to be measured.
    func selects(_ name: String) -> Bool {
        filter.isEmpty || name.range(of: filter, options: .caseInsensitive) != nil
    }
}

/// Tells people what goes on; results go to standard output.
func note(_ text: String) {
    FileHandle.standardError.write(Data("Benchmarks: \(text)\n".utf8))
}

import ArgumentParser
import Foundation
import Glibc
import ROWTestKit

@main
struct Benchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "Benchmarks",
        abstract:
            "Measure parts of the program alone, and the whole path beside nfs-ganesha.",
        discussion: """
            The whole path is measured with a driver that is not our own client, in turns with \
            nfs-ganesha in the same run; what counts is the ratio of the medians. Needs root, \
            nfs-ganesha and libnfs ('make setup').
            """)

    @Option(help: ArgumentHelp("Only what has this in its name.", valueName: "text"))
    var filter = ""

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

    func validate() throws {
        guard rounds >= 1, seconds > 0, fileSize >= 1 else {
            throw ValidationError("--rounds, --seconds and --file-size must be positive")
        }
    }

    func run() async throws {
        #if DEBUG
            try Relaunch.asReleaseBuild()
        #endif
        if congestion != "system", Relaunch.ownCongestion == nil {
            try Relaunch.inOwnNetwork(congestion: congestion)
        }
        let report = Report()
        for part in CodecParts.all + BlockParts.all + SessionParts.all where selects(part.name) {
            report.add(try part.measure(rounds: rounds, seconds: seconds))
        }
        let cases = WholePathCase.all.filter { selects($0.name) }
        if !cases.isEmpty {
            let lab = try await Lab(fileBytes: fileSize << 20, cases: cases)
            for item in cases {
                report.add(try await lab.measure(item, rounds: rounds, seconds: seconds))
            }
            try await lab.stop()
        }
        let durable = DurabilityCase.all.filter { selects($0.name) }
        if !durable.isEmpty {
            let lab = try await DurabilityLab()
            try await lab.measure(durable, rounds: rounds, seconds: seconds, into: report)
            try await lab.stop()
        }
        report.finish()
        if let json { try report.write(to: json) }
    }

    private func selects(_ name: String) -> Bool {
        filter.isEmpty || name.range(of: filter, options: .caseInsensitive) != nil
    }
}

/// This program once more, elsewhere. The calls only return by an error.
enum Relaunch {
    static func asReleaseBuild() throws {
        note("this is a debug build; building and running the release build instead")
        let root = ProjectPaths.root.path
        try execute(
            try Tool.find("swift"),
            ["run", "-c", "release", "--package-path", root, "Benchmarks"] + arguments)
    }

    private static let marker = "ROWFS_BENCH_CONGESTION"

    /// The congestion control of the network that ``inOwnNetwork(congestion:)`` made; nil elsewhere.
    static var ownCongestion: String? { ProcessInfo.processInfo.environment[marker] }

    /// nfs-ganesha takes the system's congestion control. A network namespace with routes of our own
    /// gives it another without changing anything for anybody else. What is mounted goes with the run, too.
    static func inOwnNetwork(congestion: String) throws {
        let script = """
            ip link set lo up || exit 1
            # nfs-ganesha resolves its address by AI_ADDRCONFIG, which wants one that is not loopback.
            ip address add 192.0.2.1/32 dev lo || exit 1
            for place in 127.0.0.0/8 127.0.0.1; do
                ip route replace local "$place" dev lo table local proto kernel scope host \
                    src 127.0.0.1 congctl "$0" || exit 1
            done
            exec "$@"
            """
        setenv(marker, congestion, 1)
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
        try execute(
            try Tool.find("unshare"),
            ["--net", "--mount", "/bin/sh", "-c", script, congestion, program] + arguments)
    }

    private static var arguments: [String] { Array(CommandLine.arguments.dropFirst()) }

    private static func execute(_ program: String, _ arguments: [String]) throws {
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        execv(program, words)
        throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
}

/// Tells people what goes on; results go to standard output.
func note(_ text: String) {
    FileHandle.standardError.write(Data("Benchmarks: \(text)\n".utf8))
}

import Foundation
import Glibc
import ROWTestKit

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

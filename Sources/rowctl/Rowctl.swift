import ArgumentParser
import Catalogue
import Console
import Foundation
import Logging
import NFSClient
import ROWProxy
import ROWSettings

struct Rowctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rowctl",
        abstract: "Private, writable views of a read-only image, for any NFSv3 client.",
        discussion: """
            A session is one client's private changes on an image. The image, a local directory or \
            the export of an NFS server, is never written to: only the blocks that a client reads \
            are fetched, only the blocks that it changes are stored.

            Exit codes: 0 done, 1 failed, 64 wrong arguments; of upgrade also 2, done with conflicts.
            """,
        version: "0.1.0",
        subcommands: [
            MountVerb.self, Unmount.self, Serve.self, ConfigVerb.self, Export.self,
            NetbootVerb.self, List.self, ApplianceVerb.self, StatSession.self,
            Mark.self, Report.self, Diff.self, Snapshot.self, Snapshots.self, Rollback.self,
            Clone.self, Commit.self, Upgrade.self,
            Check.self, Prefetch.self, Cache.self, ImageVerb.self, DoctorVerb.self, BugReport.self,
            Remove.self,
        ])
}

/// Runs a verb. What goes wrong is told in one line that begins with `rowctl:`, or in the log where programs
/// read that.
@main
enum Main {
    static func main() async {
        do {
            var command = try Rowctl.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            ProcessLog.output?.flush()
        } catch {
            end(with: error)
        }
    }

    private static func end(with error: any Error) -> Never {
        let code = Rowctl.exitCode(for: error)
        // Help and version come as errors too.
        guard !code.isSuccess else { Rowctl.exit(withError: error) }
        switch error {
        // It has said all there is to say.
        case let error as ExitCode: end(error.rawValue)
        case let error as CatalogueError where error.code == .invalid: fail("\(error)", EX_USAGE)
        case let error as SettingsError:
            for problem in error.problems { complain("\(problem)") }
            end(EX_USAGE)
        case is ConfigurationError, is UsageError: fail("\(error)", EX_USAGE)
        case let error as NFSClientError where error.code == .badURL: fail("\(error)", EX_USAGE)
        case _ where code == .validationFailure: fail(Rowctl.message(for: error), EX_USAGE)
        default: fail("\(error)", EXIT_FAILURE)
        }
    }

    private static func fail(_ message: String, _ code: Int32) -> Never {
        let line = message.split(separator: "\n").joined(separator: "; ")
        let advice = code == EX_USAGE ? " (rowctl help VERB explains the arguments)" : ""
        complain("\(line)\(advice)")
        end(code)
    }

    private static func complain(_ line: String) {
        guard let output = ProcessLog.output, output.isForPrograms else {
            FileHandle.standardError.write(Data("rowctl: \(line)\n".utf8))
            return
        }
        output.write(LogLine(level: .critical, message: line))
    }

    private static func end(_ code: Int32) -> Never {
        ProcessLog.output?.flush()
        exit(code)
    }
}

/// Arguments that cannot be meant: what, why, and what to do about it.
struct UsageError: Error, CustomStringConvertible {
    let description: String
}

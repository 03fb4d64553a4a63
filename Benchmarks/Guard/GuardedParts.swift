import ArgumentParser
import Foundation
import ROWTestKit

/// Parts of the program alone, in one process for all of them.
struct GuardedParts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guarded-parts",
        abstract: "The work that 'guard' counts in a process of its own.", shouldDisplay: false)

    private static let operations = 1000

    private static let all =
        CodecParts.all + RecordParts.all + BlockParts.all + SessionParts.small

    func run() throws {
        for part in Self.all {
            let body = try part.prepare()
            keep(body(Self.operations))
            guardMark()
            keep(body(Self.operations))
            guardMark()
            keep(body(2 * Self.operations))
            guardMark()
        }
    }

    static func count() async throws -> [Cost] {
        let folder = try TemporaryDirectory("rowfs-guard")
        let callgrind = Callgrind(in: folder)
        let command = try await callgrind.command(
            "Benchmarks", options: ["--dump-before=rowfs_guard_mark"])
        note("counting \(all.count) parts alone")
        try await runTool(
            command[0], command.dropFirst() + [configuration.commandName ?? ""],
            within: .seconds(300))
        return try all.enumerated().map { index, part in
            // Of the three dumps of each, the first has how it was made ready.
            let once = try callgrind.count(3 * index + 2)
            let twice = try callgrind.count(3 * index + 3)
            return (twice - once).cost(part.name, perOperation: operations)
        }
    }
}

/// Callgrind writes a dump when this is called.
@c(rowfs_guard_mark) @inline(never)
func guardMark() {}

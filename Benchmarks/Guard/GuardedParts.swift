import ArgumentParser
import Foundation
import Glibc
import ROWTestKit

/// Parts of the program alone, in one process for all of them.
struct GuardedParts: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "guarded-parts",
        abstract: "The work that 'guard' counts in a process of its own.", shouldDisplay: false)

    private static let operations = 1000
    private static let repetitions = 3

    private static let all =
        CodecParts.all + RecordParts.all + BlockParts.all + SessionParts.small

    func run() throws {
        for part in Self.all {
            let body = try part.prepare()
            keep(body(Self.operations))
            mark()
            for _ in 0..<Self.repetitions {
                keep(body(Self.operations))
                mark()
                keep(body(2 * Self.operations))
                mark()
            }
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
        // A dump of how a part was made ready, then two of each repetition.
        let dumps = 1 + 2 * repetitions
        return try all.enumerated().map { index, part in
            let first = index * dumps + 2
            let counts = try (first..<first + 2 * repetitions).map { try callgrind.count($0) }
            let once = stride(from: 0, to: counts.count, by: 2).map { counts[$0] }
            let twice = stride(from: 1, to: counts.count, by: 2).map { counts[$0] }
            return Cost(name: part.name, once: once, twice: twice, operations: operations)
        }
    }
}

/// Callgrind writes a dump when this is called. It does something, or the compiler would leave it out.
@c(rowfs_guard_mark) @inline(never)
func mark() { sched_yield() }

import ArgumentParser
import Foundation
import Glibc
import ROWTestKit

/// Fails when something that every call does has come to cost more.
struct Guard: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count what fixed work costs, and compare it with the bounds of the repository.",
        discussion: """
            Instructions and allocations are counted by callgrind (valgrind), not timed, so what else \
            the machine does makes no difference. The bounds are in Benchmarks/Guard/bounds.json.
            """)

    @Flag(help: "Write what was counted to the file of bounds.")
    var update = false

    func run() async throws {
        #if DEBUG
            try Relaunch.asReleaseBuild()
        #endif
        let figures = try await GuardedParts.count() + GuardedCalls.count()
        if update { return try Bounds.write(figures) }
        let comparison = try Bounds.read().compare(with: figures)
        print(comparison.table)
        for text in comparison.notes { print("guard: \(text)") }
        guard comparison.failures.isEmpty else {
            // What is wrong comes last, in a log of both streams too.
            fflush(nil)
            for text in comparison.failures { note(text) }
            note(Bounds.rule)
            throw ExitCode.failure
        }
    }
}

/// What one operation of a workload costs.
struct Cost: Codable, Equatable, Sendable {
    let name: String
    let instructions: Double
    /// Calls of malloc and its like.
    let allocations: Double
}

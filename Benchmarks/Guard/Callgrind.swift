import Foundation
import ROWTestKit

/// This build's programs under callgrind, which counts instructions and calls of all threads.
struct Callgrind {
    /// What was counted between two moments.
    struct Count {
        var instructions = 0.0
        var allocations = 0.0
    }

    private let folder: TemporaryDirectory

    init(in folder: TemporaryDirectory) { self.folder = folder }

    /// A command that runs a program of this build.
    /// - Parameter options: of callgrind.
    func command(_ program: String, options: [String] = []) async throws -> [String] {
        // valgrind 3.19 cannot read what the compiler writes for debuggers, and gives up.
        let stripped = folder.path("\(program).stripped")
        if !FileManager.default.fileExists(atPath: stripped) {
            try await runTool(
                "strip",
                ["--strip-debug", "-o", stripped, try ProjectPaths.builtProgram(program)])
        }
        let library = try await CProgram.build(
            "under-valgrind", flags: ["-shared", "-fPIC"], in: folder)
        return [
            // With a seed of chance, dictionaries have more collisions in one process than in another.
            "env", "SWIFT_DETERMINISTIC_HASHING=1", "LD_PRELOAD=\(library)", "valgrind", "-q",
            "--tool=callgrind",
            "--compress-strings=no",
            "--callgrind-out-file=\(folder.path("counts"))",
            // Left out, because it happens every second: reading what the process takes.
            "--toggle-collect=$s8ROWProxy12ProcessUsageC7readingAA13HistorySampleVyF",
            "--collect-atstart=yes",
        ] + options + [stripped]
    }

    /// What was counted until the dump with that number, since the one before.
    func count(_ number: Int) throws -> Count {
        let path = folder.path("counts.\(number)")
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw MissingDump(number: number)
        }
        var count = Count()
        var isAllocation = false
        for line in text.split(separator: "\n") {
            if line.hasPrefix("cfn=") {
                isAllocation = Self.allocators.contains(line.dropFirst(4))
            } else if isAllocation, line.hasPrefix("calls=") {
                count.allocations += Double(line.dropFirst(6).prefix { $0 != " " }) ?? 0
            } else if line.hasPrefix("totals: ") {
                count.instructions = Double(line.dropFirst(8)) ?? 0
            }
        }
        guard count.instructions > 0 else { throw MissingDump(number: number) }
        return count
    }

    private static let allocators: Set<Substring> = [
        "malloc", "calloc", "realloc", "memalign", "aligned_alloc", "posix_memalign",
    ]

    struct MissingDump: Error, CustomStringConvertible {
        let number: Int
        var description: String { "callgrind did not write a whole dump number \(number)" }
    }
}

extension Cost {
    /// - Parameter once: what so many operations took, each time with the same that was done beside them.
    /// - Parameter twice: what twice as many took.
    init(name: String, once: [Callgrind.Count], twice: [Callgrind.Count], operations: Int) {
        // The least, when nothing else was done at the time.
        func difference(_ figure: (Callgrind.Count) -> Double) -> Double {
            ((twice.map(figure).min() ?? 0) - (once.map(figure).min() ?? 0)) / Double(operations)
        }
        self.init(
            name: name, instructions: round(difference(\.instructions)),
            allocations: round(difference(\.allocations) * 100) / 100)
    }
}

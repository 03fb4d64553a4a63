import ArgumentParser
import Foundation
import Glibc
import ROWTestKit

/// What a hostile client reaches, and what others notice of it.
struct Attacks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Attack a server, and measure its memory and what other clients get meanwhile.",
        discussion: """
            Clients attack, the server of the image ("main"), and other users of the machine ("local"). \
            Each attack has a server of its own, which four other clients read from. What the slowest of \
            them gets during the attack is compared with what it gets of a quiet machine; for other users \
            of the machine with what it gets while they do the same to another server; and for main with \
            what it gets while the same is asked of a main that means well. It fails when memory grows \
            beyond its bound, when that is less than half, or when something is let in or lost.
            """)

    @Option(help: ArgumentHelp("Only what has this in its name.", valueName: "text"))
    var only = ""

    func run() async throws {
        #if DEBUG
            try Relaunch.asReleaseBuild()
        #endif
        try Self.raiseLimit()
        let chosen = Fight.all.filter { only.isEmpty || $0.name.contains(only) }
        guard !chosen.isEmpty else {
            throw ValidationError("no attack has '\(only)' in its name")
        }
        print(AttackResult.heading)
        var failures: [String] = []
        for fight in chosen {
            do {
                let result = try await fight.run()
                print(result.row)
                failures += result.failures.map { "\(fight.name): \($0)" }
            } catch {
                failures.append("\(fight.name): \(error)")
                print(AttackResult.row(of: fight.name, error: error))
            }
            fflush(nil)
        }
        guard failures.isEmpty else {
            for failure in failures { note(failure) }
            throw ExitCode.failure
        }
    }

    /// Ten thousand connections have two ends.
    private static func raiseLimit() throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        guard limit.rlim_cur >= 12_000 else {
            throw ValidationError(
                "needs 12,000 descriptors ('ulimit -n'), and has \(limit.rlim_cur)")
        }
    }
}

/// One attack of any kind, and how it is carried out.
struct Fight: Sendable {
    let name: String
    let run: @Sendable () async throws -> AttackResult

    static let all =
        Attack.all.map { attack in
            Fight(name: attack.name) { try await Battle(attack).fight() }
        }
        + MainAttack.all.map { attack in
            Fight(name: attack.name) { try await MainBattle(attack).fight() }
        }
}

/// What came of an attack.
struct AttackResult {
    let name: String
    /// Bytes that the server had before, and the most that it had during the attack.
    let before: Int
    let peak: Int
    /// What other clients get of a machine that does nothing else; of one that does the same as in the attack, to no
    /// harm of the server; and of one whose server is attacked.
    let quiet: Others
    let compared: Others
    let meanwhile: Others
    let outcome: String
    let wrongs: [String]
    var growthMaximum = Self.growthOfClientsMaximum

    /// More than a server needs for all that its clients may have under way.
    static let growthOfClientsMaximum = 256 << 20
    /// One server has one connection and is asked for so much at a time; the largest part is the window for
    /// blocks that are fetched ahead, and what the image database keeps of its last transactions.
    static let growthOfMainMaximum = 128 << 20
    static let shareMinimum = 0.5

    var failures: [String] {
        var failures = wrongs
        if peak - before > growthMaximum {
            failures.append("memory grew by \((peak - before) >> 20) MiB")
        }
        if !(share >= Self.shareMinimum) {
            failures.append(String(format: "others get %.2f", share))
        }
        return failures
    }

    private var share: Double { meanwhile.rate / compared.rate }

    static let heading =
        line("attack", ["before", "most MiB", "others get", "of quiet", "longest ms"], "outcome")

    var row: String {
        let columns = [
            String(before >> 20), String(peak >> 20), String(format: "%.2f", share),
            String(format: "%.2f", meanwhile.rate / quiet.rate),
            String(format: "%.0f", meanwhile.longestWaitMilliseconds),
        ]
        return Self.line(
            name, columns,
            failures.isEmpty
                ? outcome : "FAILED: \(failures.joined(separator: ", ")) (\(outcome))")
    }

    static func row(of name: String, error: any Error) -> String {
        line(name, [String](repeating: "?", count: 5), "FAILED: \(error)")
    }

    private static func line(_ name: String, _ columns: [String], _ last: String) -> String {
        let cells = columns.map { text in
            String(repeating: " ", count: max(1, 11 - text.count)) + text
        }
        return name.padding(toLength: 31, withPad: " ", startingAt: 0) + cells.joined() + "  "
            + last
    }
}

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
            Each attack has a server of its own. Other clients' READs are measured before and during \
            the attack. It fails when memory grows beyond its bound, when they get less than half, or \
            when something is let in or lost.
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
            let result = try await fight.run()
            print(result.row)
            fflush(nil)
            failures += result.failures.map { "\(fight.name): \($0)" }
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
    /// READs of other clients in a second, before and meanwhile.
    let undisturbed: Double
    let meanwhile: Double
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
        if meanwhile < Self.shareMinimum * undisturbed {
            failures.append(String(format: "others got %.2f of before", meanwhile / undisturbed))
        }
        return failures
    }

    static let heading =
        "attack                           MiB before     most   others get  outcome"

    var row: String {
        let columns = [
            String(before >> 20), String(peak >> 20),
            String(format: "%.2f", meanwhile / undisturbed),
        ]
        let numbers = zip(columns, [11, 8, 12]).map { text, width in
            String(repeating: " ", count: max(1, width - text.count)) + text
        }
        return name.padding(toLength: 32, withPad: " ", startingAt: 0) + numbers.joined() + "  "
            + (failures.isEmpty ? outcome : "FAILED: \(failures.joined(separator: ", "))")
    }
}

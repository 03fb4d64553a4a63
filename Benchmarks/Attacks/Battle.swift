import Foundation
import ROWTestKit

/// A server under one attack, with other clients beside it.
final class Battle {
    private let attack: Attack
    private let folder: TemporaryDirectory

    private static let file = "data"
    private static let fileBytes = 4 << 20
    private static let secret = "not for clients"

    init(_ attack: Attack) throws {
        self.attack = attack
        folder = try TemporaryDirectory("rowfs-attack")
        try TestFile.make(
            "\(try folder.directory("image"))/\(Self.file)", bytes: Self.fileBytes, seed: 1)
        _ = try folder.file("secret", Self.secret)
    }

    func fight() async throws -> AttackResult {
        let proxy = try await serve("state")
        let quiet = try await others(proxy)
        let (compared, elsewhere) =
            attack.isLocal ? try await withAnotherAttacked(beside: proxy) : (quiet, [])
        let before = try ProcessMemory.residentBytes(of: proxy.processID)
        try ProcessMemory.resetPeak(of: proxy.processID)
        let (meanwhile, outcome) = try await others(proxy, whileAttacked: proxy, at: "state")
        let peak = try ProcessMemory.peakBytes(of: proxy.processID)
        var wrongs = elsewhere + outcome.wrongs
        if proxy.errors.contains("Fatal error") { wrongs.append("it crashed") }
        // Whole and as it was, for others and at the source.
        let load = Load(
            operation: .read, sizeBytes: 65_536, inFlight: 1, file: Self.file, localCopy: localCopy)
        try await load.run(on: Server(proxy), calls: Self.fileBytes / 65_536)
        guard try await proxy.terminate() == .exited(0) else {
            throw AttackFailure(description: "the server did not end in peace: \(proxy.errors)")
        }
        _ = try await RowctlProcess.run(["fsck", "victim", "--state", folder.path("state")])
        return AttackResult(
            name: attack.name, before: before, peak: peak, quiet: quiet, compared: compared,
            meanwhile: meanwhile, outcome: outcome.text, wrongs: wrongs)
    }

    /// What others get while the same is done to another server of the machine: programs that another user starts
    /// take processors from all that runs there, and that no server can help.
    private func withAnotherAttacked(
        beside proxy: RowctlProcess
    ) async throws -> (others: Others, wrongs: [String]) {
        let another = try await serve("another")
        let (others, outcome) = try await others(proxy, whileAttacked: another, at: "another")
        guard try await another.terminate() == .exited(0) else {
            throw AttackFailure(
                description: "the other server did not end in peace: \(another.errors)")
        }
        return (others, outcome.wrongs)
    }

    private func others(
        _ proxy: RowctlProcess, whileAttacked target: RowctlProcess, at state: String
    ) async throws -> (Others, Attack.Outcome) {
        let attacker = Attacker(
            port: target.export.port, file: Self.file, state: folder.path(state))
        let attack = attack
        let under = Task.detached { try await attack.run(attacker) }
        do {
            // What others get counts once all that attacks is there.
            try await poll(for: "beginning of the attack", within: .seconds(60)) {
                attacker.isAtWork ? () : nil
            }
            let others = try await others(proxy)
            attacker.stop()
            return (others, try await under.value)
        } catch {
            attacker.stop()
            _ = try await under.value
            throw error
        }
    }

    private var localCopy: String { folder.path("image/\(Self.file)") }

    private func serve(_ state: String) async throws -> RowctlProcess {
        try await RowctlProcess.start([
            "serve", folder.path("image"), "--session", "victim", "--state", folder.path(state),
        ])
    }

    private func others(_ proxy: RowctlProcess) async throws -> Others {
        try await Others(reading: Self.file, of: Server(proxy), localCopy: localCopy)
    }
}

struct AttackFailure: Error, CustomStringConvertible {
    let description: String
}

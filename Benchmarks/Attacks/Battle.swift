import Foundation
import ROWTestKit

/// A server under one attack, with other clients beside it.
final class Battle {
    private let attack: Attack
    private let folder: TemporaryDirectory

    private static let file = "data"
    private static let fileBytes = 4 << 20
    private static let secret = "not for clients"
    private static let rounds = 3
    private static let seconds = 1.0

    init(_ attack: Attack) throws {
        self.attack = attack
        folder = try TemporaryDirectory("rowfs-attack")
        try TestFile.make(
            "\(try folder.directory("image"))/\(Self.file)", bytes: Self.fileBytes, seed: 1)
        _ = try folder.file("secret", Self.secret)
    }

    func fight() async throws -> AttackResult {
        let proxy = try await RowctlProcess.start([
            "serve", folder.path("image"), "--session", "victim", "--state", folder.path("state"),
        ])
        let undisturbed = try await others(Server(proxy))
        let before = try ProcessMemory.residentBytes(of: proxy.processID)
        try ProcessMemory.resetPeak(of: proxy.processID)
        let attacker = Attacker(
            port: proxy.export.port, file: Self.file, state: folder.path("state"))
        let attack = attack
        let under = Task.detached { try await attack.run(attacker) }
        // What others get counts once all that attacks is there.
        try await poll(for: "beginning of the attack", within: .seconds(60)) {
            attacker.isAtWork ? () : nil
        }
        let meanwhile = try await others(Server(proxy))
        attacker.stop()
        let outcome = try await under.value
        let peak = try ProcessMemory.peakBytes(of: proxy.processID)
        var wrongs = outcome.wrongs
        if proxy.errors.contains("Fatal error") { wrongs.append("it crashed") }
        // Whole and as it was, for others and at the source.
        let load = load(of: 65_536, inFlight: 1)
        try await load.run(on: Server(proxy), calls: Self.fileBytes / 65_536)
        guard try await proxy.terminate() == .exited(0) else {
            throw AttackFailure(description: "the server did not end in peace: \(proxy.errors)")
        }
        _ = try await RowctlProcess.run(["fsck", "victim", "--state", folder.path("state")])
        return AttackResult(
            name: attack.name, before: before, peak: peak, undisturbed: undisturbed,
            meanwhile: meanwhile, outcome: outcome.text, wrongs: wrongs)
    }

    private func load(of size: Int, inFlight: Int) -> Load {
        Load(
            operation: .read, sizeBytes: size, inFlight: inFlight, file: Self.file,
            localCopy: folder.path("image/\(Self.file)"), connections: inFlight)
    }

    /// The median of READs in a second.
    private func others(_ server: Server) async throws -> Double {
        var rates: [Double] = []
        for _ in 0..<Self.rounds {
            let result = try await load(of: 4096, inFlight: 4).run(
                on: server, seconds: Self.seconds)
            rates.append(result.callsPerSecond)
        }
        return rates.sorted()[Self.rounds / 2]
    }
}

struct AttackFailure: Error, CustomStringConvertible {
    let description: String
}

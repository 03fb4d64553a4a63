import Foundation
import NFSProtocol
import ROWTestKit
import Synchronization
import XDR

/// A proxy whose image is on a server that means no good, and clients that have it ask there.
///
/// Other clients read what their session has stored: that needs nothing of the server.
final class MainBattle {
    private let attack: MainAttack
    private let folder: TemporaryDirectory
    private let tree = HostileTree()

    private static let kept = "kept"
    private static let keptBytes = 4 << 20
    private static let askers = 4
    /// A thousand questions in a second together.
    private static let pause = Duration.milliseconds(4)

    init(_ attack: MainAttack) throws {
        self.attack = attack
        folder = try TemporaryDirectory("rowfs-attack")
        try TestFile.make(folder.path(Self.kept), bytes: Self.keptBytes, seed: 2)
        try Data(tree.read).write(to: URL(fileURLWithPath: folder.path(HostileTree.readName)))
    }

    func fight() async throws -> AttackResult {
        let main = try await SimulatedNFSServer.start(tree.root)
        let (quiet, compared) = try await withGoodMain(main)

        let proxy = try await serve(main, "state")
        let before = try ProcessMemory.residentBytes(of: proxy.processID)
        try ProcessMemory.resetPeak(of: proxy.processID)
        let attack = attack
        let asked = try await others(proxy, whileAsked: main, "state") { attack.answer($0, $1) }
        let peak = try ProcessMemory.peakBytes(of: proxy.processID)

        try await checkAfterwards(Server(proxy), attacker(proxy, "state"))
        guard try await proxy.terminate() == .exited(0), !proxy.errors.contains("Fatal error")
        else {
            throw AttackFailure(description: "the server did not end in peace: \(proxy.errors)")
        }
        _ = try await RowctlProcess.run(["fsck", "victim", "--state", folder.path("state")])
        try await main.stop()
        let (right, refused) = (asked.clients.right, asked.clients.refused)
        var wrongs = asked.clients.wrongs.sorted()
        switch attack.leaves {
        case .everything where refused > 0: wrongs.append("\(refused) answers are errors")
        case .something where right == 0: wrongs.append("no answer is right")
        default: break
        }
        return AttackResult(
            name: attack.name, before: before, peak: peak, quiet: quiet, compared: compared,
            meanwhile: asked.others,
            outcome: "\(asked.answers) answers; clients: \(right) right, \(refused) refused",
            wrongs: wrongs, growthMaximum: AttackResult.growthOfMainMaximum)
    }

    /// The same questions to a main that means well, and which has the same work with its answers.
    private func withGoodMain(
        _ main: SimulatedNFSServer
    ) async throws -> (quiet: Others, asked: Others) {
        let proxy = try await serve(main, "good")
        let quiet = try await others(proxy)
        let attack = attack
        let asked = try await others(proxy, whileAsked: main, "good") { call, number in
            _ = attack.answer(call, number)
            return nil
        }
        guard asked.clients.refused == 0, asked.clients.wrongs.isEmpty else {
            throw AttackFailure(
                description:
                    "of a main that means well \(asked.clients.refused) answers are errors "
                    + "and these wrong: \(asked.clients.wrongs.sorted())")
        }
        _ = try await proxy.terminate()
        return (quiet, asked.others)
    }

    private struct Asked {
        let others: Others
        let clients: HostileMainAsker.Outcome
        /// Of main.
        let answers: Int
    }

    /// What others get while clients ask for what only main has.
    private func others(
        _ proxy: RowctlProcess, whileAsked main: SimulatedNFSServer, _ state: String,
        _ script: @escaping @Sendable (SimulatedNFSServer.Exchange, Int) -> [UInt8]?
    ) async throws -> Asked {
        let (attacker, tree, tellsNames) = (attacker(proxy, state), tree, attack.tellsNames)
        let askers = try (0..<Self.askers).map {
            try HostileMainAsker(attacker, tree, $0, tellsNames: tellsNames, pause: Self.pause)
        }
        let answers = Atomic<Int>(0)
        main.setScript { script($0, answers.add(1, ordering: .relaxed).oldValue) }
        defer { main.setScript(nil) }
        let asking = askers.map { asker in
            Task { try await Self.onThread { try asker.ask() } }
        }
        var total = HostileMainAsker.Outcome()
        do {
            try await poll(for: "answers of main", within: .seconds(60)) {
                answers.load(ordering: .relaxed) >= Self.askers ? () : nil
            }
            let others = try await others(proxy)
            attacker.stop()
            for task in asking { total.add(try await task.value) }
            return Asked(
                others: others, clients: total, answers: answers.load(ordering: .relaxed))
        } catch {
            attacker.stop()
            throw error
        }
    }

    /// A proxy of main, with a file of the session's own, and one of main's that is kept on this machine.
    private func serve(
        _ main: SimulatedNFSServer, _ state: String
    ) async throws -> RowctlProcess {
        let proxy = try await RowctlProcess.start([
            "serve", main.export.url, "--session", "victim", "--state", folder.path(state),
            "--main-timeout", "1",
        ])
        try await prepare(Server(proxy), attacker(proxy, state))
        return proxy
    }

    private func attacker(_ proxy: RowctlProcess, _ state: String) -> Attacker {
        Attacker(
            port: proxy.export.port, file: HostileTree.readName, state: folder.path(state))
    }

    /// Runs what waits for sockets, of which there are more than tasks have threads.
    private static func onThread<Value: Sendable>(
        _ body: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { done in
            Thread.detachNewThread { done.resume(with: Result(catching: body)) }
        }
    }

    private func prepare(_ server: Server, _ attacker: Attacker) async throws {
        let (socket, root, _) = try attacker.enter()
        let location = NFS3.DirectoryOperation(
            directory: NFS3.FileHandle(root)!, name: NFS3.Filename(Self.kept))
        _ = try socket.call(
            procedure: NFS3.Procedure.create.rawValue,
            NFS3.Create.Arguments(
                location: location,
                how: .unchecked(
                    NFS3.SetAttributes(
                        mode: 0o644, size: UInt64(Self.keptBytes)))
            ).encoded())
        try await load(.write, Self.kept, 65_536).run(on: server, calls: Self.keptBytes / 65_536)
        try await load(.read, HostileTree.readName, 65_536).run(
            on: server, calls: tree.read.count / 65_536)
    }

    /// What was written and what was read before is as it was, and what was not is to be had again.
    private func checkAfterwards(_ server: Server, _ attacker: Attacker) async throws {
        for name in [Self.kept, HostileTree.readName] {
            let bytes = name == Self.kept ? Self.keptBytes : tree.read.count
            try await load(.read, name, 65_536).run(on: server, calls: bytes / 65_536)
        }
        let (socket, _, file) = try attacker.enter(HostileTree.unreadName)
        try await poll(for: "answer of a server that means well again", within: .seconds(60)) {
            let data = try socket.read(file, offset: 0, count: 65_536)
            guard let data else { return nil as Void? }
            guard data == tree.unread.prefix(65_536) else {
                throw AttackFailure(description: "what was not read before is not what it was")
            }
            return ()
        }
    }

    private func load(_ operation: Load.Operation, _ name: String, _ size: Int) -> Load {
        Load(
            operation: operation, sizeBytes: size, inFlight: 1, file: name,
            localCopy: folder.path(name), isStable: operation == .write)
    }

    private func others(_ proxy: RowctlProcess) async throws -> Others {
        try await Others(
            reading: Self.kept, of: Server(proxy), localCopy: folder.path(Self.kept))
    }
}

/// What the server has, when it means well.
struct HostileTree: Sendable {
    static let readName = "read"
    static let unreadName = "unread"
    static let bigName = "big"
    static let directories = 500
    static let bigBytes = 32 << 20

    let read = Self.bytes(1 << 20, seed: 3)
    let unread = Self.bytes(1 << 20, seed: 4)
    let big = Self.bytes(bigBytes, seed: 5)

    var root: SimulatedTree.Item {
        .directory(
            [
                (Self.readName, .file(read)), (Self.unreadName, .file(unread)),
                (Self.bigName, .file(big)),
            ]
                + (0..<Self.directories).map { number in
                    (
                        "d\(number)",
                        .directory(
                            (0..<8).map { ("f\($0)", .file(Self.text(number, $0))) }
                                + (0..<4).map { ("l\($0)", .symlink("f\($0)")) })
                    )
                })
    }

    static func text(_ directory: Int, _ file: Int) -> String { "file \(file) of \(directory)\n" }

    private static func bytes(_ count: Int, seed: UInt32) -> [UInt8] {
        var word = seed
        return (0..<count).map { _ in
            word = word &* 1_664_525 &+ 1_013_904_223
            return UInt8(word >> 24)
        }
    }
}

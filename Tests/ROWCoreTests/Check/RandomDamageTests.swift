import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Random bytes of a session are changed: the check, the repair and opening answer, whatever that does.
/// `ROWFS_SEED=… swift test --filter RandomDamageTests` repeats a run.
@Suite struct RandomDamageTests {
    private static let rounds = 0..<12

    @Test(arguments: rounds)
    func nothingCrashesOnRandomDamage(round: Int) throws {
        var random = Randomness(for: UInt64(7_000_000 + round))
        print("round \(round): \(random.note)")
        let session = try DamagedSession()
        let files =
            ["/session.sqlite"]
            + (try Disk.names(session.directory + "/shadow")).map { "/shadow/" + $0 }
        for _ in 0...random.below(4) {
            let file = random.below(2) == 0 ? files[0] : files[random.below(files.count)]
            try session.edit(session.directory + file) { damage(&$0, &random) }
        }
        use(session)
        let found = try session.check()
        let report = try session.check(isRepairing: true, source: session.engine.main.source)
        #expect(report.findings.count >= (found.isClean ? 0 : 1), "\(random.note)")
        let isNewer = report.left.contains { $0.kind == .newerSchema }
        #expect(report.isClean || isNewer, "\(random.note) \(report.left)")
        let again = try session.check(isRepairing: true)
        #expect(again.isClean || isNewer, "\(random.note) \(again.left)")
        #expect(again.lostAndFound == nil, "\(random.note) \(again.findings)")
        use(session)
        guard !isNewer else { return }
        // Damage can look like the name of another image, which no repair may put right.
        let standing = try StoredSession.read(FilePath(session.directory)).image
        guard standing == session.engine.main.source else {
            #expect(throws: StateError.self, "\(random.note)") { try session.engine.open() }
            return
        }
        try session.engine.open()
        try session.engine.create(.root, "later")
        #expect(try session.engine.names(.root).contains("later"), "\(random.note)")
    }

    private func damage(_ data: inout Data, _ random: inout Randomness) {
        guard !data.isEmpty else { return }
        switch random.below(6) {
        case 0: data.removeLast(random.below(data.count))
        case 1:
            let start = random.below(data.count)
            for place in start..<min(start + 1 + random.below(5000), data.count) {
                data[place] = UInt8(random.below(256))
            }
        case 2: data.append(Data(repeating: 7, count: random.below(20_000)))
        default:
            for _ in 0...random.below(20) {
                data[random.below(data.count)] ^= UInt8(1 << random.below(8))
            }
        }
    }

    /// Opens the session and touches all that it can find; refusals are answers too.
    private func use(_ session: DamagedSession) {
        let engine = session.engine
        _ = try? SessionDiff.read(
            session: FilePath(session.directory), image: FilePath(engine.imageDirectory))
        _ = try? StoredSession.read(FilePath(session.directory))
        guard (try? engine.open()) != nil else { return }
        for path in DamagedSession.files {
            guard let id = try? engine.lookup(path) else { continue }
            _ = try? engine.read(id)
            _ = try? engine.attributes(id)
        }
        for path in [""] + DamagedSession.directories {
            guard let id = path.isEmpty ? .root : try? engine.lookup(path) else { continue }
            _ = try? engine.names(id)
        }
        _ = try? engine.session.storedReplies()
        try? engine.close()
    }
}

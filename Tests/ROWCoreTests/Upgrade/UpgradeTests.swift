import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// An upgrade around the merge: what is refused, what failures leave, and the way back.
@Suite struct UpgradeTests {
    private let base: PlainTree
    private let next: PlainTree
    private let engine: Engine
    private let root: String

    init() throws {
        var tree = PlainTree()
        tree.make("same", data: [UInt8](repeating: 1, count: 20_000))
        tree.make("both", data: [UInt8](repeating: 2, count: 20_000))
        tree.make("theirs", data: Array("old".utf8))
        base = tree
        for name in ["both", "theirs"] {
            guard let id = tree.find(name) else { preconditionFailure() }
            tree[id].data = Array("new \(name)".utf8)
            tree[id].attributes.size = UInt64(tree[id].data.count)
            tree[id].attributes.mtime.seconds += 1000
        }
        next = tree
        engine = try Engine(PlainMain(base))
        root = engine.directory
        try engine.store(try engine.lookup("same"), 5000, [9, 9, 9])
        try engine.takeSnapshot("early")
        try engine.store(try engine.lookup("both"), 100, [8])
        try engine.create(.root, "made")
    }

    private var session: FilePath { FilePath(engine.sessionDirectory) }

    private func open(_ place: String = "/state") async throws -> Image {
        try await Image.open(
            PlainSource(next, name: "test:new"), state: StateLayout(FilePath(root + place)),
            options: Workplace.relaxed)
    }

    private func upgrade(
        _ image: Image, from old: PlainSource? = nil, isDryRun: Bool = false
    ) async throws -> UpgradeReport {
        try await SessionUpgrade.run(
            session: session, oldImage: FilePath(engine.imageDirectory),
            from: old ?? PlainSource(base), to: image, isDryRun: isDryRun)
    }

    private func error(_ body: () async throws -> Void) async -> String {
        do { try await body() } catch { return "\(error)" }
        return ""
    }

    /// What the session shows on the image that it stands on, by name.
    private func contents(_ tree: PlainTree, _ image: String, _ source: String) throws -> [String:
        [UInt8]]
    {
        let place = Engine.newDirectory()
        defer { try? FileManager.default.removeItem(atPath: place) }
        let files = FileManager.default
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
        try files.copyItem(atPath: session.string, toPath: place + "/session")
        try files.copyItem(atPath: image, toPath: place + "/image")
        let engine = try Engine(PlainMain(tree, source: source), directory: place)
        #expect(engine.events.isEmpty)
        var found: [String: [UInt8]] = [:]
        for name in try engine.names(.root) {
            found[name] = try engine.read(try engine.lookup(name)).bytes
        }
        try engine.close()
        return found
    }

    private func isOld() throws -> Bool {
        try StoredSession.read(session).image == "test:plain"
    }

    private func expectClean(_ image: Image) throws {
        let images = [FilePath(engine.imageDirectory), image.state.image(image.name)]
        let report = try SessionCheck.run(session: session, images: images)
        #expect(report.isClean, "\(report.findings)")
    }

    private var changed: (same: [UInt8], both: [UInt8]) {
        var same = [UInt8](repeating: 1, count: 20_000)
        same.replaceSubrange(5000..<5003, with: [9, 9, 9])
        var both = [UInt8](repeating: 2, count: 20_000)
        both[100] = 8
        return (same, both)
    }

    private var before: [String: [UInt8]] {
        [
            "same": changed.same, "both": changed.both, "theirs": Array("old".utf8), "made": [],
        ]
    }

    private var after: [String: [UInt8]] {
        [
            "same": changed.same, "both": changed.both, "both.main": Array("new both".utf8),
            "theirs": Array("new theirs".utf8), "made": [],
        ]
    }

    // MARK: Tests

    @Test func anUpgradeIsUndoneByItsSnapshotAndEarlierOnesStay() async throws {
        try engine.close()
        let image = try await open()
        let report = try await upgrade(image)
        #expect(
            report.conflicts.map(\.description) == [
                "conflict /both: changed in the session and in main; main's is /both.main"
            ])
        #expect(report.files == 2 && report.blocks == 2 && report.merged == 0)
        #expect(report.snapshot == "before-upgrade-1")
        #expect(try StoredSnapshot.all(of: session).map(\.tag) == ["early", "before-upgrade-1"])
        try await image.close()
        let path = image.state.image("test:new").string
        #expect(try contents(next, path, "test:new") == after)

        try StoredSession.rollBack(session, to: "before-upgrade-1")
        #expect(try contents(base, engine.imageDirectory, "test:plain") == before)
        try StoredSession.rollBack(session, to: "early")
        #expect(
            try contents(base, engine.imageDirectory, "test:plain") == [
                "same": changed.same, "both": base[try #require(base.find("both"))].data,
                "theirs": Array("old".utf8),
            ])
        try expectClean(image)
    }

    @Test func aCloneOfTheSnapshotBeforeStandsOnTheOldImage() async throws {
        try engine.close()
        let image = try await open()
        _ = try await upgrade(image)
        try await image.close()
        try StoredSession.clone(session, from: "before-upgrade-1", to: FilePath(root + "/copy"))
        #expect(try StoredSession.read(FilePath(root + "/copy")).image == "test:plain")
        let other = try StoredSession.read(session)
        #expect(other.image == "test:new")
    }

    @Test func handlesOfBeforeAreStaleAndNumbersAreNotUsedAgain() async throws {
        let made = try engine.lookup("made")
        let handle = engine.session.handle(of: made)
        let rootHandle = engine.session.handle(of: .root)
        try engine.close()
        let image = try await open()
        _ = try await upgrade(image)
        try await image.close()
        let place = Engine.newDirectory()
        let files = FileManager.default
        try files.createDirectory(atPath: place, withIntermediateDirectories: true)
        defer { try? files.removeItem(atPath: place) }
        try files.copyItem(atPath: session.string, toPath: place + "/session")
        try files.copyItem(
            atPath: image.state.image("test:new").string, toPath: place + "/image")
        let later = try Engine(PlainMain(next, source: "test:new"), directory: place)
        for handle in [handle, rootHandle] {
            #expect(
                later.status { session throws(Interrupt) in try session.node(of: handle) } == .stale
            )
        }
        #expect(try later.lookup("made") == made)
        #expect(try later.create(.root, "more").rawValue > later.lookup("both").rawValue)
        try later.close()
    }

    @Test func aSessionThatIsServedIsRefused() async throws {
        let image = try await open()
        #expect(await error { _ = try await upgrade(image) }.contains("is served now"))
        try await image.close()
        try engine.close()
    }

    @Test func aDryRunChangesNothingOfTheSession() async throws {
        try engine.close()
        let image = try await open()
        let rows = try Disk.contents(session.string + "/session.sqlite")
        let report = try await upgrade(image, isDryRun: true)
        #expect(report.conflicts.count == 1 && report.snapshot == nil)
        #expect(try Disk.contents(session.string + "/session.sqlite") == rows)
        #expect(try StoredSnapshot.all(of: session).map(\.tag) == ["early"])
        try await image.close()
    }

    @Test func anOldImageThatIsAwayStopsOnlyConflicts() async throws {
        try engine.close()
        let image = try await open()
        let away = PlainSource(base)
        away.fail(with: .jukebox)
        let message = await error { _ = try await upgrade(image, from: away) }
        #expect(message.contains("/both") && !message.contains("/same"))
        #expect(try isOld())
        #expect(try StoredSnapshot.all(of: session).map(\.tag) == ["early"])
        #expect(try contents(base, engine.imageDirectory, "test:plain") == before)
        // Without the conflict there is nothing to be asked of it.
        try StoredSession.rollBack(session, to: "early")
        let asked = away.reads.count
        let report = try await upgrade(image, from: away)
        #expect(report.conflicts.isEmpty && away.reads.count == asked)
        try await image.close()
    }

    @Test func mainIsAskedForWhatTheSessionChangedOnly() async throws {
        try engine.close()
        let source = PlainSource(next, name: "test:new")
        let image = try await Image.open(
            source, state: StateLayout(FilePath(root + "/state")), options: Workplace.relaxed)
        _ = try await upgrade(image)
        let names = source.fetches.map { fetch -> String in
            guard case .lookup(_, let name) = fetch else { return "\(fetch)" }
            return String(decoding: name, as: UTF8.self)
        }
        #expect(names.sorted() == ["both", "both.main", "made", "same"])
        #expect(source.reads.isEmpty)
        try await image.close()
    }

    /// From some change of storage on all fail, as for a process that is killed, or just that one.
    @Test(arguments: [true, false])
    func aFailureAtAnyChangeOfStorageLeavesTheOldOrTheNew(isForGood: Bool) async throws {
        try engine.close()
        let image = try await open()
        _ = try await upgrade(image, isDryRun: true)
        let kept = root + "/kept"
        try FileManager.default.copyItem(atPath: session.string, toPath: kept)
        var outcomes: Set<Bool> = []
        var count = 0
        var isDone = false
        while !isDone {
            try FileManager.default.removeItem(atPath: session.string)
            try FileManager.default.copyItem(atPath: kept, toPath: session.string)
            let breaker = StorageBreaker(at: count, isForGood: isForGood)
            Storage.observe(below: session.string, by: breaker)
            let message = await error { _ = try await upgrade(image) }
            Storage.stopObserving(breaker)
            isDone = breaker.seen <= count
            let isOld = try isOld()
            outcomes.insert(isOld)
            // What a later start finds.
            let path = isOld ? engine.imageDirectory : image.state.image("test:new").string
            let found = try contents(
                isOld ? base : next, path, isOld ? "test:plain" : "test:new")
            #expect(found == (isOld ? before : after), "at change \(count): \(message)")
            try expectClean(image)
            count += 1
        }
        #expect(outcomes == [true, false] && count > 30, "\(count) changes")
        try await image.close()
    }
}

/// Makes changes of storage fail, counted from 0.
private final class StorageBreaker: StorageObserver, @unchecked Sendable {
    private let place: Int
    private let isForGood: Bool
    private let lock = NSLock()
    /// Guarded by the lock.
    private var count = 0

    init(at place: Int, isForGood: Bool) {
        self.place = place
        self.isForGood = isForGood
    }

    var seen: Int { lock.withLock { count } }

    func carryOut(_ change: StorageChange, on path: String, _ call: () -> Int) -> Int {
        let number = lock.withLock {
            count += 1
            return count - 1
        }
        let isBroken = isForGood ? number >= place : number == place
        return isBroken ? -Int(EIO) : call()
    }
}

import Foundation
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Random changes in a session and between two versions of its image come to what a three-way merge of whole
/// trees in memory says. `ROWFS_SEED=… swift test --filter UpgradeModelTests` repeats a run, `ROWFS_LONG=1`
/// makes it twenty times as long.
@Suite struct UpgradeModelTests {
    private struct Difference: Error { let text: String }

    @Test(arguments: 0..<8)
    func anUpgradeIsAThreeWayMerge(lane: Int) async throws {
        let isLong = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil
        var kinds: Set<UpgradeConflict.Kind> = []
        for episode in 0..<(isLong ? 600 : 30) {
            let random = Randomness(for: UInt64(880_000 + lane * 1000 + episode))
            do {
                kinds.formUnion(try await upgradeOnce(random, lane: lane))
            } catch {
                Issue.record("\(error); lane \(lane), episode \(episode); \(random.note)")
                return
            }
        }
        // Of few rounds not all kinds come out of every lane.
        let count = UpgradeConflict.Kind.allCases.count
        #expect(kinds.count >= (isLong ? count : 2), "\(kinds)")
    }

    /// - Returns: the kinds of conflicts that there were.
    private func upgradeOnce(
        _ random: Randomness, lane: Int
    ) async throws -> Set<UpgradeConflict.Kind> {
        var random = random
        let base = SessionModelTests.image(&random)
        var options = Engine.Options()
        options.blockSize = lane % 2 == 0 ? 512 : 4096
        let simulation = try SessionSimulation(base, random, options)
        simulation.run([20, 80, 300][random.below(3)])
        let engine = simulation.engine
        // Unstable writes are on record by then.
        try engine.restart()
        let (ours, touched) = try look(simulation, base)
        try engine.close()

        var version = NewVersion(of: base, random)
        version.change(1 + random.below(30), session: ours)
        var reference = ReferenceMerge(
            base: base, ours: ours, theirs: version.tree, touched: touched)
        let wanted = reference.run()

        let place = engine.directory + "/state"
        let new = try await Image.open(
            PlainSource(version.tree, name: "test:new"), state: StateLayout(FilePath(place)),
            options: Workplace.relaxed)
        let session = FilePath(engine.sessionDirectory)
        func upgrade(isDryRun: Bool) async throws -> UpgradeReport {
            try await SessionUpgrade.run(
                session: session, oldImage: FilePath(engine.imageDirectory),
                from: PlainSource(base), to: new, isDryRun: isDryRun)
        }
        var planned = try await upgrade(isDryRun: true)
        let report = try await upgrade(isDryRun: false)
        planned.snapshot = report.snapshot
        try check(planned == report, "a dry run says \(planned) and the upgrade \(report)")
        try await new.close()
        let found = report.conflicts.map {
            ReferenceMerge.Conflict(
                kind: $0.kind, path: $0.path.string, copy: $0.copy?.string, aspects: $0.aspects)
        }.sorted()
        try check(
            found == reference.conflicts, "conflicts \(found) instead of \(reference.conflicts)")

        let image = StateLayout(FilePath(place)).image("test:new")
        try checkClean(session, image)
        try compare(session, image, version.tree, wanted, options)
        if lane % 4 == 0 {
            try StoredSession.rollBack(session, to: report.snapshot ?? "")
            try compareOld(simulation, base, options)
        }
        return Set(report.conflicts.map(\.kind))
    }

    private func check(_ isTrue: Bool, _ text: @autoclosure () -> String) throws {
        if !isTrue { throw Difference(text: text()) }
    }

    private func checkClean(_ session: FilePath, _ image: FilePath) throws {
        let check = try SessionCheck.run(session: session, images: [image])
        try self.check(check.findings.isEmpty, "\(check.findings)")
        // It can be compared with the image that it stands on now.
        _ = try SessionDiff.read(session: session, image: image)
    }

    /// The session's tree with the times that clients see, and what of the image it has a record of.
    private func look(
        _ simulation: SessionSimulation, _ base: PlainTree
    ) throws -> (PlainTree, Set<Int>) {
        var tree = simulation.model.tree
        var touched: Set<Int> = []
        for id in tree.objects.keys {
            let number = try simulation.resolve(id)
            let attributes = try simulation.engine.attributes(number)
            tree[id].attributes.mtime = attributes.mtime
            guard base.objects[id] != nil else { continue }
            if case .node = try simulation.engine.session.store.node(number) { touched.insert(id) }
        }
        return (tree, touched)
    }

    // MARK: Comparing

    private func compare(
        _ session: FilePath, _ image: FilePath, _ tree: PlainTree,
        _ wanted: ReferenceMerge.Object, _ options: Engine.Options
    ) throws {
        let directory = Engine.newDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let files = FileManager.default
        try files.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try files.copyItem(atPath: session.string, toPath: directory + "/session")
        try files.copyItem(atPath: image.string, toPath: directory + "/image")
        let engine = try Engine(
            PlainMain(tree, source: "test:new"), directory: directory, options)
        try check(engine.events.isEmpty, "\(engine.events)")
        var known: [NodeID: ObjectIdentifier] = [:]
        var names: [ObjectIdentifier: Int] = [:]
        try count(wanted, &names)
        var queue = [(path: "", id: NodeID.root, object: wanted)]
        while let (path, id, object) = queue.popLast() {
            try compare(engine, path, id, object, names[ObjectIdentifier(object)] ?? 0)
            try check(
                known[id] ?? ObjectIdentifier(object) == ObjectIdentifier(object),
                "\(path) is another object's name")
            known[id] = ObjectIdentifier(object)
            guard object.attributes.type == .directory else { continue }
            let found = try engine.names(id)
            try check(
                found == object.children.keys.sorted(),
                "\(path) holds \(found) instead of \(object.children.keys.sorted())")
            for (name, child) in object.children {
                queue.append((path + "/" + name, try engine.lookup(id, Array(name.utf8)), child))
            }
        }
        try check(Set(known.values).count == known.count, "one object became two")
        try engine.close()
    }

    private func count(
        _ object: ReferenceMerge.Object, _ names: inout [ObjectIdentifier: Int]
    ) throws {
        for child in object.children.values {
            names[ObjectIdentifier(child), default: 0] += 1
            if child.attributes.type == .directory { try count(child, &names) }
        }
    }

    private func compare(
        _ engine: Engine, _ path: String, _ id: NodeID, _ object: ReferenceMerge.Object,
        _ names: Int
    ) throws {
        let (found, wanted) = (try engine.attributes(id), object.attributes)
        try check(
            found.type == wanted.type && found.mode == wanted.mode && found.uid == wanted.uid
                && found.gid == wanted.gid && found.size == wanted.size
                && found.mtime == wanted.mtime,
            "\(path) is \(found) instead of \(wanted)")
        switch wanted.type {
        case .directory: return
        case .regular:
            try check(try engine.read(id).bytes == object.data, "\(path) has other data")
        case .symbolicLink:
            let target = try engine.run { session throws(Interrupt) in
                try session.target(of: id)
            }
            try check(target == object.target, "\(path) points elsewhere")
        default: break
        }
        try check(found.nlink == UInt32(names), "\(path) has \(found.nlink) names, not \(names)")
    }

    /// After a rollback the session is what it was, on the old image.
    private func compareOld(
        _ simulation: SessionSimulation, _ base: PlainTree, _ options: Engine.Options
    ) throws {
        let engine = simulation.engine
        try engine.open()
        simulation.handles = [:]
        try simulation.compareAll()
        try engine.close()
    }
}

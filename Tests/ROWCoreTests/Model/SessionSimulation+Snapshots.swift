import Foundation
import NFSProtocol
import SystemPackage

@testable import ROWCore

/// Snapshots, rollbacks and clones, on a session that runs or that does not.
extension SessionSimulation {
    /// What a snapshot must bring back.
    struct KeptState {
        let tag: String
        let objects: [Int: PlainTree.Object]
        let ids: [Int: NodeID]
        let handles: [Int: [UInt8]]
    }

    func takeSnapshot() throws {
        if snapshots.count >= 4 { try removeSnapshot() }
        snapshotsMade += 1
        let tag = "tag\(snapshotsMade)"
        try offlineOrNot("snapshot \(tag)") {
            try StoredSession.takeSnapshot(tag, of: FilePath(engine.sessionDirectory))
        } live: {
            try engine.takeSnapshot(tag)
        }
        model.acknowledgeAll()
        isCommitBegun = false
        snapshots.append(
            KeptState(tag: tag, objects: model.tree.objects, ids: ids, handles: handles))
    }

    private func removeSnapshot() throws {
        let kept = generator.pick(snapshots)
        note("remove \(kept.tag)")
        try StoredSession.removeSnapshot(kept.tag, of: FilePath(engine.sessionDirectory))
        snapshots.removeAll { $0.tag == kept.tag }
    }

    func rollBack() throws {
        guard !snapshots.isEmpty else { return }
        let kept = generator.pick(snapshots)
        let verifier = engine.session.writeVerifier
        try offlineOrNot("roll back to \(kept.tag)") {
            try StoredSession.rollBack(FilePath(engine.sessionDirectory), to: kept.tag)
        } live: {
            try engine.rollBack(to: kept.tag)
        }
        try check(engine.session.writeVerifier != verifier, "the write verifier is the same")
        model.rollBack(to: kept.objects)
        isCommitBegun = false
        scans = []
        ids = kept.ids.merging(ids.filter { kept.objects[$0.key] != nil }) { old, _ in old }
        handles = kept.handles.merging(handles) { old, _ in old }
        dead = everSeen.filter { kept.objects[$0.value] == nil }.map(\.key)
            .sorted()
        for (id, last) in ctimes where kept.objects[id] != nil {
            let time = try engine.attributes(try resolve(id)).ctime
            try check(time > last, "the rollback took ctime of \(id) from \(last) to \(time)")
            ctimes[id] = time
        }
        try compareAll()
    }

    /// A session of its own: the same tree and numbers, other handles; and what is written to either does
    /// not show in the other.
    func clone() throws {
        // Or its end, which comes while the clone is at work, would begin the next one, untold.
        if isCommitBegun { try settle() }
        let kept = generator.chance(2) && !snapshots.isEmpty ? generator.pick(snapshots) : nil
        let target = FilePath(engine.directory + "/clone")
        try offlineOrNot("clone \(kept?.tag ?? "")") {
            try StoredSession.clone(
                FilePath(engine.sessionDirectory), from: kept?.tag, to: target)
        } live: {
            try engine.clone(to: "clone", from: kept?.tag)
        }
        if kept == nil {
            model.acknowledgeAll()
            isCommitBegun = false
        }
        let mine = (model, ids, handles)
        if let kept {
            model.rollBack(to: kept.objects)
            ids = kept.ids
        }
        let fsid = engine.session.fsid
        let foreign = handles.values.sorted { $0.lexicographicallyPrecedes($1) }.first
        handles = [:]
        try engine.with(session: "clone") {
            try check(engine.session.fsid != fsid, "the clone has the same fsid")
            if let foreign = foreign.flatMap({ NFS3.FileHandle($0) }) {
                let status = engine.status { session throws(Interrupt) in
                    try session.node(of: foreign)
                }
                try check(status == .stale, "the clone takes a handle of its origin")
            }
            try compareAll()
            let files = model.tree.objects.keys.sorted().filter {
                model.tree[$0].attributes.type == .regular
            }
            for id in files where generator.chance(3) {
                let place = UInt64(generator.random.below(3000))
                try engine.write(try resolve(id), place, [UInt8](repeating: 0xab, count: 700))
            }
        }
        (model, ids, handles) = mine
        let report = try SessionCheck.run(
            session: target, images: [FilePath(engine.imageDirectory)])
        try check(report.isClean, "the clone is damaged: \(report.findings)")
        try StoredSession.remove(target)
        try compareAll()
    }

    private func offlineOrNot(
        _ what: String, offline: () throws -> Void, live: () throws -> Void
    ) throws {
        guard generator.chance(3) else {
            note(what)
            return try live()
        }
        note("\(what), offline")
        engine.onCommit = { [unowned self] in model.acknowledgeAll() }
        try engine.close()
        try offline()
        try checkStored()
        try engine.open()
        engine.onCommit = { [unowned self] in model.acknowledge() }
        isCommitBegun = false
    }
}

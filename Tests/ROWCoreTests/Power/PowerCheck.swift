import Foundation
import GRDB
import NFSProtocol
import SystemPackage

@testable import ROWCore

/// Opens a session on what is left of a disk, and compares it with what was promised.
struct PowerCheck {
    typealias Difference = PowerWorkload.Difference

    let recording: PowerRecording
    /// When the power went: events before this place have happened.
    let cut: Int

    /// How much of what is found is looked at.
    enum Depth {
        case session
        /// Snapshots and clones, too.
        case copies
        /// fsck looks at it first, and the session is worked on afterwards.
        case all
    }

    /// What was found: the state that the session is in, and how much of main is on record.
    struct Found: Equatable {
        let state: Int
        let imported: [Int]
    }

    /// - Throws: ``Difference``.
    @discardableResult
    func check(_ disk: DiskState, _ depth: Depth = .session) throws -> Found {
        let root = PowerScratch.newPath()
        defer { try? FileManager.default.removeItem(atPath: root) }
        try disk.write(below: root)
        let directory = root + "/state"
        // A session that nobody was given yet may be unfinished, which fsck takes for damage.
        if depth == .all, recording.opened.contains(where: { $0.position <= cut }) {
            try runFsck(directory)
        }
        let engine: Engine
        do {
            engine = try Engine(
                PlainMain(recording.main, pageCount: 100), directory: directory)
        } catch {
            throw Difference(text: "the session does not open: \(error)")
        }
        try expect(engine.events.isEmpty, "opening complains: \(engine.events)")
        let imported = try checkIdentity(engine)
        let index = try found(engine)
        let state = recording.states[index]
        try checkHandles(engine, try checkTree(engine, state, isCopy: false))
        try checkCounters(engine, state)
        if depth != .session { try checkCopies(engine) }
        if depth == .all {
            try checkDatabases(engine)
            try workOn(engine, state)
        }
        engine.crash()
        return Found(state: index, imported: imported)
    }

    private func expect(_ isTrue: Bool, _ text: @autoclosure () -> String) throws {
        if !isTrue { throw Difference(text: text()) }
    }

    /// A loss of power is no damage.
    private func runFsck(_ state: String) throws {
        let report: SessionCheck.Report
        do {
            report = try SessionCheck.run(
                session: FilePath(state + "/session"), images: [FilePath(state + "/image")],
                isRepairing: false)
        } catch {
            throw Difference(text: "fsck cannot look: \(error)")
        }
        let damage = report.findings.filter { $0.severity == .damage }
        try expect(damage.isEmpty, "fsck finds damage: \(damage)")
    }

    /// - Returns: how much of main is on record.
    private func checkIdentity(_ engine: Engine) throws -> [Int] {
        if let opened = recording.opened.last(where: { $0.position <= cut }) {
            try expect(
                PowerScratch.identity(engine) == opened.identity, "the session is another one")
        }
        let rows = try PowerScratch.importedRows(engine)
        if let imported = recording.imported.last(where: { $0.position <= cut }) {
            try expect(
                zip(rows, imported.rows).allSatisfy { $0 >= $1 },
                "the image has \(rows) rows, and had \(imported.rows)")
        }
        return rows
    }

    /// The state that the session is in, told by its stored replies: all of them up to some.
    private func found(_ engine: Engine) throws -> Int {
        let replies = try engine.session.store.writer.readNow { db in
            try Int.fetchAll(db, sql: "SELECT xid FROM reply ORDER BY sequence")
        }
        let acknowledged = recording.acknowledgedState(at: cut)
        let last = replies.last ?? 0
        let layer = engine.session.topLayer
        let index = recording.states.firstIndex { $0.lastReply == last && $0.topLayer == layer }
        guard let index, index >= acknowledged else {
            let known = recording.states[acknowledged]
            throw Difference(
                text: "the last reply is \(last) and layer \(layer) on top, acknowledged were "
                    + "\(known.lastReply) and \(known.topLayer)")
        }
        let first = max(1, last - StoredReply.countPerClient + 1)
        try expect(
            replies == Array(first..<(last + 1)) || last == 0 && replies.isEmpty,
            "replies are missing: \(replies)")
        return index
    }

    // MARK: The tree

    /// - Parameter isCopy: no byte in it is one that was written later.
    private func checkTree(
        _ engine: Engine, _ state: PowerRecording.State, isCopy: Bool
    ) throws -> [Int: NodeID] {
        var found: [Int: NodeID] = [PlainTree.root: .root]
        var queue = [PlainTree.root]
        while let directory = queue.popLast() {
            let id = found[directory] ?? .root
            let children = state.tree[directory].children
            try checkAttributes(engine, directory, id, state)
            let names = try attempt("listing \(directory)") { try engine.names(id) }
            try expect(names == children.keys.sorted(), "\(directory) lists \(names)")
            for (name, child) in children.sorted(by: { $0.key < $1.key }) {
                let childID = try attempt("looking up \(name) in \(directory)") {
                    try engine.lookup(id, Array(name.utf8))
                }
                let isNew = found[child] == nil
                try expect(isNew || found[child] == childID, "\(child) has two numbers")
                found[child] = childID
                guard isNew else { continue }
                if state.tree[child].isDirectory {
                    queue.append(child)
                } else {
                    try checkObject(engine, child, childID, state, isCopy: isCopy)
                }
            }
        }
        return found
    }

    private func attempt<T>(_ what: String, _ body: () throws -> T) throws -> T {
        do { return try body() } catch let error as Difference { throw error } catch {
            throw Difference(text: "\(what): \(error) \(what)")
        }
    }

    private func checkAttributes(
        _ engine: Engine, _ object: Int, _ id: NodeID, _ state: PowerRecording.State
    ) throws {
        let real = try attempt("attributes of \(object)") { try engine.attributes(id) }
        let expected = state.tree[object].attributes
        try expect(
            real.type == expected.type && real.mode == expected.mode
                && real.nlink == expected.nlink && real.uid == expected.uid
                && real.gid == expected.gid && real.size == expected.size
                && real.atime == expected.atime && real.mtime == expected.mtime
                && real.ctime == expected.ctime,
            "object \(object) is \(real) and should be \(expected)")
    }

    private func checkObject(
        _ engine: Engine, _ object: Int, _ id: NodeID, _ state: PowerRecording.State, isCopy: Bool
    ) throws {
        try checkAttributes(engine, object, id, state)
        let expected = state.tree[object]
        switch expected.attributes.type {
        case .regular:
            let (bytes, eof) = try attempt("reading \(object)") { try engine.read(id) }
            try expect(eof && bytes.count == expected.data.count, "\(object) has another length")
            if areEqual(bytes[...], expected.data[...]) { return }
            let fuzz = isCopy ? [] : recording.fuzz(object, state, before: cut)
            for place in bytes.indices where bytes[place] != expected.data[place] {
                let isWritten = fuzz.contains { write in
                    let index = write.bytes.startIndex + place - write.offset
                    return write.bytes.indices.contains(index)
                        && write.bytes[index] == bytes[place]
                }
                try expect(
                    isWritten,
                    "byte \(place) of \(object) (\(id)) is \(bytes[place]), not \(expected.data[place])"
                )
            }
        case .symbolicLink:
            let target = try attempt("target of \(object)") {
                try engine.run { session throws(Interrupt) in try session.target(of: id) }
            }
            try expect(target == expected.target, "\(object) points elsewhere")
        default: break
        }
    }

    /// What clients know by a number is still known by it, or gone, but never another object.
    private func checkHandles(_ engine: Engine, _ found: [Int: NodeID]) throws {
        let objects = Dictionary(found.map { ($1, $0) }) { first, _ in first }
        for (object, exposure) in recording.exposed {
            guard let position = exposure.position, position <= cut,
                let handle = NFS3.FileHandle(exposure.handle)
            else { continue }
            if let now = found[object] {
                try expect(now == exposure.id, "\(object) was \(exposure.id) and is \(now)")
                let id = try attempt("handle of \(object)") {
                    try engine.run { session throws(Interrupt) in try session.node(of: handle) }
                }
                try expect(id == exposure.id, "the handle of \(object) names \(id)")
            } else {
                let other = objects[exposure.id]
                try expect(
                    other == nil, "\(exposure.id) was \(object) and is \(other ?? 0)")
                let status = engine.status { session throws(Interrupt) in
                    try session.attributes(of: try session.node(of: handle))
                }
                try expect(status == .stale, "\(object) is gone, and its handle is not stale")
            }
        }
    }

    /// Each snapshot and clone that is there is whole, and those that were promised are there.
    private func checkCopies(_ engine: Engine) throws {
        let tags = Set(Snapshots.tags(of: FilePath(engine.sessionDirectory)))
        for copy in recording.copies {
            let isSnapshot = copy.path.hasPrefix("session/")
            let isThere =
                isSnapshot
                ? tags.contains(SimulatedDisk.name(copy.path))
                : Disk.exists(engine.directory + "/" + copy.path)
            let isExpected = copy.position <= cut && (copy.removed?.lowerBound ?? .max) > cut
            try expect(isThere || !isExpected, "\(copy.path) is missing")
            try expect(
                !isThere || (copy.removed?.upperBound ?? .max) > cut, "\(copy.path) is back")
            guard isThere else { continue }
            try attempt("opening \(copy.path)") {
                let session = engine.session
                let stored = try StoredSession.read(FilePath(engine.directory + "/" + copy.path))
                try expect(
                    (stored.snapshotTime != nil) == isSnapshot, "\(copy.path) is not finished")
                try engine.with(session: copy.path) {
                    try expect(
                        (engine.session.fsid == session.fsid) == isSnapshot,
                        "\(copy.path) takes itself for another session")
                    _ = try checkTree(engine, recording.states[copy.state], isCopy: true)
                }
            }
        }
    }

    private func checkCounters(_ engine: Engine, _ state: PowerRecording.State) throws {
        try expect(
            engine.session.nextID >= state.nextID && engine.session.nextCookie >= state.nextCookie,
            "numbers would be given out again")
    }

    private func checkDatabases(_ engine: Engine) throws {
        for writer in [engine.session.store.writer, engine.image.writer] {
            let problems = try attempt("checking a database") {
                try writer.readNow { db in
                    try String.fetchAll(db, sql: "PRAGMA integrity_check")
                }
            }
            try expect(problems == ["ok"], "a database is damaged: \(problems)")
        }
    }

    // MARK: Working on

    /// The session takes new files, data and restarts.
    private func workOn(_ engine: Engine, _ state: PowerRecording.State) throws {
        try attempt("working on") {
            let replies = try engine.session.storedReplies()
            try expect(
                replies.allSatisfy { $0.body == PowerWorkload.body($0.xid) },
                "a stored reply is another one")
            let file = try engine.create(.root, "made after the loss of power")
            try expect(
                !recording.exposed.values.contains {
                    $0.id == file && ($0.position ?? .max) <= cut
                }, "\(file) is given out again")
            let data = [UInt8](repeating: 7, count: 5000)
            try engine.store(file, 100, data)
            engine.crash()
            try engine.open()
            let bytes = try engine.read(file).bytes
            try expect(bytes == [UInt8](repeating: 0, count: 100) + data, "new data is lost")
        }
    }
}

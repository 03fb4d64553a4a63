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

    /// - Parameter isThorough: works on with the session afterwards, and has fsck look at it first.
    /// - Throws: ``Difference``.
    func check(_ disk: DiskState, isThorough: Bool = false) throws {
        let root = PowerScratch.newPath()
        defer { try? FileManager.default.removeItem(atPath: root) }
        try disk.write(below: root)
        let directory = root + "/state"
        // A session that nobody was given yet may be unfinished, which fsck takes for damage.
        if isThorough, recording.opened.contains(where: { $0.position <= cut }) {
            try runFsck(directory)
        }
        let engine: Engine
        do {
            engine = try Engine(PlainMain(recording.main), directory: directory)
        } catch {
            throw Difference(text: "the session does not open: \(error)")
        }
        try expect(engine.events.isEmpty, "opening complains: \(engine.events)")
        try checkIdentity(engine)
        let state = try recording.states[found(engine)]
        try checkTree(engine, state)
        try checkCounters(engine, state)
        try checkDatabases(engine)
        if isThorough { try workOn(engine, state) }
        engine.crash()
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

    private func checkIdentity(_ engine: Engine) throws {
        if let opened = recording.opened.last(where: { $0.position <= cut }) {
            try expect(
                PowerScratch.identity(engine) == opened.identity, "the session is another one")
        }
        if let imported = recording.imported.last(where: { $0.position <= cut }) {
            let rows = try PowerScratch.importedRows(engine)
            try expect(
                zip(rows, imported.rows).allSatisfy { $0 >= $1 },
                "the image has \(rows) rows, and had \(imported.rows)")
        }
    }

    /// The state that the session is in, told by its stored replies: all of them up to some.
    private func found(_ engine: Engine) throws -> Int {
        let replies = try engine.session.store.writer.readNow { db in
            try Int.fetchAll(db, sql: "SELECT xid FROM reply ORDER BY sequence")
        }
        let acknowledged = recording.acknowledgedState(at: cut)
        let last = replies.last ?? 0
        let index = recording.states.firstIndex { $0.lastReply == last }
        guard let index, index >= acknowledged else {
            throw Difference(
                text: "the last reply is \(last), acknowledged was "
                    + "\(recording.states[acknowledged].lastReply)")
        }
        let first = max(1, last - StoredReply.countPerClient + 1)
        try expect(
            replies == Array(first..<(last + 1)) || last == 0 && replies.isEmpty,
            "replies are missing: \(replies)")
        return index
    }

    // MARK: The tree

    private func checkTree(_ engine: Engine, _ state: PowerRecording.State) throws {
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
                    try checkObject(engine, child, childID, state)
                }
            }
        }
        try checkHandles(engine, found)
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
        _ engine: Engine, _ object: Int, _ id: NodeID, _ state: PowerRecording.State
    ) throws {
        try checkAttributes(engine, object, id, state)
        let expected = state.tree[object]
        switch expected.attributes.type {
        case .regular:
            let (bytes, eof) = try attempt("reading \(object)") { try engine.read(id) }
            try expect(eof && bytes.count == expected.data.count, "\(object) has another length")
            if bytes == expected.data { return }
            let fuzz = recording.fuzz(object, state, before: cut)
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

import Foundation
import GRDB
import SystemPackage

/// Carries out what a check worked out. Whatever is taken out of use is put aside first, and each step
/// leaves a session that the next check understands.
struct SessionRepair {
    let session: FilePath
    let lostAndFound: LostAndFound

    init(session: FilePath) {
        self.session = session
        lostAndFound = LostAndFound(session: session)
    }

    private var shadow: FilePath { session.appending("shadow") }
    private var database: FilePath { session.appending(DatabaseState.fileName) }
    private var repaired: FilePath { session.appending(DatabaseState.repairedName) }

    func carryOut(_ look: SessionCheck.Look) throws(StateError) {
        guard let check = look.check else { return }
        try finishCutOff()
        try shadow.makeDirectory()
        try lostAndFound.write(
            look.database.records.linesOfWhatChanges(in: check.records), to: "rows.jsonl")
        for action in check.actions { try prepare(action) }
        if look.database.isSalvaged {
            try replaceDatabase(with: check.records)
        } else if check.records != look.database.records {
            try change(look.database.records, to: check.records)
        }
        for case .cut(let id, let size) in check.actions {
            try with(id) { file throws(Errno) in
                try file.truncate(to: size)
                try file.sync()
            }
        }
        try shadow.sync()
    }

    private func prepare(_ action: ShadowAction) throws(StateError) {
        switch action {
        case .copyAside(let id):
            try lostAndFound.copy(FilePath("shadow/" + id.fileName))
        case .moveAside(let name):
            try lostAndFound.move(FilePath("shadow").pushing(name))
        case .zero(let id, let range):
            try with(id) { file throws(Errno) in
                try file.punch(range)
                try file.sync()
            }
        case .cut:
            break
        }
    }

    private func with(_ id: LayerID, _ body: (SparseFile) throws(Errno) -> Void) throws(StateError)
    {
        let path = shadow.appending(id.fileName)
        do {
            try body(try SparseFile(path: path, create: false))
        } catch {
            throw StateError(.io, "cannot repair \(path): \(error)")
        }
    }

    // MARK: Databases

    private func change(
        _ old: SessionRecords, to new: SessionRecords
    ) throws(StateError) {
        try write(new, over: old, to: database)
    }

    /// Puts the old database aside, makes a new one beside its place, and then puts that there: when
    /// this is cut off, the old one is in its place or the new one is whole.
    private func replaceDatabase(with records: SessionRecords) throws(StateError) {
        for suffix in ["", "-wal"] where try exists(database.string + suffix) {
            try lostAndFound.copy(FilePath(DatabaseState.fileName + suffix))
        }
        let unfinished = repaired.string + ".new"
        for suffix in ["", "-wal", "-shm", "-journal"] {
            Storage.remove(FilePath(unfinished + suffix))
        }
        try write(records, over: SessionRecords(), to: FilePath(unfinished))
        try rename(unfinished, to: repaired)
        try finishCutOff()
    }

    /// The last step of a repair, which one that was cut off did not come to.
    private func finishCutOff() throws(StateError) {
        guard try exists(repaired.string) else { return }
        // A log of the old database would be taken for the new one's.
        for suffix in ["-wal", "-shm", "-journal"] {
            Storage.remove(FilePath(database.string + suffix))
        }
        try session.sync()
        try rename(repaired.string, to: database)
    }

    private func rename(_ path: String, to target: FilePath) throws(StateError) {
        let code = Storage.rename(FilePath(path), to: target)
        guard code == 0 else {
            throw StateError(.io, "cannot rename \(path): \(Errno(rawValue: -code))")
        }
        try session.sync()
    }

    private func exists(_ path: String) throws(StateError) -> Bool {
        try DatabaseState.size(FilePath(path)) != nil
    }

    private func write(
        _ new: SessionRecords, over old: SessionRecords, to path: FilePath
    ) throws(StateError) {
        let queue = try StateDatabase.open(
            path: path.string, isDurable: true, migrator: SessionSchema.migrator)
        do {
            try queue.write { db in try new.write(over: old, to: db) }
            // The log is empty then, and its file goes with the connection.
            try queue.writeWithoutTransaction { db in _ = try db.checkpoint(.truncate) }
            try queue.close()
        } catch {
            throw StateError(.io, "cannot write \(path): \(error)")
        }
    }
}

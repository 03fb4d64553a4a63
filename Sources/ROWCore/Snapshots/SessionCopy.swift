import GRDB
import Glibc
import NFSProtocol
import SystemPackage

/// Makes a copy of a session as it is at one moment, a snapshot or a session of its own: the rows are
/// copied, the sparse files of the frozen layers are shared by hard links, which the file system counts.
/// No data is copied, and nobody writes to a shared file again.
///
/// The copy is built aside and gets its name last: when this is cut off, there is no copy.
struct SessionCopy: Sendable {
    enum Purpose: Sendable, Equatable {
        case snapshot
        /// With its own identity: handles of one session mean nothing to another.
        case clone
    }

    /// The session that is copied; the copy is built in its directory.
    let session: FilePath
    /// Where the rows and files are: the session, or a snapshot of it.
    let source: FilePath
    let target: FilePath
    let purpose: Purpose
    let isDurable: Bool

    /// - Parameter db: of `source`, outside of a transaction. Its layers but the top one are frozen, and
    ///   nothing is in the top one.
    func make(_ db: GRDB.Database) throws {
        let unfinished = Snapshots.unfinished(of: session)
        let shadow = unfinished.appending("shadow")
        do {
            try shadow.makeDirectory()
            let path = unfinished.appending(DatabaseState.fileName)
            try db.execute(sql: "VACUUM INTO ?", arguments: [path.string])
            let layers = try finishRows(path)
            for (layer, mustExist) in layers {
                try Snapshots.link(
                    layer, from: source.appending("shadow"), to: shadow, mustExist: mustExist)
            }
            if isDurable {
                try path.syncFile()
                try shadow.sync()
                try unfinished.sync()
            }
            try target.removingLastComponent().makeDirectory()
            try unfinished.rename(toNew: target)
        } catch {
            try? unfinished.removeTree()
            throw error
        }
        guard isDurable else { return }
        do {
            try target.removingLastComponent().sync()
            try unfinished.removingLastComponent().sync()
        } catch {
            try? target.removeTree()
            throw error
        }
    }

    /// - Returns: the layers that the rows refer to, and whether they have data.
    private func finishRows(_ path: FilePath) throws -> [(LayerID, Bool)] {
        let queue = try DatabaseQueue(path: path.string)
        defer { try? queue.close() }
        return try queue.write { db in
            func put(_ key: String, _ value: Int64) throws {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                    arguments: [key, value])
            }
            switch purpose {
            case .snapshot: try put("snapshot_time", NFS3.Time.now().row)
            case .clone:
                try db.execute(sql: "DELETE FROM reply")
                try db.execute(sql: "DELETE FROM meta WHERE key = 'snapshot_time'")
                for (key, value) in SessionStore.newIdentity() { try put(key, value) }
            }
            return try Row.fetchAll(db, sql: "SELECT node, layer, blocks FROM content").map { row in
                (LayerID(node: NodeID(row: row[0]), layer: row[1]), row[2] as Int64 > 0)
            }
        }
    }
}

extension FilePath {
    /// Gives a file or directory a name that nothing has yet.
    func rename(toNew target: FilePath) throws(StateError) {
        let code = Storage.rename(self, toNew: target)
        guard code != 0 else { return }
        let name = target.lastComponent?.string ?? ""
        guard code != -EEXIST, code != -ENOTEMPTY else {
            throw StateError(.exists, "there is a '\(name)' already; choose another name")
        }
        throw StateError(.io, "cannot make \(target): \(Errno(rawValue: -code))")
    }

    /// Makes a file's data durable.
    func syncFile() throws(StateError) {
        do {
            let file = try FileDescriptor.open(self, .readOnly, options: .closeOnExec)
            defer { try? file.close() }
            let code = Storage.sync(file.rawValue)
            if code != 0 { throw Errno(rawValue: -code) }
        } catch {
            throw StateError(.io, "cannot sync \(self): \(error)")
        }
    }

    /// Removes a file, or a directory with all that is in it; symbolic links are not followed.
    func removeTree() throws(Errno) {
        let code = Storage.remove(self)
        switch -code {
        case 0, ENOENT: return
        case EISDIR: break
        default: throw Errno(rawValue: -code)
        }
        for name in try ShadowFacts.names(in: self) { try pushing(name).removeTree() }
        let outcome = Storage.removeDirectory(self)
        if outcome != 0 { throw Errno(rawValue: -outcome) }
    }
}

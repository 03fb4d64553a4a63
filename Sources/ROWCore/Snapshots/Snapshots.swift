import GRDB
import Glibc
import NFSProtocol
public import SystemPackage

/// Where a session's snapshots are, and what is done to them without the session's rows.
enum Snapshots {
    /// `snapshots/<tag>` in the session's directory, each with a `session.sqlite` and a `shadow` like the
    /// session's.
    static func directory(of session: FilePath) -> FilePath { session.appending("snapshots") }

    static func path(_ tag: String, of session: FilePath) -> FilePath {
        directory(of: session).appending(tag)
    }

    /// Where a copy is built until it is whole. Whatever has such a name is left from a crash, or its
    /// maker holds the session's lock.
    static func unfinished(of session: FilePath) -> FilePath {
        directory(of: session).appending("\(prefix)\(UInt64.random(in: .min ... .max))")
    }

    /// Begins with a dot, which no tag does.
    private static let prefix = ".new-"

    /// Removes what copies that were cut off have left. The session's lock is held.
    static func sweep(_ session: FilePath) {
        let directory = directory(of: session)
        for name in (try? ShadowFacts.names(in: directory)) ?? []
        where name.string.hasPrefix(prefix) {
            try? directory.pushing(name).removeTree()
        }
    }

    /// The tags of a session's snapshots.
    static func tags(of session: FilePath) -> [String] {
        let names = (try? ShadowFacts.names(in: directory(of: session))) ?? []
        return names.map(\.string).filter { !$0.hasPrefix(".") }.sorted()
    }

    /// The directory of a snapshot that exists.
    static func existing(_ tag: String, of session: FilePath) throws(StateError) -> FilePath {
        try check(tag: tag)
        let path = path(tag, of: session)
        guard try DatabaseState.size(path.appending(DatabaseState.fileName)) != nil else {
            let name = session.lastComponent?.string ?? ""
            throw StateError(
                .notFound,
                "the session \(name) has no snapshot '\(tag)'; `rowctl snapshots \(name)` lists them"
            )
        }
        return path
    }

    /// A name that no snapshot of a session has: `prefix` and the lowest number.
    static func unusedTag(_ prefix: String, of session: FilePath) -> String {
        let taken = Set(tags(of: session))
        var number = 1
        while taken.contains("\(prefix)\(number)") { number += 1 }
        return "\(prefix)\(number)"
    }

    static func check(tag: String) throws(StateError) {
        do { try StateLayout.check(sessionName: tag) } catch {
            throw StateError(
                .invalidName,
                "'\(tag)' cannot be a snapshot's name: use 1 to 64 letters, digits, '.', '_' and '-', "
                    + "not starting with '.' or '-'")
        }
    }

    /// Lets another directory have a layer's file, too.
    /// - Parameter mustExist: a file that is missing is an error.
    static func link(
        _ layer: LayerID, from: FilePath, to: FilePath, mustExist: Bool
    ) throws(StateError) {
        try link(from.appending(layer.fileName), to.appending(layer.fileName), mustExist)
    }

    /// Lets a layer's file be that of another one, too.
    static func link(
        _ layer: LayerID, as other: LayerID, in shadow: FilePath, mustExist: Bool
    ) throws(StateError) {
        try link(shadow.appending(layer.fileName), shadow.appending(other.fileName), mustExist)
    }

    private static func link(
        _ old: FilePath, _ new: FilePath, _ mustExist: Bool
    ) throws(StateError) {
        switch -Storage.link(old, to: new) {
        case 0: return
        case ENOENT where !mustExist: return
        case EEXIST where isSame(old, new): return
        case let code:
            throw StateError(
                .io,
                "cannot link \(old) to \(new): \(Errno(rawValue: code)); `rowctl fsck` checks the session"
            )
        }
    }

    private static func isSame(_ one: FilePath, _ other: FilePath) -> Bool {
        var (first, second) = (stat(), stat())
        guard stat(one.string, &first) == 0, stat(other.string, &second) == 0 else { return false }
        return first.st_ino == second.st_ino && first.st_dev == second.st_dev
    }
}

/// A state of a session that was kept (`rowctl snapshot`).
public struct StoredSnapshot: Sendable, Codable, Hashable {
    public let tag: String
    /// Seconds since 1970.
    public let time: Double
    /// Files with changed data.
    public let files: Int64
    public let blocks: Int64
    /// Bytes of storage that its files take up, those that it shares with others included.
    public let allocated: Int64

    /// The snapshots of a session, oldest first.
    /// - Parameter session: its directory.
    /// - Throws: `unreadable` when one of them is damaged.
    public static func all(of session: FilePath) throws(StateError) -> [StoredSnapshot] {
        var snapshots: [StoredSnapshot] = []
        for tag in Snapshots.tags(of: session) {
            snapshots.append(try read(tag, Snapshots.path(tag, of: session)))
        }
        return snapshots.sorted { ($0.time, $0.tag) < ($1.time, $1.tag) }
    }

    private static func read(_ tag: String, _ path: FilePath) throws(StateError) -> StoredSnapshot {
        let stored = try StoredSession.read(path)
        let time = stored.snapshotTime ?? NFS3.Time(seconds: 0, nanoseconds: 0)
        return StoredSnapshot(
            tag: tag, time: Double(time.seconds) + Double(time.nanoseconds) / 1e9,
            files: stored.files, blocks: stored.blocks, allocated: stored.allocated)
    }
}

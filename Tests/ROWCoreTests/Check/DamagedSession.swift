import Foundation
import GRDB
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// A closed session with some of everything, to be damaged, checked, repaired and opened again.
final class DamagedSession {
    let engine: Engine
    /// By path, as they were when the session was closed.
    private(set) var ids: [String: NodeID] = [:]
    private(set) var contents: [String: [UInt8]] = [:]

    static let files = [
        "file", "new", "short", "made/child", "made/hard", "made/moved/inner", "made/sub/leaf",
    ]
    static let directories = ["made", "made/moved", "made/sub"]

    init() throws {
        var tree = PlainTree()
        tree.make("d", .directory)
        for (path, count) in [("file", 10_000), ("old", 1000), ("d/inner", 5000)] {
            tree.make(path, data: Self.bytes(count, path.count))
        }
        engine = try Engine(PlainMain(tree))
        try change()
        for path in Self.files + Self.directories + ["sym"] { ids[path] = try engine.lookup(path) }
        for path in Self.files { contents[path] = try engine.read(try engine.lookup(path)).bytes }
        try engine.close()
    }

    private func change() throws {
        let new = try engine.create(.root, "new")
        try engine.store(new, 0, Self.bytes(12_388, 3))
        let made = try engine.mkdir(.root, "made")
        try engine.store(try engine.create(made, "child"), 0, Self.bytes(5000, 4))
        let sub = try engine.mkdir(made, "sub")
        try engine.store(try engine.create(sub, "leaf"), 100, Self.bytes(50, 5))
        try engine.link(new, made, "hard")
        let file = try engine.lookup("file")
        try engine.store(file, 100, Self.bytes(10, 6))
        try engine.store(file, 8000, Self.bytes(3000, 7))
        try engine.remove(.root, "old")
        try engine.rename(.root, "d", made, "moved")
        try engine.setAttributes(
            try engine.lookup("made/moved/inner"), NFS3.SetAttributes(mode: 0o600))
        let short = try engine.create(.root, "short")
        try engine.store(short, 0, Self.bytes(6000, 8))
        try engine.setSize(short, 5000)
        try engine.call { session throws(Interrupt) in
            _ = try session.makeSymbolicLink(
                .root, Array("sym".utf8), target: Array("file".utf8), NFS3.SetAttributes(), .root)
        }
    }

    private static func bytes(_ count: Int, _ seed: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 / 251 + seed * 13 + 1) }
    }

    // MARK: Damage

    var directory: String { engine.sessionDirectory }
    var database: String { directory + "/session.sqlite" }

    func id(_ path: String) -> Int64 {
        guard let id = ids[path] else { preconditionFailure("no \(path)") }
        return id.row
    }

    func shadow(_ path: String) -> String {
        directory + "/shadow/" + LayerID(node: NodeID(row: id(path)), layer: 0).fileName
    }

    func sql(_ text: String) throws {
        let queue = try DatabaseQueue(path: database)
        try queue.write { db in try db.execute(sql: text) }
        try queue.close()
    }

    /// Changes a column of an object's row.
    func set(_ path: String, _ assignment: String) throws {
        try sql("UPDATE node SET \(assignment) WHERE id = \(id(path))")
    }

    func edit(_ path: String, _ body: (inout Data) -> Void) throws {
        var data = try Disk.contents(path)
        body(&data)
        try Disk.write(path, data)
    }

    /// Overwrites the first page of a table or index.
    func destroy(_ table: String) throws {
        let queue = try DatabaseQueue(path: database)
        let root = try queue.read { db in
            try Int.fetchOne(
                db, sql: "SELECT rootpage FROM sqlite_master WHERE name = ?", arguments: [table])
        }
        try queue.close()
        let start = (try #require(root) - 1) * 4096
        try edit(database) { data in
            for place in start..<start + 4096 { data[place] = UInt8(place * 31 % 251) }
        }
    }

    // MARK: Checking

    func check(
        isRepairing: Bool = false, source: String? = nil
    ) throws -> SessionCheck.Report {
        try SessionCheck.run(
            session: FilePath(directory), images: [FilePath(engine.imageDirectory)],
            source: source, isRepairing: isRepairing)
    }

    /// Opens the session and compares every file with what it was.
    /// - Parameter harmed: those that the damage reached.
    func compare(harmed: Set<String> = []) throws {
        try engine.open()
        for path in Self.files where !harmed.contains(path) {
            let found = Result { try engine.read(try engine.lookup(path)).bytes }
            guard case .success(let bytes) = found else {
                Issue.record("\(path): \(found)")
                continue
            }
            #expect(bytes == contents[path], "\(path)")
        }
        if !harmed.contains("") {
            #expect(try engine.names(.root) == ["file", "made", "new", "short", "sym"])
        }
    }

    /// The session's rows, by table, as text.
    func rows() throws -> [String] {
        let queue = try DatabaseQueue(path: database)
        defer { try? queue.close() }
        return try queue.read { db in
            try SessionTable.allCases.flatMap { table in
                try Row.fetchAll(db, sql: "SELECT * FROM \(table.rawValue)").map { "\(table)\($0)" }
            }
        }
    }
}

import Foundation
import GRDBSQLite
import NFSProtocol
import SystemPackage
import Testing

@testable import ROWCore

/// Whatever a manifest holds: reading it ends, and answers with what can be true or with an error.
/// `ROWFS_SEED=… swift test --filter HostileManifestTests` repeats a run.
@Suite struct HostileManifestTests {
    private static let isLong = ProcessInfo.processInfo.environment["ROWFS_LONG"] != nil
    private static let rounds = 0..<(isLong ? 2000 : 60)

    @Test(arguments: rounds)
    func randomDamageIsAnErrorOrNotSeen(round: Int) throws {
        var random = Randomness(for: UInt64(9_000_000 + round))
        let tree = try SealedTree()
        try tree.file(Array("file".utf8), SealedTree.content(300_000))
        try tree.directory(Array("d".utf8))
        for number in 0..<200 {
            try tree.symbolicLink(Array("d/\(number)".utf8), to: "target \(number)")
        }
        try tree.seal()
        var bytes = try Disk.contents(tree.manifest.string)
        switch random.below(4) {
        case 0: bytes.removeLast(random.below(bytes.count))
        case 1:
            // A page in the place of another.
            let (from, to) = (random.below(bytes.count / 4096), random.below(bytes.count / 4096))
            bytes.replaceSubrange(
                to * 4096..<(to + 1) * 4096, with: bytes[from * 4096..<(from + 1) * 4096])
        default:
            for _ in 0...random.below(40) {
                bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
            }
        }
        try Disk.write(tree.manifest.string, bytes)
        do {
            let reader = try ManifestReader(path: tree.manifest.string)
            let count = try walk(reader)
            #expect(count <= 1000, "\(random.note)")
        } catch let error as StateError {
            #expect(
                error.code == .unreadable || error.code == .newerSchema,
                "\(random.note): \(error)")
        }
    }

    /// Reads all there is; the number of names.
    private func walk(_ reader: ManifestReader) throws -> Int {
        var waiting = [try reader.root().node]
        var count = 0
        while let directory = waiting.popLast(), count <= 1000 {
            var last: [UInt8] = []
            while count <= 1000 {
                let page = try reader.page(of: directory, after: last, count: 50)
                for (name, entry) in page.entries {
                    _ = try reader.entry(in: directory, named: name)
                    count += 1
                    _ = try reader.target(of: entry.node)
                    _ = try reader.hashes(of: entry.node, page: 0)
                    if entry.attributes.type == .directory { waiting.append(entry.node) }
                    last = name
                }
                if page.isLast { break }
            }
        }
        return count
    }

    /// A sealed tree whose manifest is changed by SQL.
    private func changed(by sql: [String]) throws -> SealedTree {
        let tree = try SealedTree()
        try tree.directory(Array("a".utf8))
        try tree.directory(Array("a/b".utf8))
        try tree.file(Array("file".utf8), SealedTree.content(100_000))
        try tree.symbolicLink(Array("link".utf8), to: "file")
        try tree.seal()
        let connection = try SQLConnection(
            path: tree.manifest.string, flags: SQLITE_OPEN_READWRITE)
        for sql in sql { try connection.execute(sql) }
        return tree
    }

    private static let schemas = [
        "CREATE TABLE other (x)",
        "CREATE INDEX more ON dentry (child)",
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE chunks",
        "DROP TABLE dentry; CREATE VIEW dentry AS SELECT 1 AS parent, x'61' AS name, 2 AS child",
        "ALTER TABLE node ADD COLUMN x",
        "DELETE FROM meta WHERE key = 'files'",
        "UPDATE meta SET value = 'text' WHERE key = 'bytes'",
        "UPDATE meta SET value = -1 WHERE key = 'nodes'",
        "UPDATE meta SET value = x'00' WHERE key = 'tree'",
    ]

    @Test(arguments: schemas)
    func aManifestWithOtherTablesOrFactsIsNone(sql: String) throws {
        let tree = try changed(by: [sql])
        let error = #expect(throws: StateError.self) {
            try ManifestReader(path: tree.manifest.string)
        }
        #expect(error?.code == .unreadable)
    }

    @Test func aSchemaWithoutEndIsNotReadToItsEnd() throws {
        let tables = (0..<5000).map { "CREATE TABLE t\($0) (x)" }
        let tree = try changed(by: ["BEGIN"] + tables + ["COMMIT"])
        let error = #expect(throws: StateError.self) {
            try ManifestReader(path: tree.manifest.string)
        }
        #expect(error?.code == .unreadable)
        #expect(error?.message.contains("more tables") == true, "\(error!)")
    }

    @Test func aManifestOfANewerFormatSaysSo() throws {
        let tree = try changed(by: ["UPDATE meta SET value = 2 WHERE key = 'format'"])
        let error = #expect(throws: StateError.self) {
            try ManifestReader(path: tree.manifest.string)
        }
        #expect(error?.code == .newerSchema)
    }

    /// In that tree `a` is 2, `file` 3, `link` 4 and `a/b` 5.
    private static let rows = [
        "UPDATE node SET type = 9 WHERE id = 3", "UPDATE node SET mode = 65536 WHERE id = 3",
        "UPDATE node SET size = -1 WHERE id = 3",
        "UPDATE node SET size = 9223372036854775807 WHERE id = 3",
        "UPDATE node SET size = 200000 WHERE id = 3", "UPDATE node SET size = 3000 WHERE id = 3",
        "UPDATE node SET size = 'x' WHERE id = 3", "UPDATE node SET nlink = 0 WHERE id = 3",
        "UPDATE node SET mtime = 4294967295 WHERE id = 3", "UPDATE node SET uid = -1 WHERE id = 3",
        "DELETE FROM node WHERE id = 3", "DELETE FROM node WHERE id = 1",
        "DELETE FROM chunks", "UPDATE chunks SET hashes = zeroblob(100)",
        "UPDATE chunks SET hashes = zeroblob(100000)",
        "UPDATE node SET target = NULL WHERE id = 4",
        "UPDATE node SET target = zeroblob(4) WHERE id = 4",
        "UPDATE node SET target = 'file' WHERE id = 4",
        "UPDATE node SET target = zeroblob(5000), size = 5000 WHERE id = 4",
        // Names that are none.
        "UPDATE dentry SET name = x'2e2e' WHERE child = 3",
        "UPDATE dentry SET name = x'2e' WHERE child = 3",
        "UPDATE dentry SET name = x'612f62' WHERE child = 3",
        "UPDATE dentry SET name = x'6100' WHERE child = 3",
        "UPDATE dentry SET name = zeroblob(300) WHERE child = 3",
        // A directory in itself, in one below it, and in two places.
        "INSERT INTO dentry VALUES (1, x'7a', 1)", "INSERT INTO dentry VALUES (5, x'7a', 2)",
        "INSERT INTO dentry VALUES (1, x'7a', 2)", "INSERT INTO dentry VALUES (1, x'7a', 5)",
        "UPDATE node SET parent = 5, name = x'7a' WHERE id = 2; INSERT INTO dentry VALUES (5, x'7a', 2)",
        "UPDATE dentry SET child = -3 WHERE child = 3",
        "UPDATE node SET type = 4 WHERE id = 3",
    ]

    @Test(arguments: rows)
    func rowsThatNoSealWritesAreErrors(sql: String) throws {
        let tree = try changed(by: [sql])
        let error = #expect(throws: StateError.self) {
            let reader = try ManifestReader(path: tree.manifest.string)
            _ = try walk(reader)
        }
        #expect(error?.code == .unreadable)
    }

    @Test func namesThatAreNoneAreNotLookedFor() throws {
        let tree = try changed(by: [])
        let reader = try ManifestReader(path: tree.manifest.string)
        let names: [[UInt8]] = [
            [], [46], [46, 46], [97, 47, 98], [97, 0], [UInt8](repeating: 97, count: 256),
        ]
        for name in names { #expect(try reader.entry(in: 1, named: name) == nil) }
        #expect(try reader.find(path: Array("a/../file".utf8)) == nil)
        #expect(try reader.find(path: Array("/a//b/".utf8)) == 5)
        #expect(try reader.find(path: Array("file/x".utf8)) == nil)
        #expect(try reader.find(path: []) == 1)
        for number in [0, 6, UInt64.max] {
            #expect(try reader.entry(of: number) == nil)
            #expect(try reader.page(of: number, count: 1).entries.isEmpty)
            #expect(try reader.target(of: number) == nil)
            #expect(try reader.hashes(of: number, page: 0) == nil)
        }
        #expect(try reader.hashes(of: 3, page: 1) == nil)
        #expect(try reader.hashes(of: 3, page: UInt64.max) == nil)
        #expect(try reader.hashes(of: 2, page: 0) == nil)
    }
}

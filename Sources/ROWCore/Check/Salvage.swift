import CLinux
import Foundation
import GRDB
import Glibc
import SystemPackage

/// Gets the rows out of a database that SQLite refuses or finds damage in, from a copy: row by row, from
/// both ends of each table, and file by file. What is on pages that are gone stays lost.
struct Salvage {
    private let original: FilePath
    private let workplace: FilePath

    /// - Parameter path: the database; its write-ahead log is looked for beside it.
    init(_ path: FilePath) throws(StateError) {
        original = path
        var template = Array((NSTemporaryDirectory() + "/rowfs-salvage.XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw StateError(
                .io,
                "cannot make a directory in \(NSTemporaryDirectory()): \(Errno(rawValue: errno))")
        }
        workplace = FilePath(platformString: template)
    }

    func records() throws(StateError) -> SessionRecords {
        defer { try? FileManager.default.removeItem(atPath: workplace.string) }
        do {
            var found = SessionRecords()
            read(try copy("plain"), into: &found)
            // The schema and where tables begin are the same in every database of ours: with those of a
            // new one, the rows of a file whose first page is damaged can be reached.
            let patched = try copy("patched")
            if try patch(patched) { read(patched, into: &found) }
            return found
        } catch {
            throw StateError(.io, "cannot work on a copy of \(original): \(error)")
        }
    }

    private func copy(_ name: String) throws -> FilePath {
        let target = workplace.appending(name)
        try LostAndFound.copy(original, to: target)
        let log = FilePath(original.string + "-wal")
        if try DatabaseState.size(log) != nil {
            try LostAndFound.copy(log, to: FilePath(target.string + "-wal"))
        }
        return target
    }

    /// - Returns: false when there is nothing behind the first page.
    private func patch(_ path: FilePath) throws -> Bool {
        let model = workplace.appending("model").string
        let queue = try DatabaseQueue(path: model)
        try SessionSchema.migrator.migrate(queue)
        try queue.close()
        let pageSize = 4096
        var page = [UInt8](try Data(contentsOf: URL(fileURLWithPath: model)).prefix(pageSize))
        let file = try FileDescriptor.open(path, .readWrite, options: .closeOnExec)
        defer { try? file.close() }
        let size = try file.seek(offset: 0, from: .end)
        guard page.count == pageSize, size > pageSize else { return false }
        // The number of pages, and that there are no free ones (SQLite file format §1.3.7, §1.3.8).
        page.replaceSubrange(28..<40, with: [UInt8](repeating: 0, count: 12))
        let pages = UInt32(truncatingIfNeeded: size / Int64(pageSize))
        for place in 0..<4 {
            page[28 + place] = UInt8(truncatingIfNeeded: pages >> UInt32(24 - 8 * place))
        }
        _ = try file.writeAll(toAbsoluteOffset: 0, page)
        return true
    }

    // MARK: Reading

    private func read(_ path: FilePath, into records: inout SessionRecords) {
        guard let db = try? RawDatabase(path: path.string, isTolerant: true) else { return }
        for table in SessionTable.allCases { read(table, db, "", [], &records) }
        // Rows in the middle of a table are reached by the objects that other rows tell of.
        for id in objects(in: records) {
            read(.node, db, "WHERE id = ?", [id], &records)
            read(.delta, db, "WHERE parent = ?", [id], &records)
            for table in [SessionTable.content, .presence, .partial] {
                read(table, db, "WHERE node = ?", [id], &records)
            }
        }
    }

    private func objects(in records: SessionRecords) -> Set<Int64> {
        var ids: Set<Int64> = []
        for (table, columns) in [
            (SessionTable.node, [0]), (.delta, [0, 2]), (.content, [0]), (.presence, [0]),
            (.partial, [0]),
        ] {
            for row in records[table].values {
                for column in columns { row[column].integer.map { _ = ids.insert($0) } }
            }
        }
        for name in (try? ShadowFacts.names(in: shadow)) ?? [] {
            LayerID(fileName: name.string).map { _ = ids.insert($0.node.row) }
        }
        return ids
    }

    private var shadow: FilePath { original.removingLastComponent().appending("shadow") }

    /// From the front up to damage, then from the back.
    private func read(
        _ table: SessionTable, _ db: RawDatabase, _ filter: String, _ arguments: [Int64],
        _ records: inout SessionRecords
    ) {
        let key = table.columns.prefix(table.keyCount)
        for direction in ["ASC", "DESC"] {
            let order = key.map { "\($0) \(direction)" }.joined(separator: ", ")
            let (rows, failure) = db.readable(
                "SELECT \(table.selection) FROM \(table.rawValue) NOT INDEXED \(filter) "
                    + "ORDER BY \(order)", arguments)
            for row in rows where !isNonsense(table, row) { records.add(table, row) }
            if failure == nil { return }
        }
    }

    /// Whether a new database would not even take the row: a key of another kind, or a NULL.
    private func isNonsense(_ table: SessionTable, _ row: [Cell]) -> Bool {
        switch table {
        case .meta: row[0].text == nil
        case .node: row.enumerated().contains { !(3...5).contains($0) && $1.isNull }
        default: row.contains(.null)
        }
    }
}

import GRDB
import NFSProtocol
import SystemPackage

/// Makes a session what an ``UpgradePlan`` says. All data is in place, under names that no row has, before the
/// one transaction that replaces the rows: until that is done the session is the old one, from then on the new
/// one. What a crash leaves besides is tidied up when the session is opened.
struct UpgradeTransaction {
    let session: FilePath
    let name: String
    let tree: SessionTree
    let plan: UpgradePlan
    let data: SessionData

    private var shadow: FilePath { session.appending("shadow") }
    private var path: FilePath { session.appending(DatabaseState.fileName) }
    /// The layer that takes writes after the snapshot.
    private var topLayer: Int64 { (tree.records.meta("layer")?.integer ?? 0) + 1 }

    /// - Returns: the name of the snapshot with the state before.
    func carryOut(_ old: OldImage, _ new: NewImage) async throws -> String {
        let standing = try await new.standing()
        try reserve()
        let copied = try await copy(old)
        let snapshot = Snapshots.unusedTag("before-upgrade-", of: session)
        let queue = try open()
        defer { try? queue.close() }
        do {
            try keep(queue, as: snapshot)
            try link()
            try replace(queue, by: records(copied, new.image.name, standing))
        } catch {
            try? StoredSession.removeSnapshot(snapshot, of: session)
            removeCopies()
            throw error
        }
        // Only the snapshot has rows of these now.
        for (id, file) in tree.files where plan.nodes[id] == nil {
            for layer in file.layers.keys {
                Storage.remove(shadow.appending(LayerID(node: id, layer: layer).fileName))
            }
        }
        return snapshot
    }

    private func open() throws(StateError) -> DatabaseQueue {
        try StateDatabase.open(
            path: path.string, isDurable: true, migrator: SessionSchema.migrator,
            advice: SessionStore.advice(name))
    }

    /// Numbers count as given out before there is a file of that name.
    private func reserve() throws {
        let queue = try open()
        defer { try? queue.close() }
        try queue.write { db in
            for (key, value) in counters { try put(key, .integer(value), db) }
        }
    }

    private var counters: [(String, Int64)] {
        [("next_id", Int64(bitPattern: plan.nextID)), ("next_cookie", plan.nextCookie)]
    }

    private func put(_ key: String, _ value: Cell, _ db: GRDB.Database) throws {
        try db.execute(
            sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            arguments: [key, value.databaseValue])
    }

    // MARK: Data

    private struct Copied {
        var rows: [(table: SessionTable, row: [Cell])] = []
        /// Of symbolic links.
        var targets: [NodeID: [UInt8]] = [:]
    }

    private static let namesMaximum = 10

    /// - Throws: when the old image cannot be asked for all that conflicts need; nothing is changed then.
    private func copy(_ old: OldImage) async throws -> Copied {
        var copied = Copied()
        var failed: [(path: FilePath, why: any Error)] = []
        for (id, copy) in plan.copies.sorted(by: { $0.key < $1.key }) {
            guard let node = plan.nodes[copy.id] else { continue }
            do {
                if node.fileType == .symbolicLink {
                    copied.targets[copy.id] = try await old.target(id)
                } else if node.flags.contains(.hasContent) {
                    let copy = WholeCopy(
                        id: id, layer: LayerID(node: copy.id, layer: topLayer), size: node.size,
                        shadow: shadow, blockSize: tree.blockSize, isDurable: true)
                    copied.rows += try await copy.make(data, old)
                }
            } catch let error as ROWError {
                failed.append((copy.path, error))
            } catch {
                removeCopies()
                throw error
            }
        }
        guard let first = failed.first else { return copied }
        removeCopies()
        let names = failed.prefix(Self.namesMaximum).map(\.path.string).joined(separator: ", ")
        let more = failed.count - Self.namesMaximum
        throw StateError(
            .notFound,
            "conflicts need data of the image \(old.name), which it does not give (\(first.why)): \(names)"
                + (more > 0 ? " and \(more) more" : "")
                + "; nothing was changed: make the image available, or undo these changes")
    }

    private func removeCopies() {
        for copy in plan.copies.values {
            Storage.remove(
                shadow.appending(LayerID(node: copy.id, layer: topLayer).fileName))
        }
    }

    private func keep(_ queue: DatabaseQueue, as tag: String) throws {
        let copy = SessionCopy(
            session: session, source: session, target: Snapshots.path(tag, of: session),
            purpose: .snapshot, isDurable: true)
        try StoredSession.freeze(queue, copy)
    }

    /// Lets the files of the session's data be those of the new image's objects, too.
    private func link() throws {
        for (old, new) in plan.carried.sorted(by: { $0.key < $1.key }) {
            for (layer, record) in tree.files[old]?.layers.sorted(by: { $0.key < $1.key }) ?? [] {
                try Snapshots.link(
                    LayerID(node: old, layer: layer), as: LayerID(node: new, layer: layer),
                    in: shadow, mustExist: record.content?.blocks ?? 0 > 0)
            }
        }
        try shadow.sync()
    }

    // MARK: Rows

    private func records(
        _ copied: Copied, _ image: String, _ standing: (epoch: UInt64, generation: UInt64)
    ) -> SessionRecords {
        var records = SessionRecords()
        for node in plan.nodes.values {
            var node = node
            if let target = copied.targets[node.id] { node.target = target }
            records.put(.node, node.row)
        }
        for (name, entry) in plan.entries {
            records.put(
                .delta,
                [
                    .integer(name.directory.row), .blob(name.name), .integer(entry.child.row),
                    .integer(entry.cookie),
                ])
        }
        for (id, file) in tree.files {
            guard let new = plan.carried[id] ?? (plan.nodes[id] == nil ? nil : id) else { continue }
            for (table, row) in file.rows {
                records.put(table, [.integer(new.row)] + row.dropFirst())
            }
        }
        for (table, row) in copied.rows { records.put(table, row) }
        records[.meta] = tree.records[.meta]
        records.setMeta("image", .text(Array(image.utf8)))
        records.setMeta("epoch", .integer(Int64(bitPattern: standing.epoch)))
        records.setMeta("generation", .integer(Int64(bitPattern: standing.generation)))
        records.setMeta("layer", .integer(topLayer))
        let floor = NFS3.Time(row: tree.records.meta("ctime_floor")?.integer ?? 0)
        records.setMeta("ctime_floor", .integer(max(floor, .now()).row))
        for (key, value) in SessionStore.newIdentity() { records.setMeta(key, .integer(value)) }
        for (key, value) in counters { records.setMeta(key, .integer(value)) }
        return records
    }

    private func replace(_ queue: DatabaseQueue, by records: SessionRecords) throws {
        try queue.writeWithoutTransaction { db in
            try db.inTransaction(.immediate) {
                try records.write(over: tree.records, to: db)
                return .commit
            }
            // Done is done; whoever opens the session next takes the log over.
            _ = try? db.checkpoint(.truncate)
        }
    }
}

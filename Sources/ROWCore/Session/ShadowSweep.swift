import GRDB
import SystemPackage

extension SessionStore {
    /// Tidies the shadow up: removes what cannot be acknowledged data, and moves aside what is not
    /// understood. What remains is durable by name.
    /// - Returns: what an operator should know.
    func sweepShadow() throws(StateError) -> [String] {
        var notices: [String] = []
        let lostAndFound = LostAndFound(session: directory)
        do {
            let names = try ShadowFacts.names(in: shadowDirectory)
            try writer.readNow { db in
                let top =
                    try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'layer'") ?? 0
                for name in names {
                    switch try use(of: name, top, db) {
                    case .data: continue
                    case .leftover: Storage.remove(shadowDirectory.pushing(name))
                    case .damage:
                        notices.append(
                            "shadow/\(name) holds data, and the rows about it are damaged: stop the "
                                + "session and check it with `rowctl fsck`")
                    case .foreign:
                        try lostAndFound.move(FilePath("shadow").pushing(name))
                        notices.append(
                            "shadow/\(name) is not a file that this session's database knows of: it "
                                + "was moved to \(lostAndFound.directory ?? directory)")
                    }
                }
            }
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.io, "cannot tidy up \(shadowDirectory): \(error)")
        }
        try shadowDirectory.sync()
        return notices
    }

    enum Use {
        /// A row refers to it.
        case data
        /// Nothing in it was ever acknowledged as safe, or its object is gone.
        case leftover
        /// Some rows say that it is data, others are not there.
        case damage
        case foreign
    }

    /// What a file in the shadow is.
    ///
    /// The rows of `content`, `presence` and `partial`, and the flag in that of `node`, come in one
    /// transaction, before any reply that calls the data safe, and go in the transaction that removes
    /// the object, before the file goes. So when all four say nothing of a file, it holds only writes
    /// that were never acknowledged as stable, or data of an object that is gone: a crash left it. But
    /// an object that the session made later than its database knows of, or a layer of which nobody had
    /// begun to make it the top one, cannot come from a crash: the database is an older copy, and the
    /// file may be all that is left of acknowledged data.
    func use(of name: FilePath, _ top: Int64, _ db: GRDB.Database) throws -> Use {
        guard let layer = LayerID(fileName: name.string) else { return .foreign }
        let id = layer.node
        func has(_ table: String) throws -> Bool {
            try Int.fetchOne(
                db.cachedStatement(
                    sql: "SELECT 1 FROM \(table) WHERE node = ? AND layer = ? LIMIT 1"),
                arguments: [id.row, layer.layer]) != nil
        }
        if try has("content") { return .data }
        let flags = try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT flags FROM node WHERE id = ?"), arguments: [id.row]
        ).map(Node.Flags.init(rawValue:))
        if try has("presence") || has("partial") { return .damage }
        if flags?.contains(.hasContent) == true {
            let hasOtherLayer =
                try Int.fetchOne(
                    db.cachedStatement(sql: "SELECT 1 FROM content WHERE node = ? LIMIT 1"),
                    arguments: [id.row]) != nil
            if !hasOtherLayer { return .damage }
        }
        let isUnheardOf =
            id.isSessionMade && id.rawValue >= identity.nextID
            || layer.layer > top + 1
        return isUnheardOf ? .foreign : .leftover
    }
}

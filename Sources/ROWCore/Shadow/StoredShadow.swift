import GRDB
import SystemPackage

/// session.sqlite knows where the session's data is.
extension SessionStore {
    /// Keys of `meta`: the shadow server's export, canonical and as it is reached; and 1 once the
    /// session's directory there was made.
    enum ShadowKey {
        static let name = "shadow"
        static let url = "shadow_url"
        static let isReady = "shadow_ready"
    }

    /// Checks that the session's data is, or may be, where it is looked for, and remembers that.
    /// - Parameter server: nil for the session's directory.
    func settle(on server: (any ShadowServer)?) throws(StateError) {
        let session = directory.lastComponent?.string ?? ""
        do {
            let known = try shadowMeta(ShadowKey.name)
            guard let server else {
                guard let known else { return }
                throw StateError(
                    .shadowMismatch,
                    "the data of the session \(session) is on the NFS server \(known): only "
                        + "`rowctl serve` and `rowctl mount` can use it")
            }
            if let known, known != server.name {
                throw StateError(
                    .shadowMismatch,
                    "the data of the session \(session) is on \(known), not on \(server.name): "
                        + "leave --shadow out, or use another session name")
            }
            if known == nil, try hasContent() {
                throw StateError(
                    .shadowMismatch,
                    "the session \(session) has data in \(shadowDirectory), and --shadow cannot move "
                        + "it: leave --shadow out, or use another session name")
            }
            try putMeta([(ShadowKey.name, server.name), (ShadowKey.url, server.url)])
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.io, "cannot use the session \(session): \(error)")
        }
    }

    private func shadowMeta(_ key: String) throws -> String? {
        try writer.readNow { db in
            try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
        }
    }

    private func hasContent() throws -> Bool {
        try writer.readNow { db in
            try Int.fetchOne(db, sql: "SELECT 1 FROM content LIMIT 1") != nil
        }
    }

    private func putMeta(_ pairs: [(key: String, value: String)]) throws {
        try writer.commitNow { db in
            for (key, value) in pairs {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                    arguments: [key, value])
            }
        }
    }

    /// Whether the session's directory at the shadow server was made.
    var isShadowReady: Bool {
        get throws { try shadowMeta(ShadowKey.isReady) != nil }
    }

    func markShadowReady() throws { try putMeta([(ShadowKey.isReady, "1")]) }

    // MARK: Tidying up

    /// What there is to do about the files that a shadow server has.
    struct RemoteSweep {
        var removable: [NodeID] = []
        var notices: [String] = []
    }

    /// Compares the names at the shadow server with the rows, as ``sweepShadow()`` does here; what is not
    /// understood is left where it is.
    func sweep(remote names: [[UInt8]]) throws -> RemoteSweep {
        var sweep = RemoteSweep()
        var found: Set<NodeID> = []
        try writer.readNow { db in
            for bytes in names {
                let name = FilePath(bytes: bytes)
                if let id = Self.node(ofShadow: name.string) { found.insert(id) }
                switch try use(of: name, db) {
                case .data: continue
                case .leftover:
                    if let id = Self.node(ofShadow: name.string) { sweep.removable.append(id) }
                case .damage:
                    sweep.notices.append(
                        "\(name) at the shadow server holds data, and the rows about it are damaged: "
                            + "stop the session and check it with `rowctl fsck`")
                case .foreign:
                    sweep.notices.append(
                        "\(name) at the shadow server is not a file that this session's database "
                            + "knows of")
                }
            }
            let rows = try Int64.fetchAll(
                db, sql: "SELECT node FROM content WHERE blocks > 0 ORDER BY node")
            for id in rows.map(NodeID.init(row:)) where !found.contains(id) {
                sweep.notices.append(
                    "\(Self.shadowName(id)) is missing at the shadow server: the data of \(id) is lost"
                )
            }
        }
        return sweep
    }
}

extension SessionState {
    /// Gets the session's directory at its shadow server ready, and removes what nobody refers to.
    /// - Parameter then: hears why the session cannot be used.
    public func tidyShadowServer(then: @escaping (StateError?) -> Void) {
        guard let files = remoteFiles else { return then(nil) }
        let server = files.server
        let isReady = (try? store.isShadowReady) ?? false
        server.prepare(mayExist: isReady) { [unowned self] result in
            switch result {
            case .failure(let failure):
                then(
                    StateError(
                        .io,
                        "the shadow server \(server.name) answers \(failure.status) for the "
                            + "directory of the session \(name); check that it exports that for "
                            + "writing and can be reached"))
            case .success(let names):
                do {
                    if !isReady { try store.markShadowReady() }
                    let sweep = try store.sweep(remote: names)
                    for notice in sweep.notices { onEvent(notice) }
                    for id in sweep.removable { files.remove(ShadowFileID(id)) }
                    then(nil)
                } catch {
                    then(StateError(.io, "cannot tidy up the shadow of \(name): \(error)"))
                }
            }
        }
    }
}

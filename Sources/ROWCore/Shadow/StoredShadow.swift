import GRDB
import SystemPackage

/// Where the data of a session is that an NFS server keeps.
public struct StoredShadow: Sendable, Hashable {
    /// The server's export, as it is reached.
    public let url: String
    /// The name of the session's directory there.
    public let directory: String
    /// Whether that was made, so that all in it is the session's.
    public let isReady: Bool

    init?(_ db: GRDB.Database) throws {
        func meta<T: DatabaseValueConvertible>(_ key: String) throws -> T? {
            try T.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
        }
        guard let url: String = try meta(SessionStore.ShadowKey.url) else { return nil }
        let tag: Int64? = try meta("tag")
        let ready: String? = try meta(SessionStore.ShadowKey.isReady)
        self.url = url
        isReady = ready != nil
        directory = Self.directory(tag: UInt32(truncatingIfNeeded: tag ?? 0))
    }

    /// What shares files between sessions knows only those of this machine.
    static func refusal(_ session: String, _ server: String) -> StateError {
        StateError(
            .shadowMismatch,
            "the data of the session \(session) is on the NFS server \(server): there are no "
                + "snapshots and clones of such a session; copy its mounted tree instead")
    }

    /// - Parameter tag: of the session's handles.
    public static func directory(tag: UInt32) -> String {
        let digits = String(tag, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

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
        var removable: [LayerID] = []
        var notices: [String] = []
    }

    /// Compares the names at the shadow server with the rows, as ``sweepShadow()`` does here; what is not
    /// understood is left where it is.
    func sweep(remote names: [[UInt8]]) throws -> RemoteSweep {
        var sweep = RemoteSweep()
        var found: Set<LayerID> = []
        try writer.readNow { db in
            let top =
                try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'layer'") ?? 0
            for bytes in names {
                let name = FilePath(bytes: bytes)
                let layer = LayerID(fileName: name.string)
                if let layer { found.insert(layer) }
                switch try use(of: name, top, db) {
                case .data: continue
                case .leftover: if let layer { sweep.removable.append(layer) }
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
            let rows = try Row.fetchAll(
                db, sql: "SELECT node, layer FROM content WHERE blocks > 0 ORDER BY node, layer")
            for row in rows {
                let layer = LayerID(node: NodeID(row: row[0]), layer: row[1])
                guard !found.contains(layer) else { continue }
                sweep.notices.append(
                    "\(layer.fileName) is missing at the shadow server: data of \(layer) is lost")
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
        server.prepare(mayExist: isReady) { [self] result in
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
                    for layer in sweep.removable { files.remove(layer) }
                    then(nil)
                } catch {
                    then(StateError(.io, "cannot tidy up the shadow of \(name): \(error)"))
                }
            }
        }
    }
}

import Foundation
import GRDB
import NFSProtocol
import SystemPackage

/// session.sqlite and the shadow directory of one session: what a restart finds.
///
/// Loop-confined but for the writer's thread, which it owns.
final class SessionStore {
    let directory: FilePath
    let shadowDirectory: FilePath
    let identity: Identity
    let writer: Writer
    let reader: RowReader
    /// Shadow files that were made since the directory was last synced.
    var newFiles: [LayerID] = []
    /// What opening found that an operator should know.
    private(set) var notices: [String] = []
    private let lock: FileLock
    private let selectNode: RowStatement
    private let selectDelta: RowStatement
    private let selectDeltas: RowStatement
    private let selectContent: RowStatement
    private let selectPages: RowStatement
    private let selectPartial: RowStatement
    private let selectTotals: RowStatement

    /// What a session is made with and never changes.
    struct Identity: Sendable {
        let tag: UInt32
        let secret: SipHash.Key
        let fsid: UInt64
        let blockSize: UInt64
        /// The next ids and cookies that are certainly unused.
        let nextID: UInt64
        let nextCookie: UInt64
        /// See ``SessionState``.
        let topLayer: Int64
        let ctimeFloor: NFS3.Time
        /// The image database is another or an older one: what of the image this session changed,
        /// by path.
        let lost: [[UInt8]: NodeID]
    }

    init(
        directory: FilePath, name: String, image: ImageStore, blockSize: UInt64, isDurable: Bool,
        loop: @escaping LoopExecutor
    ) throws(StateError) {
        self.directory = directory
        shadowDirectory = directory.appending("shadow")
        try shadowDirectory.makeDirectory()
        lock = try FileLock(directory.appending("lock"), purpose: "the session \(name)")
        Snapshots.sweep(directory)
        let path = directory.appending("session.sqlite").string
        let hasData = try Self.checkWhole(directory, name: name)
        let queue = try StateDatabase.open(
            path: path, isDurable: isDurable, migrator: SessionSchema.migrator,
            advice: Self.advice(name))
        do {
            identity = try queue.write { db in
                try Self.identity(
                    db, name: name, image: image, blockSize: blockSize, mayBeNew: !hasData)
            }
        } catch let error as StateError {
            throw error
        } catch {
            throw StateError(.unreadable, "cannot use \(path): \(error)")
        }
        try directory.sync()
        reader = try RowReader(path: path)
        writer = Writer(queue: queue, reader: reader, loop: loop)
        selectNode = try reader.prepare(
            """
            SELECT flags, parent, verifier, target, type, mode, nlink, uid, gid, size, used, major,
                minor, atime, mtime, ctime FROM node WHERE id = ?
            """)
        selectDelta = try reader.prepare(
            "SELECT child, cookie FROM delta WHERE parent = ? AND name = ?")
        selectDeltas = try reader.prepare(
            """
            SELECT cookie, name, child FROM delta
            WHERE parent = ? AND cookie > ? AND child != 0 ORDER BY cookie
            """)
        selectContent = try reader.prepare(
            "SELECT layer, main_valid FROM content WHERE node = ? ORDER BY layer DESC")
        selectPages = try reader.prepare(
            "SELECT page, bits FROM presence WHERE node = ? AND layer = ?")
        selectPartial = try reader.prepare(
            "SELECT block, ranges FROM partial WHERE node = ? AND layer = ?")
        selectTotals = try reader.prepare(
            "SELECT count(DISTINCT node), sum(blocks), sum(allocated) FROM content")
        notices = try sweepShadow()
    }

    static func advice(_ name: String) -> String {
        "`rowctl fsck \(name)` tells what is damaged, and repairs it with --repair"
    }

    /// Refuses to take for new a session that has lost its database: what its shadow holds would go.
    /// - Returns: whether the shadow has files with changed data.
    static func checkWhole(
        _ directory: FilePath, name: String
    ) throws(StateError) -> Bool {
        if try DatabaseState.size(directory.appending(DatabaseState.repairedName)) != nil {
            throw StateError(
                .unreadable, "a repair of the session \(name) was cut off; \(advice(name))")
        }
        let hasData: Bool
        do {
            hasData = try ShadowFacts.names(in: directory.appending("shadow")).contains {
                LayerID(fileName: $0.string) != nil
            }
        } catch {
            throw StateError(.io, "cannot list the shadow of the session \(name): \(error)")
        }
        let path = directory.appending(DatabaseState.fileName)
        let log = try DatabaseState.size(FilePath(path.string + "-wal")) ?? 0
        let size = try DatabaseState.size(path) ?? 0
        guard size > 0 || !hasData && log == 0 else {
            throw StateError(
                .unreadable,
                "\(path) is missing or empty, and there is data of the session \(name); "
                    + advice(name))
        }
        return hasData
    }

    private static func identity(
        _ db: GRDB.Database, name: String, image: ImageStore, blockSize: UInt64, mayBeNew: Bool
    ) throws -> Identity {
        func integer(_ key: String) throws -> Int64? {
            try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
        }
        func put(_ key: String, _ value: Int64) throws {
            try db.execute(sql: "INSERT INTO meta VALUES (?, ?)", arguments: [key, value])
        }
        let known = try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'image'")
        if let known {
            guard known == image.source else {
                throw StateError(
                    .imageMismatch,
                    "the session \(name) stands on the image \(known), not on \(image.source): serve that, "
                        + "take `rowctl upgrade` to put the session onto the other, or use another name"
                )
            }
        } else {
            let isUnused = try SessionTable.allCases.allSatisfy { table in
                try Int.fetchOne(db, sql: "SELECT 1 FROM \(table.rawValue) LIMIT 1") == nil
            }
            guard mayBeNew, isUnused else {
                throw StateError(
                    .unreadable,
                    "the session \(name) does not say on which image it stands; \(advice(name))")
            }
            try db.execute(
                sql: "INSERT INTO meta VALUES ('image', ?)", arguments: [image.source])
            try put("epoch", Int64(bitPattern: image.epoch))
            for (key, value) in newIdentity() { try put(key, value) }
            try put("block_size", Int64(blockSize))
            try put("next_id", Int64(NodeID.sessionBit) + 1)
            try put("next_cookie", Int64(Self.firstCookie))
        }
        guard let tag = try integer("tag"), let low = try integer("secret_low"),
            let high = try integer("secret_high"), let fsid = try integer("fsid"),
            let size = try integer("block_size"), let nextID = try integer("next_id"),
            let nextCookie = try integer("next_cookie"), size > 0,
            LayerMap.isValid(blockSize: UInt64(size)), possibleIDs.contains(nextID),
            possibleCookies.contains(nextCookie)
        else {
            throw StateError(
                .unreadable, "the session \(name) lacks part of its identity; \(advice(name))")
        }
        return Identity(
            tag: UInt32(truncatingIfNeeded: tag),
            secret: SipHash.Key(low: UInt64(bitPattern: low), high: UInt64(bitPattern: high)),
            fsid: UInt64(bitPattern: fsid), blockSize: UInt64(size),
            nextID: UInt64(bitPattern: nextID), nextCookie: UInt64(bitPattern: nextCookie),
            topLayer: try integer("layer") ?? 0,
            ctimeFloor: NFS3.Time(row: try integer("ctime_floor") ?? 0),
            lost: try image.adopted.contains(UInt32(truncatingIfNeeded: tag))
                || stands(on: image.epoch, generation: image.generation, db)
                ? [:] : nodesOfImage(db))
    }

    /// What tells a session, its handles and its file system from all others.
    static func newIdentity() -> [(key: String, value: Int64)] {
        [
            ("tag", Int64(UInt32.random(in: 1...UInt32.max))),
            ("secret_low", Int64.random(in: .min ... .max)),
            ("secret_high", Int64.random(in: .min ... .max)),
            ("fsid", Int64.random(in: 1...Int64.max)),
        ]
    }

    /// Whether a session was made on this image database, and has seen no later state of it.
    static func stands(
        on epoch: UInt64, generation: UInt64, _ db: GRDB.Database
    ) throws -> Bool {
        func integer(_ key: String) throws -> Int64? {
            try Int64.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
        }
        return try integer("epoch") == Int64(bitPattern: epoch)
            && (integer("generation") ?? 0) < Int64(bitPattern: generation)
    }

    /// The image's objects that a session changed, by their paths in the image.
    static func nodesOfImage(_ db: GRDB.Database) throws -> [[UInt8]: NodeID] {
        var lost: [[UInt8]: NodeID] = [:]
        let rows = try Row.fetchCursor(
            db,
            sql: "SELECT id, main_path FROM node WHERE main_path IS NOT NULL AND id != ?",
            arguments: [NodeID.root.row])
        while let row = try rows.next() {
            guard let path = Data.fromDatabaseValue(row[1]),
                let id = Int64.fromDatabaseValue(row[0])
            else { throw StateError(.unreadable, "a row of an object of the image is damaged") }
            lost[Array(path)] = NodeID(row: id)
        }
        return lost
    }

    /// Records which image database this session now stands on, and which numbers it may give out.
    func adopt(_ image: ImageStore, _ counters: [SessionRow]) throws {
        try writer.commitNow { db in
            for row in counters { try row.apply(to: db, allocated: [:]) }
            for (key, value) in [("epoch", image.epoch), ("generation", image.generation)] {
                try db.execute(
                    sql: "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
                    arguments: [key, Int64(bitPattern: value)])
            }
        }
        image.adopted.insert(identity.tag)
    }

    /// Lets go of the database and of the session, which others may then open.
    func close() {
        writer.close()
        lock.release()
    }

    /// Cookies of session-made entries begin here; main's count up from 3.
    static let firstCookie: UInt64 = 1 << 62

    /// No counter ever comes this far: there is room above for all that one start can give out.
    static let numbersMaximum = Int64.max - 1 << 41
    /// What the counters on record can be.
    static let possibleIDs = Int64(NodeID.sessionBit) + 1...numbersMaximum
    static let possibleCookies = Int64(firstCookie)...numbersMaximum

    // MARK: Reading

    enum StoredNode {
        case none
        case removed
        case node(Stored)
    }

    struct Stored {
        let attributes: NFS3.Attributes
        let flags: Node.Flags
        let parent: NodeID
        let verifier: UInt64?
        let target: [UInt8]?
    }

    func node(_ id: NodeID) throws(Interrupt) -> StoredNode {
        selectNode.bind(1, id.row)
        defer { selectNode.reset() }
        guard try selectNode.step() else { return .none }
        let flags = Node.Flags(rawValue: selectNode.int(0))
        if flags.contains(.removed) { return .removed }
        guard
            let attributes = NFS3.Attributes(
                selectNode, from: 4, fsid: nil, fileid: nil, times: 13)
        else { throw .status(.io) }
        return .node(
            Stored(
                attributes: attributes, flags: flags, parent: NodeID(row: selectNode.int(1)),
                verifier: selectNode.isNull(2) ? nil : UInt64(bitPattern: selectNode.int(2)),
                target: selectNode.isNull(3) ? nil : selectNode.blob(3)))
    }

    /// What the session did to a name.
    enum Delta: Equatable {
        case none
        case whiteout
        case entry(NodeID, cookie: UInt64)
    }

    func delta(
        _ directory: NodeID, _ name: UnsafeRawBufferPointer
    ) throws(Interrupt) -> Delta {
        selectDelta.bind(1, directory.row)
        selectDelta.bind(2, unowned: name)
        defer { selectDelta.reset() }
        guard try selectDelta.step() else { return .none }
        let child = selectDelta.int(0)
        return child == 0
            ? .whiteout
            : .entry(NodeID(row: child), cookie: UInt64(bitPattern: selectDelta.int(1)))
    }

    /// Calls `body` with the session's entries of a directory after `cookie`, in order, until it
    /// answers false.
    func forEachEntry(
        of directory: NodeID, after cookie: UInt64,
        _ body: (_ cookie: UInt64, _ name: [UInt8], _ child: NodeID) throws(Interrupt) -> Bool
    ) throws(Interrupt) {
        selectDeltas.bind(1, directory.row)
        selectDeltas.bind(2, Int64(bitPattern: cookie))
        defer { selectDeltas.reset() }
        while try selectDeltas.step() {
            guard
                try body(
                    UInt64(bitPattern: selectDeltas.int(0)), selectDeltas.blob(1),
                    NodeID(row: selectDeltas.int(2)))
            else { return }
        }
    }

    /// The recorded layers of a file's changed data, below a top layer of this number.
    /// - Parameter size: the file's, bytes.
    func content(of id: NodeID, size: UInt64, top: Int64) throws(Interrupt) -> FileContent {
        selectContent.bind(1, id.row)
        defer { selectContent.reset() }
        var layers: [FileLayer] = []
        while try selectContent.step() {
            let number = selectContent.int(0)
            let map = try map(
                LayerID(node: id, layer: number),
                mainValid: UInt64(bitPattern: selectContent.int(1)))
            layers.append(FileLayer(number: number, map: map))
            layers.last?.isRecorded = true
        }
        guard let newest = layers.first, newest.number <= top else { throw .status(.io) }
        if newest.number == top {
            return FileContent(top: newest, frozen: Array(layers.dropFirst()))
        }
        let blank = LayerMap(blockSize: identity.blockSize, mainValid: size)
        return FileContent(top: FileLayer(number: top, map: blank), frozen: layers)
    }

    private func map(_ id: LayerID, mainValid: UInt64) throws(Interrupt) -> LayerMap {
        var pages: [PresenceMap.Page] = []
        selectPages.bind(1, id.node.row)
        selectPages.bind(2, id.layer)
        defer { selectPages.reset() }
        while try selectPages.step() {
            let index = UInt64(bitPattern: selectPages.int(0))
            guard let page = PresenceMap.Page(index: index, blob: selectPages.blob(1)) else {
                reader.onError("presence page \(index) of \(id) is damaged")
                throw .status(.io)
            }
            pages.append(page)
        }
        var partial: [(block: UInt64, blob: [UInt8])] = []
        selectPartial.bind(1, id.node.row)
        selectPartial.bind(2, id.layer)
        defer { selectPartial.reset() }
        while try selectPartial.step() {
            partial.append((UInt64(bitPattern: selectPartial.int(0)), selectPartial.blob(1)))
        }
        do {
            return try LayerMap(
                blockSize: identity.blockSize, mainValid: mainValid, pages: pages, partial: partial)
        } catch {
            reader.onError("the block map of \(id) is damaged: \(error)")
            throw .status(.io)
        }
    }

    /// Files with changed data, their changed blocks, and the bytes that the shadow takes up.
    func totals() -> (files: Int64, blocks: Int64, allocated: Int64) {
        defer { selectTotals.reset() }
        guard (try? selectTotals.step()) == true else { return (0, 0, 0) }
        return (selectTotals.int(0), selectTotals.int(1), selectTotals.int(2))
    }

    /// Where a layer of a file's changed data is kept.
    func shadowPath(_ id: LayerID) -> FilePath { shadowDirectory.appending(id.fileName) }

    /// Opens a layer's sparse file.
    /// - Parameter create: makes it when there is none.
    func openShadow(
        _ id: LayerID, create: Bool
    ) throws(Errno) -> (file: SparseFile, isNew: Bool) {
        let path = shadowPath(id)
        do {
            return (try SparseFile(path: path, create: false), false)
        } catch .noSuchFileOrDirectory where create {
            newFiles.append(id)
            return (try SparseFile(path: path, create: true), true)
        }
    }

    func replies() throws -> [StoredReply] {
        try writer.readNow { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT client, xid, procedure, checksum, body FROM reply ORDER BY sequence
                    """
            ).compactMap { row in
                // Without a damaged one, a call that is sent again is carried out again.
                guard let client = Data.fromDatabaseValue(row[0]),
                    let xid = Int64.fromDatabaseValue(row[1]),
                    let procedure = Int64.fromDatabaseValue(row[2]),
                    let checksum = Int64.fromDatabaseValue(row[3]),
                    let body = Data.fromDatabaseValue(row[4])
                else { return nil }
                return StoredReply(
                    client: Array(client), xid: UInt32(truncatingIfNeeded: xid),
                    procedure: UInt32(truncatingIfNeeded: procedure),
                    checksum: UInt64(bitPattern: checksum), body: Array(body))
            }
        }
    }
}

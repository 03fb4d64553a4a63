import NFSProtocol

/// Checks the rows of a session against each other, the shadow and the image, and works out the rows
/// that a repair leaves. Everything is decided here and nothing is done: a plain value.
///
/// Where two rows contradict each other, the repair is the one that keeps more: objects without a row
/// get one, objects without a name get one, a size is raised to what is stored.
struct RecordCheck {
    let shadow: ShadowFacts
    /// The image's database, if it is the one that the session stands on.
    let image: ImageFacts?
    /// Images that could be the session's, should it not say which is.
    let candidates: [ImageFacts]
    /// The image that people say it stands on, for when nothing else tells.
    let givenSource: String?

    private(set) var findings: [SessionFinding] = []
    /// Rows as they will be; the tables that have their own properties below are put in at the end.
    private(set) var records: SessionRecords
    var nodes: [NodeID: NodeRecord] = [:]
    var entries: [EntryName: EntryRecord] = [:]
    /// By file and layer.
    var files: [LayerID: FileRecord] = [:]
    /// The layer that takes writes; there is none above it.
    var topLayer: Int64 = 0
    /// The oldest layer of each file with changed data.
    private(set) var lowestLayers: [NodeID: Int64] = [:]
    private(set) var actions: [ShadowAction] = []
    /// The file system's unit of redirection; 0 when it is not known.
    var blockSize: UInt64 = 0
    /// Cookies of entries that get a new one count up from here.
    var nextCookie: Int64 = 0

    init(
        _ records: SessionRecords, shadow: ShadowFacts, image: ImageFacts?,
        candidates: [ImageFacts], givenSource: String?
    ) {
        self.records = records
        self.shadow = shadow
        self.image = image
        self.candidates = candidates
        self.givenSource = givenSource
    }

    mutating func run() {
        readRows()
        // A session that was opened for the first time and never used.
        if records.isEmpty && nodes.isEmpty && entries.isEmpty && files.isEmpty {
            checkStrayFiles()
            return
        }
        checkIdentity()
        replaceLostNodes()
        checkNodes()
        prepareCookies()
        checkEntries()
        checkDirectories()
        checkNames()
        checkCookies()
        checkLinkCounts()
        checkFiles()
        checkStrayFiles()
        checkCounters()
        checkReplies()
        collectRows()
    }

    // MARK: Telling

    mutating func report(
        _ kind: SessionFinding.Kind, _ object: some CustomStringConvertible, _ problem: String,
        repair: String, severity: SessionFinding.Severity = .damage
    ) {
        findings.append(
            SessionFinding(
                kind, object.description, problem, repair: repair, severity: severity))
    }

    mutating func act(_ action: ShadowAction) {
        if case .copyAside(let id) = action, shadow.files[id] == nil { return }
        if !actions.contains(action) { actions.append(action) }
    }

    mutating func setMeta(_ key: String, _ value: Cell) { records.setMeta(key, value) }

    mutating func removeMeta(_ key: String) { records.remove(.meta, [.text(Array(key.utf8))]) }

    mutating func removeReply(_ key: [Cell]) { records.remove(.reply, key) }

    // MARK: Rows

    private mutating func readRows() {
        findTopLayer()
        for row in records[.node].values {
            if let node = NodeRecord(row) { nodes[node.id] = node } else { refuse(.node, row) }
        }
        for row in records[.delta].values {
            guard let parent = row[0].integer, NodeID(row: parent).isPossible,
                let name = row[1].blob, let child = row[2].integer,
                child == 0 || NodeID(row: child).isPossible, let cookie = row[3].integer
            else {
                refuse(.delta, row)
                continue
            }
            entries[EntryName(directory: NodeID(row: parent), name: name)] = EntryRecord(
                child: NodeID(row: child), cookie: cookie)
        }
        for row in records[.content].values {
            guard let id = fileRow(.content, row), let valid = row[2].integer,
                let blocks = row[3].integer, let allocated = row[4].integer
            else {
                refuse(.content, row)
                continue
            }
            files[id, default: FileRecord()].content = FileRecord.Content(
                mainValid: UInt64(bitPattern: valid), blocks: blocks, allocated: allocated)
        }
        for table in [SessionTable.presence, .partial] {
            for row in records[table].values {
                guard let id = fileRow(table, row), let place = row[2].integer, place >= 0,
                    let blob = row[3].blob
                else {
                    refuse(table, row)
                    continue
                }
                if table == .presence {
                    files[id, default: FileRecord()].pages[UInt64(place)] = blob
                } else {
                    files[id, default: FileRecord()].partial[UInt64(place)] = blob
                }
            }
        }
        for id in files.keys {
            lowestLayers[id.node] = min(lowestLayers[id.node] ?? id.layer, id.layer)
        }
        for table in SessionTable.allCases where table != .meta && table != .reply {
            records[table] = [:]
        }
        findings.sort { $0.object < $1.object }
    }

    /// A layer that has a file and a row was there, whatever the record of the top one says.
    private mutating func findTopLayer() {
        let recorded = records.meta("layer")?.integer ?? 0
        let found = records[.content].values.compactMap { row -> Int64? in
            guard let id = row[0].integer.map(NodeID.init(row:)), let layer = row[1].integer,
                shadow.files[LayerID(node: id, layer: layer)] != nil
            else { return nil }
            return layer
        }.max()
        topLayer = max(recorded, found ?? 0, 0)
        guard recorded != topLayer else { return }
        report(
            .counterTooLow, "layer", "the top layer is to be \(recorded), and there is \(topLayer)",
            repair: "it becomes \(topLayer)")
        setMeta("layer", .integer(topLayer))
    }

    /// The layer of a file that a row is about.
    private func fileRow(_ table: SessionTable, _ row: [Cell]) -> LayerID? {
        guard let id = row[0].integer.map(NodeID.init(row:)), id.isPossible,
            let layer = row[1].integer, (0...topLayer).contains(layer)
        else { return nil }
        return LayerID(node: id, layer: layer)
    }

    /// Whether there is a record of changed data of an object.
    func hasData(_ id: NodeID) -> Bool { lowestLayers[id] != nil }

    private mutating func refuse(_ table: SessionTable, _ row: [Cell]) {
        let isLayer =
            table.columns[1] == "layer"
            && row[1].integer.map { !(0...topLayer).contains($0) } == true
        report(
            isLayer ? .unknownLayer : .rowDamaged, "session.sqlite",
            (isLayer ? "a row is of a layer that there is none of" : "a row makes no sense")
                + ": \(table.line(row))",
            repair: "the row is moved aside")
    }

    private mutating func collectRows() {
        for node in nodes.values { records.put(.node, node.row) }
        for (name, entry) in entries {
            records.put(
                .delta,
                [
                    .integer(name.directory.row), .blob(name.name), .integer(entry.child.row),
                    .integer(entry.cookie),
                ])
        }
        for (id, file) in files {
            let (node, layer) = (Cell.integer(id.node.row), Cell.integer(id.layer))
            if let content = file.content {
                records.put(
                    .content,
                    [
                        node, layer, .integer(Int64(bitPattern: content.mainValid)),
                        .integer(content.blocks), .integer(content.allocated),
                    ])
            }
            for (page, blob) in file.pages {
                records.put(.presence, [node, layer, .integer(Int64(page)), .blob(blob)])
            }
            for (block, blob) in file.partial {
                records.put(.partial, [node, layer, .integer(Int64(block)), .blob(blob)])
            }
        }
    }
}

import NFSProtocol

/// A session's rows as an upgrade looks at them: the rows are whole, see ``RecordCheck``.
struct SessionTree {
    let records: SessionRecords
    let blockSize: UInt64
    private(set) var nodes: [NodeID: NodeRecord] = [:]
    private(set) var entries: [EntryName: EntryRecord] = [:]
    private(set) var files: [NodeID: StoredFile] = [:]
    /// The names that the session gave to objects, in order.
    private(set) var names: [NodeID: [EntryName]] = [:]

    init(_ records: SessionRecords) {
        self.records = records
        blockSize = UInt64(clamping: records.meta("block_size")?.integer ?? 0)
        for node in records[.node].values.compactMap(NodeRecord.init) { nodes[node.id] = node }
        for row in records[.delta].values {
            guard let parent = row[0].integer, let name = row[1].blob, let child = row[2].integer,
                let cookie = row[3].integer
            else { continue }
            let entry = EntryName(directory: NodeID(row: parent), name: name)
            entries[entry] = EntryRecord(child: NodeID(row: child), cookie: cookie)
            if child != 0 { names[NodeID(row: child), default: []].append(entry) }
        }
        for id in names.keys { names[id]?.sort() }
        for table in [SessionTable.content, .presence, .partial] {
            for row in records[table].values {
                guard let id = row[0].integer.map(NodeID.init(row:)), let layer = row[1].integer
                else { continue }
                files[id, default: StoredFile(blockSize: blockSize)].add(row, of: table, layer)
            }
        }
    }

    /// Whether the session removed an object of the image for good.
    func isRemoved(_ id: NodeID) -> Bool { nodes[id]?.isRemoved == true }
}

/// The rows about one file's changed data.
struct StoredFile {
    let blockSize: UInt64
    private(set) var layers: [Int64: FileRecord] = [:]
    /// The rows as they are, for the same data under another number.
    private(set) var rows: [(table: SessionTable, row: [Cell])] = []

    init(blockSize: UInt64) { self.blockSize = blockSize }

    fileprivate mutating func add(_ row: [Cell], of table: SessionTable, _ layer: Int64) {
        rows.append((table, row))
        var record = layers[layer] ?? FileRecord()
        switch table {
        case .content:
            record.content = FileRecord.Content(
                mainValid: UInt64(bitPattern: row[2].integer ?? 0), blocks: row[3].integer ?? 0,
                allocated: row[4].integer ?? 0)
        case .presence: record.pages[UInt64(clamping: row[2].integer ?? 0)] = row[3].blob ?? []
        default: record.partial[UInt64(clamping: row[2].integer ?? 0)] = row[3].blob ?? []
        }
        layers[layer] = record
    }

    /// Blocks with data of the session's, all layers together.
    var blocks: Int64 { layers.values.reduce(0) { $0 + ($1.content?.blocks ?? 0) } }

    /// How much of main's data shows at most.
    var mainValid: UInt64 { layers.values.compactMap { $0.content?.mainValid }.min() ?? 0 }

    /// Where some bytes of the file come from.
    struct Run {
        /// The layer that has them; nil for main.
        let layer: Int64?
        let range: Range<UInt64>
    }

    /// What the file shows of a range, zeros left out, in order.
    /// - Throws: `LayerMapError`, which only damaged rows lead to.
    func runs(in range: Range<UInt64>) throws -> [Run] {
        let maps = try layers.sorted { $0.key > $1.key }.map { layer, record in
            (
                layer,
                try LayerMap(
                    blockSize: blockSize, mainValid: record.content?.mainValid ?? 0,
                    pages: record.pages.compactMap {
                        PresenceMap.Page(index: $0.key, blob: $0.value)
                    },
                    partial: record.partial.map { ($0.key, $0.value) })
            )
        }
        var runs: [Run] = []
        func collect(_ range: Range<UInt64>, _ maps: ArraySlice<(Int64, LayerMap)>) {
            guard let (layer, map) = maps.first else {
                runs.append(Run(layer: nil, range: range))
                return
            }
            map.forEachRun(in: range) { run in
                switch run.source {
                case .zeros: break
                case .here: runs.append(Run(layer: layer, range: run.range))
                case .below: collect(run.range, maps.dropFirst())
                }
            }
        }
        collect(range, maps[...])
        return runs
    }
}

extension NodeRecord {
    /// The row's attributes, without the session's own numbers.
    var attributes: NFS3.Attributes {
        func word(_ value: Int64) -> UInt32 { UInt32(truncatingIfNeeded: value) }
        return NFS3.Attributes(
            type: fileType ?? .regular, mode: word(mode), nlink: word(nlink), uid: word(uid),
            gid: word(gid), size: size, used: UInt64(bitPattern: used),
            rdev: NFS3.Device(major: word(major), minor: word(minor)), fsid: 0, fileid: 0,
            atime: NFS3.Time(row: atime), mtime: NFS3.Time(row: mtime),
            ctime: NFS3.Time(row: ctime))
    }

    /// A row of an object with these attributes.
    init(_ id: NodeID, _ attributes: NFS3.Attributes, parent: NodeID) {
        self.init(id: id, type: attributes.type, parent: parent)
        mode = Int64(attributes.mode & 0o7777)
        nlink = Int64(attributes.nlink)
        uid = Int64(attributes.uid)
        gid = Int64(attributes.gid)
        size = attributes.size
        used = Int64(bitPattern: attributes.used)
        major = Int64(attributes.rdev.major)
        minor = Int64(attributes.rdev.minor)
        (atime, mtime) = (attributes.atime.row, attributes.mtime.row)
        ctime = attributes.ctime.row
    }
}

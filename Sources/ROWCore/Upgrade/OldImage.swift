import Glibc
import NFSProtocol
import SystemPackage

/// The image that a session stands on: what its database knows, read only, whoever serves it meanwhile, and
/// its source for data that no database has.
final class OldImage {
    let directory: FilePath
    let name: String
    private let source: (any ImageSource)?
    private let reader: RowReader
    private let selectNode: RowStatement
    private let selectChild: RowStatement
    private let selectNames: RowStatement
    private let selectTarget: RowStatement
    private let selectHandle: RowStatement
    private var known: [NodeID: ImageRecord?] = [:]
    private var epoch: UInt64 = 0

    /// - Parameter source: nil when it cannot be reached.
    init(_ directory: FilePath, name: String, source: (any ImageSource)?) throws(StateError) {
        self.directory = directory
        self.name = name
        self.source = source
        reader = try RowReader(path: directory.appending("image.sqlite").string)
        selectNode = try reader.prepare("SELECT \(ImageRecord.columns) FROM node n WHERE n.id = ?")
        selectChild = try reader.prepare("SELECT child FROM dentry WHERE parent = ? AND name = ?")
        selectNames = try reader.prepare("SELECT child, parent, name FROM dentry")
        selectTarget = try reader.prepare("SELECT target FROM node WHERE id = ?")
        selectHandle = try reader.prepare(
            "SELECT handle FROM handle WHERE node = ? ORDER BY replica LIMIT 1")
        let selectEpoch = try reader.prepare("SELECT value FROM meta WHERE key = 'epoch'")
        epoch = try read { () throws(Interrupt) in
            try selectEpoch.step() ? UInt64(bitPattern: selectEpoch.int(0)) : 0
        }
        selectEpoch.reset()
    }

    private func read<T>(_ body: () throws(Interrupt) -> T) throws(StateError) -> T {
        do throws(Interrupt) { return try body() } catch {
            throw StateError(.unreadable, "cannot read the database of the image \(name)")
        }
    }

    // MARK: What is on record

    func object(_ id: NodeID) throws(StateError) -> ImageRecord {
        if known[id] == nil {
            known[id] = try read { () throws(Interrupt) in
                selectNode.bind(1, id.row)
                defer { selectNode.reset() }
                return try selectNode.step() ? try ImageRecord(selectNode) : nil
            }
        }
        guard let found = known[id], let found else {
            throw StateError(
                .unreadable, "the database of the image \(name) has no row of \(id)")
        }
        return found
    }

    /// What stands under a name, as far as it was ever asked for.
    func child(_ name: EntryName) throws(StateError) -> NodeID? {
        try read { () throws(Interrupt) in
            selectChild.bind(1, name.directory.row)
            selectChild.bind(2, copying: name.name)
            defer { selectChild.reset() }
            return try selectChild.step() ? NodeID(row: selectChild.int(0)) : nil
        }
    }

    /// The names by which objects were first seen; all that are known of those that have several, for which
    /// all names of the image are looked through.
    func names(of objects: some Sequence<NodeID>) throws(StateError) -> [NodeID: [EntryName]] {
        var names: [NodeID: [EntryName]] = [:]
        var linked: Set<NodeID> = []
        for id in objects where id != .root {
            let object = try object(id)
            if object.attributes.type != .directory, object.attributes.nlink > 1 {
                linked.insert(id)
            } else {
                names[id] = [EntryName(directory: object.parent, name: object.name)]
            }
        }
        guard !linked.isEmpty else { return names }
        try read { () throws(Interrupt) in
            defer { selectNames.reset() }
            while try selectNames.step() {
                let id = NodeID(row: selectNames.int(0))
                guard linked.contains(id) else { continue }
                names[id, default: []].append(
                    EntryName(
                        directory: NodeID(row: selectNames.int(1)), name: selectNames.blob(2)))
            }
        }
        return names
    }

    /// Names in the order of their paths in the image.
    func sorted(_ names: Set<EntryName>) throws(StateError) -> [EntryName] {
        var found: [(path: SessionPath, name: EntryName)] = []
        for name in names {
            found.append((try path(name.directory).appending(name.name), name))
        }
        return found.sorted { $0.path < $1.path }.map(\.name)
    }

    // MARK: What must be asked for

    /// A symbolic link's text.
    func target(_ id: NodeID) async throws -> [UInt8] {
        let stored = try read { () throws(Interrupt) -> [UInt8]? in
            selectTarget.bind(1, id.row)
            defer { selectTarget.reset() }
            guard try selectTarget.step(), !selectTarget.isNull(0) else { return nil }
            return selectTarget.blob(0)
        }
        if let stored { return stored }
        switch await (try reachable()).perform(.target(id), on: try imageObject(id)) {
        case .target(let text): return text
        case .failed(let status): throw ROWError(status)
        default: throw ROWError(.serverFault)
        }
    }

    /// - Parameter range: bytes below the file's size; not empty.
    func data(_ id: NodeID, _ range: Range<UInt64>) async throws -> [UInt8] {
        let bytes = try await reachable().read(try imageObject(id), range)
        guard bytes.count == range.count else {
            throw ROWError(
                .status(.io), "\(name) sent \(bytes.count) bytes where \(range.count) were due")
        }
        return bytes
    }

    /// Lets go of what the source keeps for us.
    func close() async { await source?.release(image: epoch) }

    private func reachable() throws -> any ImageSource {
        guard let source else {
            throw ROWError(.status(.jukebox), "the image \(name) cannot be reached")
        }
        return source
    }

    private func imageObject(_ id: NodeID) throws(StateError) -> ImageObject {
        let object = try object(id)
        let handle = try read { () throws(Interrupt) -> [UInt8]? in
            selectHandle.bind(1, id.row)
            defer { selectHandle.reset() }
            return try selectHandle.step() ? selectHandle.blob(0) : nil
        }
        return ImageObject(
            image: epoch, id: id, path: try path(id).bytes, attributes: object.attributes,
            handle: handle.flatMap { NFS3.FileHandle($0) })
    }

    /// The path of an object in the image, without a leading slash.
    private func path(_ id: NodeID) throws(StateError) -> SessionPath {
        var names: [[UInt8]] = []
        var current = id
        while current != .root, names.count < 4096 {
            let object = try object(current)
            names.append(object.name)
            current = object.parent
        }
        return SessionPath(names: names.reversed())
    }
}

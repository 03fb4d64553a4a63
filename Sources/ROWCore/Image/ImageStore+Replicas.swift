import GRDB
public import NFSProtocol
public import SystemPackage

/// What is known of an image, for those who compare a server with it.
extension ImageStore {
    /// Whether an image can be opened without its server: its root is on record.
    /// - Parameter directory: the image's.
    public static func knowsRoot(in directory: FilePath) -> Bool {
        let path = directory.appending("image.sqlite")
        let queue = try? StateDatabase.openToRead(path.string)
        let known = try? queue?.read { db in
            try Bool.fetchOne(db, sql: "SELECT EXISTS (SELECT 1 FROM node WHERE id = 1)")
        }
        return known == true
    }

    /// Some of the nodes on record, without the root, picked at random.
    /// - Returns: all of them when there are no more than `count`.
    public func sample(_ count: Int) -> [NodeID] {
        do {
            let few = try reader.prepare(
                "SELECT id FROM node WHERE id > 1 ORDER BY id LIMIT \(count + 1)")
            var all: [NodeID] = []
            while try few.step() { all.append(NodeID(row: few.int(0))) }
            few.reset()
            if all.count <= count { return all }
            let bounds = try reader.prepare("SELECT min(id), max(id) FROM node WHERE id > 1")
            defer { bounds.reset() }
            let next = try reader.prepare(
                "SELECT id FROM node WHERE id >= ? AND id > 1 ORDER BY id LIMIT 1")
            guard try bounds.step() else { return [] }
            let range = bounds.int(0)...bounds.int(1)
            // Ids are given out in sequence, so that a number in between nearly always is one.
            var picked: Set<NodeID> = []
            for _ in 0..<count * 2 where picked.count < count {
                next.bind(1, Int64.random(in: range))
                if try next.step() { picked.insert(NodeID(row: next.int(0))) }
                next.reset()
            }
            return picked.sorted()
        } catch {
            return []
        }
    }

    /// The entries of a directory, when all of them are known.
    public func wholeListing(
        of directory: NodeID, maximum: Int
    ) -> [(name: [UInt8], attributes: NFS3.Attributes)]? {
        do {
            guard try record(of: directory)?.isComplete == true else { return nil }
            var children: [(name: [UInt8], id: NodeID)] = []
            try forEachEntry(of: directory, after: 0) { _, name, child in
                children.append((name, child))
                return children.count <= maximum
            }
            guard children.count <= maximum else { return nil }
            return children.compactMap { child in
                attributes(of: child.id).map { (child.name, $0) }
            }
        } catch {
            return nil
        }
    }

    /// A node by its place, if it is on record.
    public func child(of directory: NodeID, named name: [UInt8]) -> NodeID? {
        let found: NodeID?? = try? name.withBytes { bytes throws(Interrupt) in
            try child(of: directory, named: bytes)
        }
        return found ?? nil
    }

    /// Which replica reported a node's fsid, fileid and ctime.
    public func replicaOfAttributes(of id: NodeID) -> Int? {
        guard let select = try? reader.prepare("SELECT replica FROM node WHERE id = ?") else {
            return nil
        }
        select.bind(1, id.row)
        defer { select.reset() }
        guard (try? select.step()) == true else { return nil }
        return Int(select.int(0))
    }

    /// The nodes that an object of several names may be, and of which a replica's number is not known.
    public func nodes(
        perhapsLinkedAs attributes: NFS3.Attributes, replica: Int, maximum: Int
    ) -> [NodeID] {
        guard attributes.nlink > 1, attributes.type != .directory,
            let select = try? reader.prepare(
                """
                SELECT id FROM node WHERE nlink > 1 AND type <> 2 AND size = ? AND mtime = ?
                    AND type = ? AND NOT EXISTS
                    (SELECT 1 FROM link WHERE link.node = node.id AND link.replica = ?)
                    LIMIT \(maximum)
                """)
        else { return [] }
        select.bind(1, Int64(bitPattern: attributes.size))
        select.bind(2, attributes.mtime.row)
        select.bind(3, Int64(attributes.type.rawValue))
        select.bind(4, Int64(replica))
        defer { select.reset() }
        var found: [NodeID] = []
        while (try? select.step()) == true { found.append(NodeID(row: select.int(0))) }
        return found
    }
}

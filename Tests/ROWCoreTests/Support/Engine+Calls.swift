import NFSProtocol

@testable import ROWCore

/// Procedures by name, each committed, as root unless told otherwise.
extension Engine {
    func lookup(
        _ path: String, _ credential: Credential = .root
    ) throws -> NodeID {
        var id = NodeID.root
        for name in path.split(separator: "/") { id = try lookup(id, Array(name.utf8), credential) }
        return id
    }

    func lookup(
        _ directory: NodeID, _ name: [UInt8], _ credential: Credential = .root
    ) throws -> NodeID {
        try run { session throws(Interrupt) in
            try name.withBytes { bytes throws(Interrupt) in
                try session.lookup(directory, bytes, credential).id
            }
        }
    }

    func attributes(_ id: NodeID) throws -> NFS3.Attributes {
        try run { session throws(Interrupt) in try session.attributes(of: id) }
    }

    @discardableResult
    func create(
        _ directory: NodeID, _ name: String, _ mode: NFS3.CreateMode? = nil,
        _ credential: Credential = .root
    ) throws -> NodeID {
        try call { session throws(Interrupt) in
            try session.create(
                directory, Array(name.utf8), mode ?? .guarded(NFS3.SetAttributes(mode: 0o644)),
                credential
            ).id
        }
    }

    @discardableResult
    func mkdir(
        _ directory: NodeID, _ name: String, mode: UInt32 = 0o755, _ credential: Credential = .root
    ) throws -> NodeID {
        try call { session throws(Interrupt) in
            try session.makeDirectory(
                directory, Array(name.utf8), NFS3.SetAttributes(mode: mode), credential
            ).id
        }
    }

    func remove(_ directory: NodeID, _ name: String, _ credential: Credential = .root) throws {
        try call { session throws(Interrupt) in
            try session.remove(directory, Array(name.utf8), credential)
        }
    }

    func rmdir(_ directory: NodeID, _ name: String, _ credential: Credential = .root) throws {
        try call { session throws(Interrupt) in
            try session.removeDirectory(directory, Array(name.utf8), credential)
        }
    }

    func rename(
        _ from: NodeID, _ oldName: String, _ to: NodeID, _ newName: String,
        _ credential: Credential = .root
    ) throws {
        try call { session throws(Interrupt) in
            try session.rename(
                from: from, Array(oldName.utf8), to: to, Array(newName.utf8), credential)
        }
    }

    func link(
        _ id: NodeID, _ directory: NodeID, _ name: String, _ credential: Credential = .root
    ) throws {
        try call { session throws(Interrupt) in
            try session.link(id, directory, Array(name.utf8), credential)
        }
    }

    func setAttributes(
        _ id: NodeID, _ new: NFS3.SetAttributes, guardTime: NFS3.Time? = nil,
        _ credential: Credential = .root
    ) throws {
        try call { session throws(Interrupt) in
            try session.setAttributes(id, new, guardTime: guardTime, credential)
        }
    }

    func setSize(_ id: NodeID, _ size: UInt64) throws {
        try setAttributes(id, NFS3.SetAttributes(size: size))
    }

    /// WRITE, FILE_SYNC.
    func store(_ id: NodeID, _ offset: UInt64, _ data: [UInt8]) throws {
        try write(id, offset, data)
        try commit()
    }

    /// One READDIR: at most `count` entries after `cookie`.
    func page(
        _ directory: NodeID, after cookie: UInt64, count: Int, _ credential: Credential = .root
    ) throws -> (entries: [SessionState.DirectoryEntry], eof: Bool) {
        try run { session throws(Interrupt) in
            var entries: [SessionState.DirectoryEntry] = []
            let eof = try session.readDirectory(directory, after: cookie, credential) { entry in
                guard entries.count < count else { return false }
                entries.append(entry)
                return true
            }
            return (entries, eof)
        }
    }

    /// The whole listing of a directory, page by page.
    func entries(
        _ directory: NodeID, pageCount: Int = 100
    ) throws -> [SessionState.DirectoryEntry] {
        var all: [SessionState.DirectoryEntry] = []
        while true {
            let (entries, eof) = try page(
                directory, after: all.last?.cookie ?? 0, count: pageCount)
            all += entries
            if eof { return all }
        }
    }

    /// The names of a directory, without the dots, in order.
    func names(_ directory: NodeID, pageCount: Int = 100) throws -> [String] {
        try entries(directory, pageCount: pageCount)
            .map { String(decoding: $0.name, as: UTF8.self) }
            .filter { $0 != "." && $0 != ".." }.sorted()
    }
}

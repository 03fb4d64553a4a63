import NFSProtocol
import ROWCore
import ROWTestKit

/// Handles, plans and listings: what every call costs before a byte moves.
enum SessionParts {
    static let all =
        small + [
            Part(
                name: "snapshot of 8 GiB of changed data", goal: .atMost(1e9), prepare: snapshot)
        ]

    /// What calls do.
    static let small = [
        Part(name: "handle mint", prepare: mint),
        Part(name: "handle parse", prepare: parse),
        Part(name: "handle to node", prepare: verify),
        Part(name: "GETATTR of a node", prepare: attributes),
        Part(name: "LOOKUP of a name", prepare: lookup),
        Part(name: "plan READ 32K of the shadow", prepare: { try planRead(.shadow) }),
        Part(name: "plan READ 32K of main", prepare: { try planRead(.main) }),
        Part(name: "plan READ 32K of both", prepare: { try planRead(.mixed) }),
        Part(name: "plan WRITE 4K, and pwritev", prepare: write),
        Part(name: "merge a listing, per entry", prepare: listing),
    ]

    private static let transfer: UInt64 = 32 << 10
    private static let fileBytes = 16 << 20
    private static let nameCount = 512

    /// Which part of the file of ``fileSession()`` a READ falls into.
    private enum Place: UInt64 {
        case shadow, mixed, main
    }

    // MARK: Sessions

    /// One file: the first third overwritten, of the second every other block.
    private static func fileSession() throws -> (LocalSession, NodeID) {
        let local = try LocalSession { folder in
            _ = try folder.directory("files")
            try TestFile.make(folder.path("files/data"), bytes: fileBytes, seed: 1)
        }
        let id = try local.find("data")
        let block = [UInt8](repeating: 7, count: 4096)
        for offset in stride(from: 0, to: third, by: 4096) { try store(block, id, offset, local) }
        for offset in stride(from: third, to: 2 * third, by: 8192) {
            try store(block, id, offset, local)
        }
        return (local, id)
    }

    private static let third = UInt64(fileBytes) / 3 / (64 << 10) * (64 << 10)

    private static func store(
        _ bytes: [UInt8], _ id: NodeID, _ offset: UInt64, _ local: LocalSession
    ) throws {
        try bytes.withUnsafeBytes { raw in
            _ = try local.run { session throws(Interrupt) in
                try session.write(id, offset: offset, data: raw, stable: .unstable, .root)
            }
        }
    }

    /// Many names, of which the session removed one in eight and to which it added as many.
    private static func nameSession() throws -> LocalSession {
        let local = try LocalSession { folder in
            _ = try folder.directory("files")
            for number in 0..<nameCount { _ = try folder.file("files/entry.\(number)", "") }
        }
        for number in stride(from: 0, to: nameCount, by: 8) {
            _ = try local.run { session throws(Interrupt) in
                try session.remove(.root, Array("entry.\(number)".utf8), .root)
            }
            _ = try local.run { session throws(Interrupt) in
                try session.create(
                    .root, Array("new.\(number)".utf8),
                    .unchecked(NFS3.SetAttributes(mode: 0o644)), .root)
            }
        }
        try local.commit()
        return local
    }

    /// The handles of some nodes of a session.
    private static func handles(_ local: LocalSession) throws -> [NFS3.FileHandle] {
        try (0..<64).map { number in
            local.session.handle(of: try local.find("entry.\(number * 8 + 1)"))
        }
    }

    // MARK: Handles and nodes

    private static func mint() throws -> (Int) -> UInt64 {
        let key = try nameSession().session.handles
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let handle = key.handle(of: NodeID(rawValue: UInt64(index)))
                sum &+= handle.bytes.unsafeLoadUnaligned(fromByteOffset: 16, as: UInt64.self)
            }
            return sum
        }
    }

    private static func parse() throws -> (Int) -> UInt64 {
        let handles = try handles(nameSession())
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                if case .node(_, let id, _) = VirtualHandle.parse(handles[index & 63].bytes) {
                    sum &+= id.rawValue
                }
            }
            return sum
        }
    }

    private static func verify() throws -> (Int) -> UInt64 {
        let local = try nameSession()
        let handles = try handles(local)
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                sum &+= mustSucceed { () throws(Interrupt) in
                    try local.session.node(of: handles[index & 63]).rawValue
                }
            }
            return sum
        }
    }

    private static func attributes() throws -> (Int) -> UInt64 {
        let local = try nameSession()
        let ids = try (0..<64).map { try local.find("entry.\($0 * 8 + 1)") }
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                sum &+= mustSucceed { () throws(Interrupt) in
                    try local.session.attributes(of: ids[index & 63]).fileid
                }
            }
            return sum
        }
    }

    private static func lookup() throws -> (Int) -> UInt64 {
        let local = try nameSession()
        let names = (0..<64).map { "entry.\($0 * 8 + 1)" }
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                sum &+= mustSucceed { () throws(Interrupt) in
                    try local.find(names[index & 63]).rawValue
                }
            }
            return sum
        }
    }

    // MARK: Plans

    private static func planRead(_ place: Place) throws -> (Int) -> UInt64 {
        let (local, id) = try fileSession()
        let start = third * place.rawValue
        return { count in
            var sum: UInt64 = 0
            for index in 0..<count {
                let offset = start + UInt64(index) % (third / transfer) * transfer
                sum &+= mustSucceed { () throws(Interrupt) in
                    try local.session.planRead(
                        id, offset: offset, count: Int(transfer), .root
                    ).range.upperBound
                }
            }
            return sum
        }
    }

    private static func write() throws -> (Int) -> UInt64 {
        let (local, id) = try fileSession()
        let block = [UInt8](repeating: 7, count: 4096)
        return { count in
            block.withUnsafeBytes { bytes in
                var sum: UInt64 = 0
                for index in 0..<count {
                    let offset = UInt64(index * 4096 % fileBytes)
                    sum &+=
                        mustSucceed { () throws(Interrupt) in
                            try local.session.write(
                                id, offset: offset, data: bytes, stable: .unstable, .root)
                        }.after?.size ?? 0
                }
                return sum
            }
        }
    }

    // MARK: Snapshots

    /// Durable snapshots of a file of the image that was overwritten, with a few new blocks for each.
    private static func snapshot() throws -> (Int) -> UInt64 {
        let local = try LocalSession(isDurable: true) { folder in
            _ = try folder.directory("files")
            try TestFile.makeSparse(folder.path("files/data"), bytes: 8 << 30)
        }
        let id = try local.find("data")
        let chunk = [UInt8](repeating: 7, count: 1 << 20)
        for offset in stride(from: 0, to: UInt64(8) << 30, by: 1 << 20) {
            try store(chunk, id, offset, local)
            if offset & 0x1fff_ffff == 0 { try commitFile(id, local) }
        }
        try commitFile(id, local)
        var taken: UInt64 = 0
        return { count in
            for _ in 0..<count {
                taken += 1
                do {
                    try store(Array(chunk.prefix(4096)), id, taken << 20, local)
                    try local.takeSnapshot("tag\(taken)")
                } catch { preconditionFailure("a snapshot failed: \(error)") }
            }
            return taken
        }
    }

    private static func commitFile(_ id: NodeID, _ local: LocalSession) throws {
        _ = try local.run { session throws(Interrupt) in try session.commitFile(id) }
        try local.commit()
    }

    // MARK: Listings

    private static func listing() throws -> (Int) -> UInt64 {
        let local = try nameSession()
        // Once before, which imports it.
        _ = mustSucceed { () throws(Interrupt) in try list(local, atMost: .max) }
        return { count in
            var sum: UInt64 = 0
            var done = 0
            while done < count {
                let (entries, ids) = mustSucceed { () throws(Interrupt) in
                    try list(local, atMost: count - done)
                }
                done += entries
                sum &+= ids
            }
            return sum
        }
    }

    /// Lists the root directory.
    /// - Returns: how many entries, and the sum of their ids.
    private static func list(
        _ local: LocalSession, atMost maximum: Int
    ) throws(Interrupt) -> (entries: Int, ids: UInt64) {
        var last: UInt64 = 0
        var entries = 0
        var ids: UInt64 = 0
        var isEnd = false
        while !isEnd, entries < maximum {
            isEnd = try local.run { session throws(Interrupt) in
                try session.readDirectory(.root, after: last, .root) { entry in
                    last = entry.cookie
                    ids &+= entry.id.rawValue
                    entries += 1
                    return entries < maximum
                }
            }
        }
        return (entries, ids)
    }
}

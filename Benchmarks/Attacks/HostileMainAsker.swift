import NFSProtocol
import ROWTestKit
import XDR

/// A client that wants what only main has, again and again: names, listings, links and bytes.
///
/// Unchecked, because it is made by one thread and then asks in another, which alone has it from there on.
final class HostileMainAsker: @unchecked Sendable {
    struct Outcome: Sendable {
        /// Answers that were right, and those that were errors.
        var right = 0
        var refused = 0
        var wrongs: Set<String> = []

        mutating func add(_ other: Outcome) {
            right += other.right
            refused += other.refused
            wrongs.formUnion(other.wrongs)
        }
    }

    private let attacker: Attacker
    private let tree: HostileTree
    private let number: Int
    private let tellsNames: Bool
    private let socket: AttackSocket
    private let root: [UInt8]
    private let big: [UInt8]
    private var outcome = Outcome()
    /// Where the listing of a directory has come to.
    private var place: (cookie: UInt64, verifier: UInt64) = (0, 0)

    /// Pages of one directory before the next one's turn, for one that has no end.
    private static let pagesMaximum = 40

    /// - Parameter number: each begins elsewhere.
    /// - Parameter pause: from a question to the next one, at least.
    init(
        _ attacker: Attacker, _ tree: HostileTree, _ number: Int, tellsNames: Bool, pause: Duration
    ) throws {
        self.attacker = attacker
        self.tree = tree
        self.number = number
        self.tellsNames = tellsNames
        (socket, root, big) = try attacker.enter(HostileTree.bigName)
        socket.pause = pause
    }

    /// Until it is stopped.
    func ask() throws -> Outcome {
        var round = number * HostileTree.directories / 4
        while !attacker.isStopped {
            try bytes(of: big)
            let directory = round % HostileTree.directories
            round += 1
            guard let handle = try find("d\(directory)", in: root) else { continue }
            try list(handle)
            let file = round % 8
            if let handle = try find("f\(file)", in: handle) {
                try text(HostileTree.text(directory, file), of: handle)
            }
            if let link = try find("l\(round % 4)", in: handle) {
                try target("f\(round % 4)", of: link)
            }
            let size = try NFS3.Getattr.Result(
                decoding: socket.call(procedure: 1, NFS3.FileHandle(big)!.encoded()))
            judge(size.status, "an image's file has another size") {
                if case .ok(let ok) = size {
                    ok.attributes.size == HostileTree.bigBytes
                } else {
                    false
                }
            }
        }
        return outcome
    }

    private func judge(_ status: NFS3.Status, _ wrong: String, _ isRight: () -> Bool) {
        if status != .ok {
            outcome.refused += 1
        } else if isRight() {
            outcome.right += 1
        } else {
            outcome.wrongs.insert(wrong)
        }
    }

    private func find(_ name: String, in directory: [UInt8]) throws -> [UInt8]? {
        let result = try NFS3.Lookup.Result(
            decoding: socket.call(
                procedure: 3,
                NFS3.DirectoryOperation(
                    directory: NFS3.FileHandle(directory)!, name: NFS3.Filename(name)
                ).encoded()))
        judge(result.status, "") { true }
        if case .ok(let ok) = result { return ok.object.array }
        return nil
    }

    private func list(_ directory: [UInt8]) throws {
        place = (0, 0)
        for _ in 0..<Self.pagesMaximum where !attacker.isStopped {
            let result = try NFS3.Readdirplus.Result(
                decoding: socket.call(
                    procedure: 17,
                    NFS3.Readdirplus.Arguments(
                        directory: NFS3.FileHandle(directory)!, cookie: place.cookie,
                        cookieVerifier: place.verifier, dircount: 32 << 10, maxcount: 64 << 10
                    ).encoded()))
            judge(result.status, "a name that no object can have is listed") {
                guard case .ok(let ok) = result else { return false }
                return ok.entries.allSatisfy { entry in
                    let name = entry.name.bytes
                    return !name.isEmpty && name.count <= 255 && !name.contains(0)
                        && !name.contains(UInt8(ascii: "/"))
                }
            }
            guard case .ok(let ok) = result, !ok.eof, let last = ok.entries.last else { return }
            place = (last.cookie, ok.cookieVerifier)
        }
    }

    /// Some bytes that were probably not read before.
    private func bytes(of file: [UInt8]) throws {
        let count = 4096
        let offset = Int.random(in: 0..<HostileTree.bigBytes / count) * count
        let data = try socket.read(file, offset: offset, count: count)
        judge(data == nil ? .io : .ok, "other bytes than the file has") {
            data == tree.big[offset..<offset + count]
        }
    }

    /// A file of which main tells what it likes may be shorter than it is, but has no other bytes.
    private func text(_ text: String, of file: [UInt8]) throws {
        let data = try socket.read(file, offset: 0, count: 4096)
        judge(data == nil ? .io : .ok, "other bytes than the file has") {
            guard let data else { return false }
            return tellsNames
                ? text.utf8.prefix(data.count).elementsEqual(data) : data.elementsEqual(text.utf8)
        }
    }

    private func target(_ text: String, of link: [UInt8]) throws {
        let result = try NFS3.Readlink.Result(
            decoding: socket.call(procedure: 5, NFS3.FileHandle(link)!.encoded()))
        judge(result.status, "another target than the link has") {
            if case .ok(let ok) = result { ok.data.bytes.elementsEqual(text.utf8) } else { false }
        }
    }
}

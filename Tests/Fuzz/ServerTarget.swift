import NFSProtocol
import ONCRPC
import ROWTestKit

/// NFS and MOUNT as they are served: each call has one answer, of the right form, whatever its arguments are
/// and whatever came before it.
///
/// An input is calls, one after another: a procedure, who calls, words of arguments, and those. A word
/// `FE ED 00 nn` stands for a whole handle that was given out. Procedure 255 sends bytes as they are.
final class ServerTarget: FuzzTarget {
    private let live: LiveProxy
    private var stream: Stream
    private var handles: [[UInt8]] = []
    private var xid: UInt32 = 0
    private static let callsMaximum = 16
    private static let raw: UInt8 = 255
    private static let nfsProcedures = 22
    private static let mountProcedures = 6

    init() throws {
        live = try LiveProxy("server")
        stream = try live.connect()
        try findHandles()
    }

    // MARK: Seeds

    func seeds() -> [[UInt8]] {
        let procedures = Codecs.arguments.enumerated().flatMap { index, codec in
            codec.seeds.map { Self.call(UInt8(index + 1), Self.withHandles($0)) }
        }
        let create = Self.call(8, Self.withHandles(Codecs.arguments[7].seeds[0]))
        let sequences = procedures.map { create + $0 }
        let mount = (0..<UInt8(2 * Self.mountProcedures)).map {
            Self.call(
                UInt8(Self.nfsProcedures) + $0, [0, 0, 0, 5] + Array("/fuzz".utf8) + [0, 0, 0])
        }
        return procedures + sequences + mount + [[Self.raw, 0, 2, 0x80, 0, 0, 4, 1, 2, 3, 4]]
    }

    /// In place of the handles of ``Codecs``.
    private static func withHandles(_ arguments: [UInt8]) -> [UInt8] {
        var (result, place, number) = ([UInt8](), 0, UInt8(0))
        while place < arguments.count {
            if arguments[place...].starts(with: [0, 0, 0, 4, 1, 2, 3, 4]) {
                result += [0xfe, 0xed, 0, number]
                number += 1
                place += 8
            } else {
                result.append(arguments[place])
                place += 1
            }
        }
        return result
    }

    private static func call(_ procedure: UInt8, _ arguments: [UInt8]) -> [UInt8] {
        [procedure, 0, UInt8(arguments.count / 4)] + arguments
    }

    // MARK: Inputs

    func take(_ bytes: [UInt8]) {
        do {
            if try live.isRenewed() {
                stream = try live.connect()
                try findHandles()
            }
            var input = Input(bytes)
            for _ in 0..<Self.callsMaximum where !input.isEmpty {
                let (procedure, caller, words) = (input.byte(), input.byte(), input.byte())
                let arguments = input.bytes(4 * Int(words))
                if procedure == Self.raw {
                    try sendRaw(arguments)
                } else {
                    check(procedure, try answer(procedure, caller, expand(arguments)))
                }
            }
        } catch {
            must(false, "\(error)")
        }
    }

    private func expand(_ arguments: [UInt8]) -> [UInt8] {
        var (result, place) = ([UInt8](), 0)
        while place < arguments.count {
            let word = arguments[place..<min(place + 4, arguments.count)]
            if word.starts(with: [0xfe, 0xed, 0]), word.count == 4 {
                let handle = handles[Int(word[place + 3]) % handles.count]
                result += Message.words(UInt32(handle.count)) + handle
            } else {
                result += word
            }
            place += 4
        }
        return result
    }

    /// Sends a call and waits for its reply.
    /// - Returns: the whole reply.
    private func answer(
        _ procedure: UInt8, _ caller: UInt8, _ arguments: [UInt8]
    ) throws -> [UInt8] {
        xid &+= 1
        let user: UInt32 = caller % 4 == 0 ? 0 : 1000
        let credential: RPC.Credential =
            caller % 8 == 7
            ? .none : .sys(RPC.AuthSys(uid: user, gid: user, groups: RPC.Groups([5])))
        let number = UInt32(procedure) % UInt32(Self.nfsProcedures + 2 * Self.mountProcedures)
        let mount = number.subtractingReportingOverflow(UInt32(Self.nfsProcedures))
        let call =
            mount.overflow
            ? Message.call(xid: xid, procedure: number, credential: credential, arguments)
            : Message.call(
                xid: xid, program: Mount.program,
                version: mount.partialValue < UInt32(Self.mountProcedures)
                    ? Mount.version : Mount.version1,
                procedure: mount.partialValue % UInt32(Self.mountProcedures),
                credential: credential, arguments)
        stream.send(Message.record(call))
        let mark = stream.receive(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        must(mark & RPC.lastFragment != 0, "the connection ended at procedure \(number)")
        let reply = stream.receive(Int(mark & ~RPC.lastFragment))
        must(reply.prefix(4).elementsEqual(Message.words(xid)), "a reply to another call")
        return reply
    }

    private func check(_ procedure: UInt8, _ reply: [UInt8]) {
        guard let parsed = try? RPC.parseReply(reply.span.bytes) else {
            return must(false, "not a reply: \(reply)")
        }
        guard case .success(let offset) = parsed.outcome else { return }
        let number = Int(procedure) % (Self.nfsProcedures + 2 * Self.mountProcedures)
        guard (1..<Self.nfsProcedures).contains(number) else { return }
        let results = Array(reply[offset...])
        let again = try? Codecs.results[number - 1].recode(results)
        must(again == results, "procedure \(number) answers \(results)")
    }

    /// Bytes that need not be calls, on a connection of their own; then the others are served as before.
    private func sendRaw(_ bytes: [UInt8]) throws {
        let other = try live.connect()
        other.send(bytes)
        other.endSending()
        while !other.receiveSome().isEmpty {}
        must(
            try answer(0, 0, []).count == RPC.successHeaderSize,
            "another connection is not served any more")
    }

    // MARK: Handles

    private func findHandles() throws {
        let path = Message.words(5) + Array("/fuzz".utf8) + [0, 0, 0]
        let reply = try answer(UInt8(Self.nfsProcedures + 1), 0, path)
        let root = Array(reply.dropFirst(RPC.successHeaderSize + 8).prefix(32))
        handles = [root]
        for name in ["file", "directory", "link"] { handles.append(try look(up: name)) }
        handles.append([UInt8](repeating: 9, count: 32))
    }

    private func look(up name: String) throws -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: (4 - name.utf8.count % 4) % 4)
        let arguments =
            Message.words(32) + handles[0] + Message.words(UInt32(name.utf8.count))
            + Array(name.utf8)
            + padding
        let reply = try answer(3, 0, arguments)
        return Array(reply.dropFirst(RPC.successHeaderSize + 8).prefix(32))
    }
}

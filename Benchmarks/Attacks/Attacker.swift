import Foundation
import Glibc
import NFSProtocol
import ONCRPC
import ROWTestKit
import Synchronization
import XDR

/// The sockets of a hostile client, at an address of its own.
final class Attacker: Sendable {
    let port: Int
    let file: String
    /// The server's state directory.
    let state: String
    private let progress = Mutex((isAtWork: false, isStopped: false))

    init(port: Int, file: String, state: String) {
        self.port = port
        self.file = file
        self.state = state
    }

    /// Where the server keeps what it knows of its only image.
    var imageDirectory: String {
        get throws {
            let images = "\(state)/images"
            let names = try FileManager.default.contentsOfDirectory(atPath: images)
            guard let name = names.first else {
                throw AttackFailure(description: "there is no image in \(images)")
            }
            return "\(images)/\(name)"
        }
    }

    /// Whether all that attacks is there.
    var isAtWork: Bool { progress.withLock { $0.isAtWork } }
    var isStopped: Bool { progress.withLock { $0.isStopped } }
    func begin() { progress.withLock { $0.isAtWork = true } }
    func stop() { progress.withLock { $0.isStopped = true } }

    /// A connection from 127.0.0.2, or nil when it is refused at once.
    func connect() -> AttackSocket? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return nil }
        func address(_ host: UInt32, _ port: Int) -> sockaddr_in {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = in_port_t(port).bigEndian
            address.sin_addr.s_addr = in_addr_t(host).bigEndian
            return address
        }
        func call(
            _ address: sockaddr_in, _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
        ) -> Bool {
            withUnsafePointer(to: address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
        }
        // The port is chosen with the other end: there are not enough of them for one address otherwise.
        var one: Int32 = 1
        setsockopt(descriptor, 0, 24, &one, 4)
        guard call(address(0x7f00_0002, 0), { Glibc.bind($0, $1, $2) }),
            call(address(0x7f00_0001, port), { Glibc.connect($0, $1, $2) })
        else {
            close(descriptor)
            return nil
        }
        return AttackSocket(descriptor)
    }

    /// Up to so many connections.
    func connect(_ count: Int) -> [AttackSocket] { (0..<count).compactMap { _ in connect() } }

    /// A connection that is answered, with the root's handle and the file's.
    /// - Parameter other: another file than that which it was made with.
    func enter(
        _ other: String? = nil
    ) throws -> (socket: AttackSocket, root: [UInt8], file: [UInt8]) {
        guard let socket = connect() else {
            throw AttackFailure(description: "the attacker cannot connect")
        }
        let mounted = try socket.call(
            program: Mount.program, procedure: 1, Mount.DirectoryPath("/victim").encoded())
        let root = try Mount.Mnt.Result(decoding: mounted)
        guard case .ok(let success) = root else {
            throw AttackFailure(description: "the attacker cannot mount: \(root)")
        }
        let name = NFS3.Filename(other ?? file)
        let found = try NFS3.Lookup.Result(
            decoding: socket.call(
                procedure: 3,
                NFS3.DirectoryOperation(directory: success.handle, name: name).encoded()))
        guard case .ok(let object) = found else {
            throw AttackFailure(description: "the attacker finds no file: \(found)")
        }
        return (socket, success.handle.array, object.object.array)
    }
}

/// One connection, which is closed with it.
final class AttackSocket {
    let descriptor: Int32
    /// From a call to the next one, at least.
    var pause = Duration.zero
    private var next = ContinuousClock.now
    private var xid: UInt32 = 1

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Sends what the other side takes without waiting.
    /// - Returns: how many bytes that were; negative when the connection is over.
    func sendSome(_ bytes: [UInt8]) -> Int {
        let count = send(
            descriptor, bytes, bytes.count,
            Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : count
    }

    /// Whether the other side has closed it.
    var isOver: Bool {
        var byte: UInt8 = 0
        let count = recv(
            descriptor, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK))
        return count == 0 || (count < 0 && errno != EAGAIN)
    }

    /// Makes a call and waits for its reply.
    /// - Returns: the results.
    func call(
        program: UInt32 = NFS3.program, procedure: UInt32, _ arguments: [UInt8],
        xid given: UInt32? = nil
    ) throws -> [UInt8] {
        if pause > .zero {
            let wait = ContinuousClock.now.duration(to: next)
            if wait > .zero { Thread.sleep(forTimeInterval: wait / .seconds(1)) }
            next = .now + pause
        }
        xid += 1
        let number = given ?? xid
        let record = Message.record(
            Message.call(xid: number, program: program, procedure: procedure, arguments))
        var sent = 0
        while sent < record.count {
            let count = send(
                descriptor, Array(record[sent...]), record.count - sent,
                Int32(MSG_NOSIGNAL))
            guard count > 0 else { throw AttackFailure(description: "the connection is over") }
            sent += count
        }
        let mark = try receive(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let reply = try receive(Int(mark & ~RPC.lastFragment))
        guard reply.prefix(4).elementsEqual(Message.words(number)) else {
            throw AttackFailure(description: "a reply to another call")
        }
        guard case .success(let offset) = try RPC.parseReply(reply.span.bytes).outcome else {
            throw AttackFailure(description: "a call of procedure \(procedure) is refused")
        }
        return Array(reply[offset...])
    }

    /// READs.
    /// - Returns: nil when it is refused.
    func read(_ file: [UInt8], offset: Int, count: Int) throws -> ArraySlice<UInt8>? {
        let results = try call(
            procedure: NFS3.Procedure.read.rawValue,
            NFS3.Read.Arguments(
                file: NFS3.FileHandle(file)!, offset: UInt64(offset), count: UInt32(count)
            ).encoded())
        guard case .ok(let ok) = try NFS3.Read.Result(decoding: results) else { return nil }
        return results[ok.data]
    }

    private func receive(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let some = bytes[done...].withUnsafeMutableBytes {
                recv(descriptor, $0.baseAddress, $0.count, 0)
            }
            guard some > 0 else { throw AttackFailure(description: "the connection is over") }
            done += some
        }
        return bytes
    }
}

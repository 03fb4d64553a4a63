import Foundation
import Glibc
import ROWProxy
import SystemPackage

/// A proxy of a small image in this process, which is begun anew now and then: what inputs store in it is to
/// stay little.
final class LiveProxy {
    private static let inputsMaximum = 20_000

    private let name: String
    private var scratch: Scratch
    private(set) var proxy: Proxy
    private var inputs = 0

    init(_ name: String) throws {
        self.name = name
        (scratch, proxy) = try Self.start(name)
    }

    private static func start(_ name: String) throws -> (Scratch, Proxy) {
        let scratch = try Scratch(name)
        try scratch.write([UInt8](repeating: 7, count: 20_000), to: "image/file")
        try scratch.write(Array("text".utf8), to: "image/directory/inner")
        try FileManager.default.createSymbolicLink(
            atPath: scratch.path("image/link"), withDestinationPath: "directory/inner")
        let configuration = Proxy.Configuration(
            image: .directory(FilePath(scratch.path("image"))), session: "fuzz",
            state: StateDirectory(FilePath(scratch.path("state"))))
        return (scratch, try waiting { try await Proxy.start(configuration) })
    }

    /// Counts an input.
    /// - Returns: whether it is another proxy now.
    func isRenewed() throws -> Bool {
        inputs += 1
        guard inputs >= Self.inputsMaximum else { return false }
        inputs = 0
        let (old, directory) = (proxy, scratch)
        try waiting { try await old.stop() }
        directory.remove()
        (scratch, proxy) = try Self.start(name)
        return true
    }

    /// A new connection to its port.
    func connect() throws -> Stream {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(proxy.port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return try Stream(AF_INET, address)
    }

    /// A new connection to its control socket.
    func connectToControl() throws -> Stream {
        let images = try FileManager.default.contentsOfDirectory(
            atPath: scratch.path("state/images"))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = scratch.path("state/images/\(images.first ?? "")/control.sock")
        // A long path does not fit into an address; one that goes by a descriptor does.
        let folder = open(
            (path as NSString).deletingLastPathComponent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(folder) }
        withUnsafeMutableBytes(of: &address.sun_path) {
            $0.copyBytes(from: "/proc/self/fd/\(folder)/control.sock".utf8)
        }
        return try Stream(AF_UNIX, address)
    }
}

/// A socket that is waited for, but not for ever.
final class Stream {
    private let descriptor: Int32
    private static let patience = 20

    init<Address>(_ family: Int32, _ address: Address) throws {
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        var timeout = timeval(tv_sec: Self.patience, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(descriptor, 6, TCP_NODELAY, &one, 4)
        let code = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard code == 0 else { throw Errno(rawValue: errno) }
    }

    deinit { close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { rest in
                uninterrupted {
                    Glibc.send(descriptor, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL))
                }
            }
            guard count > 0 else { return }
            sent += count
        }
    }

    func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// - Returns: fewer bytes at the end of the stream.
    func receive(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let some = receiveSome(count - bytes.count)
            guard !some.isEmpty else { break }
            bytes += some
        }
        return bytes
    }

    /// Does it again when libFuzzer's timer was in between, which is no end of the stream.
    private func uninterrupted(_ call: () -> Int) -> Int {
        while true {
            let count = call()
            if count >= 0 || errno != EINTR { return count }
        }
    }

    /// - Returns: what is there; nothing at the end of the stream.
    func receiveSome(_ maximum: Int = 65_536) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: maximum)
        let count = uninterrupted { recv(descriptor, &buffer, maximum, 0) }
        must(count >= 0 || errno != EAGAIN, "no answer within \(Self.patience) seconds")
        return Array(buffer.prefix(max(0, count)))
    }
}

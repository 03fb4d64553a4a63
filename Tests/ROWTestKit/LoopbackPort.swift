import Glibc
import Synchronization

/// TCP ports of 127.0.0.1.
public enum LoopbackPort {
    /// A port on which nobody listens, below the range that outgoing connections use. No two callers of a
    /// run get the same: one that wants nobody to listen there would find the other's server.
    public static func free() -> Int {
        while true {
            let port = Int.random(in: 20000..<32000)
            let isNew = given.withLock { $0.insert(port).inserted }
            if isNew, !isOpen(port) { return port }
        }
    }

    private static let given = Mutex<Set<Int>>([])

    /// Whether something accepts connections on the port.
    public static func isOpen(_ port: Int) -> Bool {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

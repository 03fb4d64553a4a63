import Glibc
import ROWProxy

/// Tries whether this process could listen somewhere; nobody can connect meanwhile.
enum PortProbe {
    /// - Returns: 0, or the errno that bind(2) has.
    static func attempt(
        _ address: ListenAddress, _ transport: ListeningSocket.Transport
    ) -> Int32 {
        let kind = transport == .tcp ? SOCK_STREAM : SOCK_DGRAM
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = Int32(kind.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address.host, "\(address.port)", &hints, &list) == 0, let list else {
            return EADDRNOTAVAIL
        }
        defer { freeaddrinfo(list) }
        let descriptor = socket(
            list.pointee.ai_family, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return errno }
        defer { close(descriptor) }
        var yes: Int32 = 1
        // As servers do: connections that have ended do not count.
        if transport == .tcp {
            let size = socklen_t(MemoryLayout<Int32>.size)
            setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size)
        }
        let code = bind(descriptor, list.pointee.ai_addr, list.pointee.ai_addrlen)
        return code == 0 ? 0 : errno
    }
}

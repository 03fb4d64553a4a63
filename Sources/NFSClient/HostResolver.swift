import Glibc
import NIOCore
import NIOPosix

/// Finds the addresses of a host, off the event loop: the system's resolver blocks.
enum HostResolver {
    /// - Returns: one address or more, in the system's order of preference. Fails with
    ///   ``NFSClientError/Code/nameNotResolved``.
    static func resolve(
        host: String, port: Int, on eventLoop: any EventLoop
    ) -> EventLoopFuture<[SocketAddress]> {
        if let literal = try? SocketAddress(ipAddress: host, port: port) {
            return eventLoop.makeSucceededFuture([literal])
        }
        return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            try addresses(of: host, port: port)
        }
    }

    private static func addresses(of host: String, port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, String(port), &hints, &list)
        defer { if let list { freeaddrinfo(list) } }

        var found: [SocketAddress] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = entry.pointee.ai_addr else { continue }
            switch entry.pointee.ai_family {
            case AF_INET:
                address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    found.append(SocketAddress($0.pointee))
                }
            case AF_INET6:
                address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    found.append(SocketAddress($0.pointee))
                }
            default: break
            }
        }
        guard status == 0, !found.isEmpty else {
            let reason = status == 0 ? "it has no address" : String(cString: gai_strerror(status))
            throw NFSClientError(
                .nameNotResolved,
                "The host \"\(host)\" cannot be found: \(reason). Check the name or use its address"
            )
        }
        return found
    }
}

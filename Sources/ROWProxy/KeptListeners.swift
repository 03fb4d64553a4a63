import Glibc
import NIOCore
import Synchronization
import SystemPackage

/// Sockets at which proxies listen, open from one proxy to the next at the same address: clients that connect in
/// between wait for the next, where they would be refused and try again only seconds later.
///
/// A service manager that keeps copies (sd_pid_notify_with_fds(3)) has them outlive this process.
public final class KeptListeners: Sendable {
    private let sockets: Mutex<[SocketAddress: CInt]>
    private let onKept: @Sendable (CInt, String) -> Void
    private let onDropped: @Sendable (String) -> Void

    /// - Parameter inherited: descriptors of a process before this one; those that are no sockets that listen for TCP
    ///   connections are let be.
    /// - Parameter onKept: is told of each new one, under a name that only it has.
    /// - Parameter onDropped: is told which one nobody is to have any more.
    public init(
        inherited: [CInt] = [], onKept: @escaping @Sendable (CInt, String) -> Void = { _, _ in },
        onDropped: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.onKept = onKept
        self.onDropped = onDropped
        var sockets: [SocketAddress: CInt] = [:]
        for descriptor in inherited {
            guard let address = Self.address(ofListener: descriptor), sockets[address] == nil else {
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            sockets[address] = descriptor
        }
        self.sockets = Mutex(sockets)
    }

    deinit { sockets.withLock { $0.values.forEach { close($0) } } }

    /// A descriptor of its own for who listens there, of the socket that is kept or of a new one that is from now on.
    /// - Throws: `Errno`.
    func descriptor(at address: SocketAddress) throws -> CInt {
        try sockets.withLock { sockets in
            if let kept = sockets[address] { return try Self.copy(kept) }
            let new = try Self.bound(to: address)
            do {
                let copy = try Self.copy(new)
                sockets[address] = new
                onKept(new, Self.name(address))
                return copy
            } catch {
                close(new)
                throw error
            }
        }
    }

    /// Closes all others: who connects to one of those is refused once no proxy listens there.
    public func keepOnly(_ addresses: [ListenAddress]) {
        let wanted = Set(
            addresses.compactMap {
                try? SocketAddress.makeAddressResolvingHost(
                    $0.host ?? Proxy.Configuration.hostDefault, port: $0.port)
            })
        let dropped = sockets.withLock { sockets in
            let dropped = sockets.filter { !wanted.contains($0.key) }
            for (address, descriptor) in dropped {
                sockets[address] = nil
                close(descriptor)
            }
            return dropped.keys
        }
        for address in dropped { onDropped(Self.name(address)) }
    }

    /// Without colons, which a service manager does not take.
    private static func name(_ address: SocketAddress) -> String {
        "listen-\(address.ipAddress ?? "")-\(address.port ?? 0)".replacing(":", with: "_")
    }

    private static func copy(_ descriptor: CInt) throws -> CInt {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw Errno(rawValue: errno) }
        return copy
    }

    private static func bound(to address: SocketAddress) throws -> CInt {
        let descriptor = socket(
            CInt(address.protocol.rawValue),
            CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        var yes: CInt = 1
        setsockopt(
            descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        let isBound = address.withSockAddr { Glibc.bind(descriptor, $0, socklen_t($1)) } == 0
        guard isBound, Glibc.listen(descriptor, Proxy.backlog) == 0 else {
            let failure = Errno(rawValue: errno)
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// - Returns: nil unless connections come in there, by TCP.
    private static func address(ofListener descriptor: CInt) -> SocketAddress? {
        var listens: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0, listens != 0
        else { return nil }
        var storage = sockaddr_storage()
        return withUnsafeMutablePointer(to: &storage) { storage in
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let code = storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
            guard code == 0 else { return nil }
            switch CInt(storage.pointee.ss_family) {
            case AF_INET:
                return storage.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    SocketAddress($0.pointee)
                }
            case AF_INET6:
                return storage.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    SocketAddress($0.pointee)
                }
            default: return nil
            }
        }
    }
}

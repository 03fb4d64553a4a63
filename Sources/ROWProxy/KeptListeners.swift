import Glibc
import NIOCore
import Synchronization
import SystemPackage

/// Sockets at which proxies listen, open from one proxy to the next at the same address: clients that connect in
/// between wait for the next, where they would be refused and try again only seconds later.
///
/// A service manager that keeps copies (sd_pid_notify_with_fds(3)) has them outlive this process. One that is used
/// for nothing any more is shut down, which ends the copies, too.
public final class KeptListeners: Sendable {
    private let sockets: Mutex<[SocketAddress: Kept]>
    private let onKept: @Sendable (CInt, String) -> Void
    private let onDropped: @Sendable (String) -> Void

    private struct Kept {
        let descriptor: CInt
        /// A proxy listens there.
        var isLent = false
    }

    /// - Parameter inherited: descriptors of a process before this one; those that are no sockets that listen for TCP
    ///   connections are closed.
    /// - Parameter onKept: is told of each new one, under a name that only it has.
    /// - Parameter onDropped: is told which one nobody is to have any more.
    public init(
        inherited: [CInt], onKept: @escaping @Sendable (CInt, String) -> Void,
        onDropped: @escaping @Sendable (String) -> Void
    ) {
        self.onKept = onKept
        self.onDropped = onDropped
        var sockets: [SocketAddress: Kept] = [:]
        for descriptor in inherited {
            guard let address = Self.address(ofListener: descriptor), sockets[address] == nil else {
                close(descriptor)
                continue
            }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            sockets[address] = Kept(descriptor: descriptor)
        }
        self.sockets = Mutex(sockets)
    }

    deinit { sockets.withLock { $0.values.forEach { close($0.descriptor) } } }

    /// Lends a descriptor for the socket there, which is made when there is none, until it is given back.
    /// - Throws: `Errno`: `addressInUse` while another has it.
    func lend(_ address: SocketAddress) throws -> CInt {
        try sockets.withLock { sockets in
            if var kept = sockets[address] {
                guard !kept.isLent else { throw Errno.addressInUse }
                let copy = try Self.copy(kept.descriptor)
                kept.isLent = true
                sockets[address] = kept
                return copy
            }
            // Those of before that would be in the way.
            drop(from: &sockets) { Self.overlap($0, address) }
            let new = try Self.bound(to: address)
            do {
                let copy = try Self.copy(new)
                sockets[address] = Kept(descriptor: new, isLent: true)
                onKept(new, Self.name(address))
                return copy
            } catch {
                close(new)
                throw error
            }
        }
    }

    /// The proxy listens no more.
    func giveBack(_ address: SocketAddress) {
        sockets.withLock { $0[address]?.isLent = false }
    }

    /// Closes what is not lent: who connects there is refused from now on.
    public func dropUnused() {
        sockets.withLock { drop(from: &$0) { _ in true } }
    }

    /// The same for one that could not be served.
    func dropUnused(_ address: SocketAddress) {
        sockets.withLock { drop(from: &$0) { $0 == address } }
    }

    /// The same for a port that is meant for something else.
    public func dropUnused(port: Int) {
        sockets.withLock { drop(from: &$0) { $0.port == port } }
    }

    private func drop(
        from sockets: inout [SocketAddress: Kept], where isMeant: (SocketAddress) -> Bool
    ) {
        for (address, kept) in sockets where !kept.isLent && isMeant(address) {
            sockets[address] = nil
            // Of the service manager's copy, too.
            shutdown(kept.descriptor, CInt(SHUT_RDWR))
            close(kept.descriptor)
            onDropped(Self.name(address))
        }
    }

    // MARK: Addresses

    /// Whether only one of two can be listened at: one is of all addresses of this machine.
    private static func overlap(_ one: SocketAddress, _ other: SocketAddress) -> Bool {
        let all = ["0.0.0.0", "::"]
        return one.port == other.port
            && [one, other].contains { all.contains($0.ipAddress ?? "") }
    }

    /// Without colons, which a service manager does not take.
    private static func name(_ address: SocketAddress) -> String {
        var name = "listen-\(address.ipAddress ?? "")-\(address.port ?? 0)"
        if case .v6 = address {
            // Of a link, sin6_scope_id, the last of the 28 bytes.
            let scope = address.withSockAddr {
                UnsafeRawBufferPointer(start: $0, count: $1)
                    .loadUnaligned(fromByteOffset: 24, as: UInt32.self)
            }
            if scope != 0 { name += "-\(scope)" }
        }
        return name.replacing(":", with: "_")
    }

    // MARK: Descriptors

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
        set(SO_REUSEADDR, at: SOL_SOCKET, to: 1, of: descriptor)
        // IPv4's clients, too, where it is of all addresses.
        if case .v6 = address {
            set(IPV6_V6ONLY, at: CInt(IPPROTO_IPV6), to: 0, of: descriptor)
        }
        let isBound = address.withSockAddr { Glibc.bind(descriptor, $0, socklen_t($1)) } == 0
        guard isBound, listen(descriptor, Proxy.backlog) == 0 else {
            let failure = Errno(rawValue: errno)
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    private static func set(_ option: CInt, at level: CInt, to value: CInt, of descriptor: CInt) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
    }

    /// - Returns: nil unless connections come in there, by TCP.
    private static func address(ofListener descriptor: CInt) -> SocketAddress? {
        var listens: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0, listens != 0
        else { return nil }
        var family: CInt = 0
        guard getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size) == 0 else { return nil }
        var storage = sockaddr_storage()
        return withUnsafeMutablePointer(to: &storage) { storage in
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let code = storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
            guard code == 0 else { return nil }
            switch family {
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

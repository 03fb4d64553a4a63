import Dispatch
import Glibc
import SystemPackage

/// Names and addresses of hosts.
enum Addresses {
    /// The addresses of a host, as numbers. The system's resolver waits as long as it likes, so whoever asks
    /// bounds that.
    static func of(_ host: String) async -> Result<[String], Unknown> {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: resolve(host)) }
        }
    }

    /// Why a name has no address.
    struct Unknown: Error {
        let reason: String
    }

    private static func resolve(_ host: String) -> Result<[String], Unknown> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else {
            return .failure(Unknown(reason: String(cString: gai_strerror(status))))
        }
        defer { if let list { freeaddrinfo(list) } }
        let all = sequence(first: list, next: { $0?.pointee.ai_next }).compactMap(\.self)
        return .success(
            all.compactMap { numeric($0.pointee.ai_addr, $0.pointee.ai_addrlen) })
    }

    /// The address of this machine from which another is reached; nothing is sent.
    static func local(toReach address: String) -> String? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address, "2049", &hints, &list) == 0, let list else { return nil }
        defer { freeaddrinfo(list) }
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(list.pointee.ai_family, kind, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var own = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        guard connect(descriptor, list.pointee.ai_addr, list.pointee.ai_addrlen) == 0 else {
            return nil
        }
        return withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &size) == 0 ? numeric($0, size) : nil
            }
        }
    }

    /// The network interface that has an address.
    static func interface(of address: String) -> String? {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return nil }
        defer { freeifaddrs(first) }
        let entries = sequence(first: first, next: { $0?.pointee.ifa_next }).compactMap(\.self)
        let entry = entries.first { entry in
            guard let own = entry.pointee.ifa_addr else { return false }
            let size =
                Int32(own.pointee.sa_family) == AF_INET
                ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
            return numeric(own, socklen_t(size)) == address
        }
        return entry.map { String(cString: $0.pointee.ifa_name) }
    }

    private static func numeric(
        _ address: UnsafeMutablePointer<sockaddr>?, _ size: socklen_t
    ) -> String? {
        guard let address, [AF_INET, AF_INET6].contains(Int32(address.pointee.sa_family)) else {
            return nil
        }
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let code = getnameinfo(
            address, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard code == 0 else { return nil }
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

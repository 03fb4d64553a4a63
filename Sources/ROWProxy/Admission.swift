import NIOCore

/// Who a client is: its address without the port, which changes with every connection.
struct ClientAddress: Hashable, CustomStringConvertible {
    /// nil for one that is not IP.
    let address: IPAddress?
    /// The address as text, empty for one that is not IP.
    let bytes: [UInt8]

    init(_ address: SocketAddress?) {
        self.address = address?.ipAddress.flatMap { IPAddress($0) }
        bytes = Array((self.address?.description ?? "").utf8)
    }

    init(_ address: IPAddress) {
        self.address = address
        bytes = Array(address.description.utf8)
    }

    var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// Which clients may come in: those on this machine, unless ranges of addresses are given.
struct Admission: Sendable {
    private let ranges: [AddressRange]

    init(_ ranges: [AddressRange]) {
        self.ranges = ranges.isEmpty ? AddressRange.loopback : ranges
    }

    func admits(_ client: ClientAddress) -> Bool {
        guard let address = client.address else { return false }
        return ranges.contains { $0.contains(address) }
    }
}

import Glibc

/// An address of IP version 4, as a number that can be compared and masked.
struct IPv4Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    let number: UInt32

    init(number: UInt32) { self.number = number }

    /// Reads four decimal numbers with dots between them, and nothing else.
    init?(_ text: String) {
        var bytes: UInt32 = 0
        guard inet_pton(AF_INET, text, &bytes) == 1 else { return nil }
        number = UInt32(bigEndian: bytes)
    }

    /// The mask that keeps the first `prefixLength` bits, 0...32.
    static func mask(_ prefixLength: Int) -> IPv4Address {
        IPv4Address(number: prefixLength == 0 ? 0 : UInt32.max << UInt32(32 - prefixLength))
    }

    /// The first address of its network.
    func network(_ prefixLength: Int) -> IPv4Address {
        IPv4Address(number: number & Self.mask(prefixLength).number)
    }

    /// The last address of its network.
    func broadcast(_ prefixLength: Int) -> IPv4Address {
        IPv4Address(number: number | ~Self.mask(prefixLength).number)
    }

    static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.number < right.number }

    var description: String {
        [24, 16, 8, 0].map { String(number >> UInt32($0) & 0xff) }.joined(separator: ".")
    }
}

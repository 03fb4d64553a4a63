import Glibc

/// Addresses that share their first bits (CIDR, RFC 4632): `192.0.2.0/24`, `2001:db8::/32`, or one
/// address.
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    private let first: IPAddress
    /// Bits of the 128 that must be equal.
    private let prefixBits: Int

    /// - Returns: nil when the text is neither an address nor `ADDRESS/BITS`, or when it has bits set
    ///   past the prefix, which is likely a slip.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress(String($0)) }), parts.count <= 2 else {
            return nil
        }
        let width = address.isVersion4 ? 32 : 128
        var bits = width
        if parts.count == 2 {
            guard let given = UInt8(parts[1]), given <= width else { return nil }
            bits = Int(given)
        }
        prefixBits = 128 - width + bits
        first = address
        guard address == address.masked(to: prefixBits) else { return nil }
    }

    /// This machine, by either version of IP.
    static let loopback = [AddressRange("127.0.0.0/8"), AddressRange("::1")].compactMap(\.self)

    func contains(_ address: IPAddress) -> Bool {
        address.isVersion4 == first.isVersion4 && address.masked(to: prefixBits) == first
    }

    public var description: String {
        "\(first)/\(first.isVersion4 ? prefixBits - 96 : prefixBits)"
    }
}

/// An address of either version of IP. One of version 4 is the same when it comes mapped into version 6
/// (`::ffff:192.0.2.1`), as it does through a socket that serves both.
struct IPAddress: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    private static let mappedPrefix: UInt64 = 0xffff_0000_0000

    /// Reads an address in its usual notation.
    init?(_ text: String) {
        var version4 = in_addr()
        var version6 = in6_addr()
        if inet_pton(AF_INET, text, &version4) == 1 {
            (high, low) = (0, Self.mappedPrefix | UInt64(UInt32(bigEndian: version4.s_addr)))
        } else if inet_pton(AF_INET6, text, &version6) == 1 {
            (high, low) = withUnsafeBytes(of: &version6) { bytes in
                (
                    UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                )
            }
        } else {
            return nil
        }
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    var isVersion4: Bool { high == 0 && low >> 32 == Self.mappedPrefix >> 32 }

    /// The address with all but its first `bits` bits cleared.
    func masked(to bits: Int) -> IPAddress {
        IPAddress(
            high: high & Self.mask(min(bits, 64)), low: low & Self.mask(max(bits - 64, 0)))
    }

    private static func mask(_ bits: Int) -> UInt64 { bits == 0 ? 0 : UInt64.max << (64 - bits) }

    var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        if isVersion4 {
            var address = in_addr(s_addr: UInt32(truncatingIfNeeded: low).bigEndian)
            inet_ntop(AF_INET, &address, &text, socklen_t(text.count))
        } else {
            var words = (high.bigEndian, low.bigEndian)
            inet_ntop(AF_INET6, &words, &text, socklen_t(text.count))
        }
        return String(
            decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

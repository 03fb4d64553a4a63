import Crypto

/// What stands for an Ed25519 key in names: the first 20 bytes of the SHA-256 of the raw public key.
public struct KeyFingerprint: Hashable, Sendable, CustomStringConvertible {
    public static let size = 20
    /// Characters of its text.
    public static let textSize = 32

    let bytes: [UInt8]

    init(publicKey: [UInt8]) { bytes = Array(SHA256.hash(data: publicKey).prefix(Self.size)) }

    /// - Parameter bytes: ``size`` of them.
    init(bytes: [UInt8]) {
        precondition(bytes.count == Self.size)
        self.bytes = bytes
    }

    /// Reads its text.
    /// - Returns: nil for anything but 32 characters of lower-case base32 (RFC 4648 §6).
    public init?(_ text: String) {
        guard text.utf8.count == Self.textSize else { return nil }
        var bytes: [UInt8] = []
        var bits = 0
        var value: UInt32 = 0
        for character in text.utf8 {
            guard let digit = Self.alphabet.firstIndex(of: character) else { return nil }
            value = value << 5 | UInt32(digit)
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: value >> bits))
            }
        }
        self.bytes = bytes
    }

    /// 32 characters of lower-case base32, which has no padding at this length.
    public var description: String {
        var text: [UInt8] = []
        var bits = 0
        var value: UInt32 = 0
        for byte in bytes {
            value = value << 8 | UInt32(byte)
            bits += 8
            while bits >= 5 {
                bits -= 5
                text.append(Self.alphabet[Int(value >> bits & 31)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
}

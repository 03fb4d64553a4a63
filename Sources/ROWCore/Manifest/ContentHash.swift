internal import Crypto

/// A SHA-256 (FIPS 180-4) of some bytes.
public struct ContentHash: Sendable, Hashable, CustomStringConvertible {
    /// Bytes of a hash.
    public static let byteCount = 32

    /// In memory order.
    private let words: SIMD4<UInt64>

    /// Takes a hash that was computed before.
    /// - Parameter bytes: ``byteCount`` of them.
    public init(bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count == Self.byteCount)
        words = bytes.loadUnaligned(as: SIMD4<UInt64>.self)
    }

    /// Computes the hash of some bytes.
    public init(of bytes: UnsafeRawBufferPointer) {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        self.init(hash)
    }

    init(_ hash: SHA256) { self = hash.finalize().withUnsafeBytes { Self(bytes: $0) } }

    /// The ``byteCount`` bytes.
    public var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    /// In hexadecimal digits, as `sha256sum` prints it.
    public var description: String {
        let digits = Array("0123456789abcdef")
        return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

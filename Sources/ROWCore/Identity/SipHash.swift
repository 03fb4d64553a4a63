/// SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, "SipHash: a fast short-input PRF"):
/// a keyed code that nobody can forge without the key, cheap enough to mint one per directory entry.
struct SipHash: Sendable {
    /// Sixteen secret bytes.
    struct Key: Sendable, Hashable {
        var low: UInt64
        var high: UInt64
    }

    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    private init(_ key: Key) {
        v0 = key.low ^ 0x736f_6d65_7073_6575
        v1 = key.high ^ 0x646f_7261_6e64_6f6d ^ 0xee
        v2 = key.low ^ 0x6c79_6765_6e65_7261
        v3 = key.high ^ 0x7465_6462_7974_6573
    }

    /// The code of the message made of `words`, each taken as eight little-endian bytes.
    static func code(_ key: Key, _ first: UInt64, _ second: UInt64) -> (UInt64, UInt64) {
        var state = SipHash(key)
        state.absorb(first)
        state.absorb(second)
        return state.finish(byteCount: 16, tail: 0)
    }

    /// The code of any bytes.
    static func code(_ key: Key, _ bytes: [UInt8]) -> (UInt64, UInt64) {
        var state = SipHash(key)
        let whole = bytes.count / 8
        for index in 0..<whole {
            state.absorb(Self.word(bytes[(index * 8)..<(index * 8 + 8)]))
        }
        return state.finish(byteCount: bytes.count, tail: Self.word(bytes[(whole * 8)...]))
    }

    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func absorb(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    private mutating func finish(byteCount: Int, tail: UInt64) -> (UInt64, UInt64) {
        absorb(UInt64(byteCount & 0xff) << 56 | tail)
        v2 ^= 0xee
        for _ in 0..<4 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<4 { round() }
        return (low, v0 ^ v1 ^ v2 ^ v3)
    }

    private mutating func round() {
        v0 &+= v1
        v1 = v1 << 13 | v1 >> 51
        v1 ^= v0
        v0 = v0 << 32 | v0 >> 32
        v2 &+= v3
        v3 = v3 << 16 | v3 >> 48
        v3 ^= v2
        v0 &+= v3
        v3 = v3 << 21 | v3 >> 43
        v3 ^= v0
        v2 &+= v1
        v1 = v1 << 17 | v1 >> 47
        v1 ^= v2
        v2 = v2 << 32 | v2 >> 32
    }
}

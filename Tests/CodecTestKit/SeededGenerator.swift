import Foundation

/// SplitMix64: the same seed gives the same values on every machine.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The seed of this run: `ROWFS_SEED`, or a new one. A failing test shows it.
    public static let seedOfThisRun: UInt64 =
        ProcessInfo.processInfo.environment["ROWFS_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max)
}

extension RandomNumberGenerator {
    /// `count` random bytes within `range`.
    public mutating func bytes(count: Int, in range: ClosedRange<UInt8> = 0...255) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: range, using: &self) }
    }

    /// At most `maximum` random bytes. Every padding length is as likely as another.
    public mutating func bytes(upTo maximum: Int) -> [UInt8] {
        bytes(count: Int.random(in: 0...maximum, using: &self))
    }

    /// Like ``bytes(upTo:)`` but mostly short, and in a C string's alphabet: any byte but NUL.
    public mutating func text(upTo maximum: Int) -> [UInt8] {
        let bound = Int.random(in: 0..<10, using: &self) == 0 ? maximum : Swift.min(maximum, 12)
        return bytes(count: Int.random(in: 0...bound, using: &self), in: 1...255)
    }

    /// Up to four elements.
    public mutating func list<T>(_ element: (inout Self) -> T) -> [T] {
        (0..<Int.random(in: 0...4, using: &self)).map { _ in element(&self) }
    }

    /// A number that is as often at an edge of its range as inside it.
    public mutating func edgy<T: FixedWidthInteger & UnsignedInteger>(_: T.Type = T.self) -> T {
        switch UInt8.random(in: 0..<6, using: &self) {
        case 0: 0
        case 1: T.max
        case 2: T.max / 2 + 1
        default: T.random(in: 0...T.max, using: &self)
        }
    }

    /// `value`, or half of the time nil.
    public mutating func maybe<T>(_ value: (inout Self) -> T) -> T? {
        Bool.random(using: &self) ? value(&self) : nil
    }
}

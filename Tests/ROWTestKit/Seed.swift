import Foundation

/// The seed of a random test, and the generator that it starts (SplitMix64).
///
/// Put ``description`` into the comment of every expectation that depends on it:
/// `#expect(a == b, "\(seed)")`. `ROWFS_SEED=N swift test --filter NAME` then repeats the run.
public struct Seed: CustomStringConvertible, Sendable {
    public let value: UInt64

    /// A new seed, or the one in the environment variable `ROWFS_SEED`.
    public init() {
        let given = ProcessInfo.processInfo.environment["ROWFS_SEED"].flatMap { UInt64($0) }
        value = given ?? UInt64.random(in: 0...UInt64.max)
    }

    /// The same every time, for what is to be the same every time.
    public init(_ value: UInt64) { self.value = value }

    public var description: String { "ROWFS_SEED=\(value)" }

    /// A generator at its first value.
    public func makeGenerator() -> Generator { Generator(state: value) }

    public struct Generator: RandomNumberGenerator, Sendable {
        var state: UInt64

        public mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}

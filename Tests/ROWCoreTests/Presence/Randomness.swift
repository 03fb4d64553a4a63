import Foundation

/// SplitMix64 under a seed that failing tests print; `ROWFS_SEED` replays it.
struct Randomness: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// The seed of this run, mixed with what tells its tests apart.
    init(for salt: UInt64) { self.init(seed: Self.seedOfThisRun &+ salt) }

    static let seedOfThisRun: UInt64 =
        ProcessInfo.processInfo.environment["ROWFS_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64.max)

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

    /// A part of 0..<limit, not empty; as often short as long, as often aligned as not.
    mutating func range(in limit: Int, unit: Int) -> Range<Int> {
        var bounds = [below(limit), below(limit)]
        if Bool.random(using: &self) { bounds[1] = min(bounds[0] + below(2 * unit), limit - 1) }
        let isAligned = below(4) == 0
        if isAligned { bounds = bounds.map { $0 / unit * unit } }
        bounds.sort()
        return bounds[0]..<min(bounds[1] + (isAligned ? unit : 1), limit)
    }

    var note: String { "ROWFS_SEED=\(Self.seedOfThisRun)" }
}

import ONCRPC
import XDR

/// Big-endian 32-bit words, as hand-written messages are easiest to read.
func words(_ values: UInt32...) -> [UInt8] {
    values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
}

/// What `write` appends to memory of `count` bytes.
func written(count: Int, _ write: (inout OutputRawSpan) -> Void) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
        let raw = UnsafeMutableRawBufferPointer(memory)
        var output = OutputRawSpan(buffer: raw, initializedCount: 0)
        write(&output)
        initialized = output.finalize(for: raw)
    }
}

/// A generator whose whole state is its seed (SplitMix64), so that a failing case can be run again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

import Testing
import XDR

/// What must hold for every type on the wire, whatever its fields: the same checks for the XDR
/// primitives, the RPC headers and the protocols.
public struct WireChecks {
    let type: WireType
    private let seed = SeededGenerator.seedOfThisRun

    public init(_ type: WireType) { self.type = type }

    /// Random values decode from their own bytes, and from the bytes that C libraries make of them.
    public func roundTrips(rounds: Int = 400) throws {
        try forEachSample(rounds: rounds) { sample, comment in
            #expect(sample.bytes.count == sample.sizeSaid, comment)
            #expect(try sample.isDecoded(sample.bytes), comment)
            for library in type.libraries {
                let bytes = try library.roundTrip(type.name, sample.bytes)
                try #require(bytes == sample.bytes, comment)
            }
        }
    }

    /// A record that ends early, wherever, is an error.
    public func rejectsEveryTruncation(rounds: Int = 12) throws {
        try forEachSample(rounds: rounds) { sample, comment in
            let taken = sample.bytes.indices.filter {
                refusal(of: Array(sample.bytes[..<$0])) == nil
            }
            #expect(taken == [], comment)
        }
    }

    /// A record that goes on after the value is an error.
    public func rejectsTrailingBytes(rounds: Int = 40) throws {
        try forEachSample(rounds: rounds) { sample, comment in
            for extra in [1, 4, 5] {
                let bytes = sample.bytes + [UInt8](repeating: 0, count: extra)
                #expect(refusal(of: bytes)?.code == .trailingBytes, comment)
            }
        }
    }

    /// With any of its 4-byte units replaced, a record is refused or read for exactly what it says:
    /// a boolean of 2, an unknown discriminant or an overlong count never passes for another value.
    public func misreadsNothing(rounds: Int = 6) throws {
        try forEachSample(rounds: rounds) { sample, comment in
            for unit in stride(from: 0, to: sample.bytes.count, by: 4) {
                let misread = Self.suspects.filter { value in
                    var bytes = sample.bytes
                    for index in 0..<4 {
                        bytes[unit + index] = UInt8(truncatingIfNeeded: value >> (24 - 8 * index))
                    }
                    guard let again = try? type.recode(bytes) else { return false }
                    return !isSameButPadding(again, bytes)
                }
                #expect(misread == [], "unit at \(unit), \(comment)")
            }
        }
    }

    private static let suspects: [UInt32] = [
        0, 1, 2, 3, 8, 65, 0x0100_0000, 0x7fff_ffff, .max,
    ]

    /// - Returns: nil when `bytes` are taken for a value.
    private func refusal(of bytes: [UInt8]) -> XDRError? {
        do {
            _ = try type.recode(bytes)
            return nil
        } catch {
            return error
        }
    }

    /// Padding is ignored when read and written as zeros. It is the last one to three bytes of a
    /// 4-byte unit, so a difference in a unit's first byte means that the value was misread.
    private func isSameButPadding(_ again: [UInt8], _ bytes: [UInt8]) -> Bool {
        guard again.count == bytes.count else { return false }
        return bytes.indices.allSatisfy {
            again[$0] == bytes[$0] || ($0 % 4 != 0 && again[$0] == 0)
        }
    }

    private func forEachSample(
        rounds: Int, _ body: (Sample, Comment) throws -> Void
    ) throws {
        var random = SeededGenerator(seed: seed)
        for round in 0..<rounds {
            try body(type.sample(&random), "\(type), round \(round), ROWFS_SEED=\(seed)")
        }
    }
}

/// A number of bytes as people write it: `512M`, `10G`, `0`; K, M, G and T are powers of 1024.
public struct ByteSize: Sendable, Hashable, LosslessStringConvertible {
    public let bytes: UInt64

    public init(bytes: UInt64) { self.bytes = bytes }

    private static let units: [Character: UInt64] = [
        "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
    ]

    /// - Returns: nil for what is no such number.
    public init?(_ text: String) {
        var digits = text[...]
        var unit: UInt64 = 1
        if let last = text.uppercased().last, let known = Self.units[last] {
            unit = known
            digits = digits.dropLast()
        }
        guard digits.allSatisfy(\.isNumber), let number = UInt64(digits) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, bytes <= UInt64(Int64.max) else { return nil }
        self.bytes = bytes
    }

    /// The shortest way to write it.
    public var description: String {
        let unit = Self.units.sorted { $0.value > $1.value }.first {
            bytes > 0 && bytes % $0.value == 0
        }
        return unit.map { "\(bytes / $0.value)\($0.key)" } ?? "\(bytes)"
    }
}

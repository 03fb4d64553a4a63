public import NIOCore

/// How long calls took: counts in buckets that are an eighth of their power of two wide, in fixed memory.
///
/// A bucket holds what is longer than its lower bound and no longer than its upper one, so sums up to a power
/// of two of microseconds are exact.
public struct LatencyHistogram: Sendable {
    /// Empty until something is counted.
    private var buckets: [UInt64] = []
    public private(set) var count = 0
    public private(set) var sumNanoseconds: Int64 = 0
    public private(set) var maximumNanoseconds: Int64 = 0

    /// Buckets for each power of two, as a power of two.
    private static let fineBits = 3
    /// 2^26 µs are 67 s; what takes longer has the last bucket.
    private static let powerMaximum = 26
    private static let bucketCount = (powerMaximum - fineBits + 1) << fineBits + 1

    public init() {}

    public mutating func add(_ time: TimeAmount, count added: Int = 1) {
        if buckets.isEmpty { buckets = Array(repeating: 0, count: Self.bucketCount) }
        let nanoseconds = max(0, time.nanoseconds)
        buckets[Self.bucket(of: nanoseconds)] += UInt64(added)
        count += added
        sumNanoseconds &+= nanoseconds &* Int64(added)
        maximumNanoseconds = max(maximumNanoseconds, nanoseconds)
    }

    mutating func merge(_ other: LatencyHistogram) {
        guard other.count > 0 else { return }
        if buckets.isEmpty {
            self = other
            return
        }
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        count += other.count
        sumNanoseconds &+= other.sumNanoseconds
        maximumNanoseconds = max(maximumNanoseconds, other.maximumNanoseconds)
    }

    /// The time that this part of the calls did not exceed, at most an eighth too high.
    /// - Parameter part: 0...1.
    /// - Returns: nanoseconds; 0 when there were no calls.
    public func quantile(_ part: Double) -> Int64 {
        let rank = max(1, (Double(count) * part).rounded(.up))
        var sum = 0.0
        for (index, bucket) in buckets.enumerated() {
            sum += Double(bucket)
            if sum >= rank { return min(Self.upperBound(of: index), maximumNanoseconds) }
        }
        return maximumNanoseconds
    }

    /// How many calls took no longer than 2^`power` microseconds.
    public func count(upToMicroseconds power: Int) -> Int {
        let end = Self.bucket(of: Int64(1) << power * 1000)
        return Int(buckets.prefix(end + 1).reduce(0, +))
    }

    private static func bucket(of nanoseconds: Int64) -> Int {
        // So that a whole number of microseconds is the last that its bucket holds.
        let value = Int(max(0, nanoseconds - 1) / 1000)
        guard value >= 1 << fineBits else { return value }
        let power = Int.bitWidth - 1 - value.leadingZeroBitCount
        guard power < powerMaximum else { return bucketCount - 1 }
        let fine = value >> (power - fineBits) & (1 << fineBits - 1)
        return (power - fineBits + 1) << fineBits + fine
    }

    /// In nanoseconds.
    private static func upperBound(of bucket: Int) -> Int64 {
        guard bucket < bucketCount - 1 else { return .max }
        guard bucket >= 1 << fineBits else { return Int64(bucket + 1) * 1000 }
        let shift = bucket >> fineBits - 1
        let fine = bucket & (1 << fineBits - 1)
        return Int64((1 << fineBits + fine + 1) << shift) * 1000
    }
}

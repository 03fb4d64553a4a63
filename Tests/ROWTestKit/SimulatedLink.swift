public import NIOCore

/// One direction of a long line as arithmetic: when what is sent arrives.
///
/// Whoever sends shares one rate, in the order of sending: the line is busy until it has taken in the last
/// byte, and every byte then travels for the same time. A sender that always has bytes waiting gets the
/// whole rate, however long the line.
public struct SimulatedLink: Sendable {
    private let delay: TimeAmount
    private let bitsPerSecond: Int?
    private var nextFree = NIODeadline.uptimeNanoseconds(0)

    /// - Parameter roundTrip: of which this direction takes half.
    /// - Parameter bitsPerSecond: nil for no limit.
    public init(roundTrip: Duration, bitsPerSecond: Int?) {
        precondition(bitsPerSecond ?? 1 > 0, "a link without a rate carries nothing")
        delay = TimeAmount(roundTrip / 2)
        self.bitsPerSecond = bitsPerSecond
    }

    /// When the last of some bytes arrives, and with it all of them: never sooner than the rate allows.
    public mutating func arrival(of count: Int, sentAt now: NIODeadline) -> NIODeadline {
        guard let bitsPerSecond else { return now + delay }
        // Rounded up, or many small sends would be faster than the line.
        let (quotient, rest) = (count * 8 * 1_000_000_000).quotientAndRemainder(
            dividingBy: bitsPerSecond)
        nextFree = max(now, nextFree) + .nanoseconds(Int64(quotient + (rest > 0 ? 1 : 0)))
        return nextFree + delay
    }

    /// Bytes that may be on their way for one sender before it is held up: what the line holds, and what a
    /// router in front of it would.
    public var queueBytesMaximum: Int {
        let router = 4 << 20
        guard let bitsPerSecond else { return 8 * router }
        return router + Int(Double(bitsPerSecond) / 8 * Double(delay.nanoseconds) / 1e9)
    }
}

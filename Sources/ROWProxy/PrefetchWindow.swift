import NIOCore

/// How much may be under way from main that no client waits for: as much as fills the link, so that
/// nothing is left of it, but no more, or a client's own miss would wait behind it. What is fetched tells:
/// when it takes longer than it did with little under way, it queues somewhere.
struct PrefetchWindow {
    /// Bytes and calls under way.
    private(set) var bytes = 0
    private(set) var calls = 0
    private(set) var limit = Self.limitFirst
    /// The least time that a call took lately, and until when it counts.
    private var least: (time: TimeAmount, until: NIODeadline)?

    static let limitFirst = 256 << 10
    static let limitMaximum = 16 << 20
    static let callsMaximum = 96
    /// A link's delay may change, by a fail-over for example.
    private static let leastLifetime = TimeAmount.seconds(30)
    /// What a busy machine adds is no queue.
    private static let slack = TimeAmount.milliseconds(10)

    var hasRoom: Bool { bytes < limit && calls < Self.callsMaximum }

    mutating func begin(_ count: Int) {
        bytes += count
        calls += 1
    }

    /// - Parameter count: what ``begin(_:)`` was told.
    /// - Parameter time: how long main took; nil when it was not asked, or did not answer.
    mutating func end(_ count: Int, after time: TimeAmount?, at now: NIODeadline) {
        let wasFull = bytes + (256 << 10) >= limit
        bytes -= count
        calls -= 1
        guard let time else { return }
        if least.map({ now > $0.until || time < $0.time }) ?? true {
            least = (time, now + Self.leastLifetime)
        }
        guard let least else { return }
        let queued = time.nanoseconds - least.time.nanoseconds
        if queued > least.time.nanoseconds / 2 + Self.slack.nanoseconds {
            limit = max(Self.limitFirst, limit - limit / 16)
        } else if wasFull {
            limit = min(Self.limitMaximum, limit + count)
        }
    }
}

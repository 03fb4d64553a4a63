/// When records are put again, and when they are signed anew: a plain value.
enum Renewal {
    /// Whether less than half of its life is left. Until then the same bytes are put again, since every
    /// other form of a record would be one more value in the store.
    static func mustSignAnew(_ record: Record, now: Int64) -> Bool {
        now < record.issued || (record.expires - now) * 2 <= record.expires - record.issued
    }

    /// Until the next time, with jitter, so that many who began together do not stay so.
    /// - Parameter life: seconds.
    /// - Parameter refreshInterval: after which a store loses values.
    /// - Parameter jitter: 0...1, at random.
    static func pause(
        life: Int64, refreshInterval: Duration?, jitter: Double
    ) -> Duration {
        let third = Duration.seconds(life) / 3
        return min(third, refreshInterval ?? third) * (0.75 + 0.25 * jitter)
    }
}

/// Something did not happen in time.
public struct TimedOut: Error, CustomStringConvertible {
    public let waitingFor: String
    public let limit: Duration

    public var description: String { "no \(waitingFor) within \(limit)" }
}

/// Looks every few milliseconds until `condition` gives a value.
/// - Parameter limit: how long at most.
/// - Parameter purpose: a noun for the error: what is waited for.
/// - Throws: ``TimedOut``, or what `condition` throws.
public func poll<Value>(
    for purpose: String, within limit: Duration,
    _ condition: () async throws -> Value?
) async throws -> Value {
    let end = ContinuousClock.now + limit
    while true {
        // Looked at once more after the end: on a busy machine the sleep may have been long.
        let isLast = ContinuousClock.now >= end
        if let value = try await condition() { return value }
        guard !isLast else { throw TimedOut(waitingFor: purpose, limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}

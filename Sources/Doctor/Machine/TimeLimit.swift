/// Waits for something no longer than that; what is not there then is left behind.
/// - Returns: nil when it was not in time.
func within<Value: Sendable>(
    _ limit: Duration, _ work: @escaping @Sendable () async -> Value
) async -> Value? {
    let (outcomes, continuation) = AsyncStream<Value?>.makeStream()
    let worker = Task { continuation.yield(await work()) }
    let timer = Task {
        try? await Task.sleep(for: limit)
        continuation.yield(nil)
    }
    defer {
        worker.cancel()
        timer.cancel()
    }
    for await first in outcomes { return first }
    return nil
}

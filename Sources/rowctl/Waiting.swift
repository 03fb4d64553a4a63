import Foundation

/// Does something that may take for ever, such as asking for a file of a server that is away: on a thread of its
/// own, since those that tasks share are few.
func onOwnThread<Value: Sendable>(
    _ work: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try work() }) }
    }
}

/// Waits until each of these has had an element, or has ended.
/// - Returns: whether all have, in that time; those that have not cannot be waited for again.
func wait(for streams: [AsyncStream<Void>], atMost limit: Duration) async -> Bool {
    await withTaskGroup(of: Bool.self) { group in
        group.addTask {
            for stream in streams { for await _ in stream { break } }
            return !Task.isCancelled
        }
        group.addTask {
            try? await Task.sleep(for: limit)
            return false
        }
        defer { group.cancelAll() }
        return await group.next() ?? true
    }
}

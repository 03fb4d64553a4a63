import NIOCore
import Synchronization

/// Waits for turns of an event loop, until that is about to end: it would never answer afterwards.
final class LoopTurns: Sendable {
    private struct State {
        var isEnded = false
        var count = 0
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Mutex(State())

    /// Returns in the loop's next turn, or after ``end()``.
    func next(of loop: any EventLoop) async {
        await withCheckedContinuation { continuation in
            let isEnded = state.withLock { state in
                guard !state.isEnded else { return true }
                state.count += 1
                let number = state.count
                state.waiting[number] = continuation
                // While nobody can end it: the loop is there to take it.
                loop.execute { self.resume(number) }
                return false
            }
            if isEnded { continuation.resume() }
        }
    }

    /// Whether somebody waits.
    var isAsked: Bool { state.withLock { !$0.waiting.isEmpty } }

    /// Whether the loop may have gone away.
    var isEnded: Bool { state.withLock(\.isEnded) }

    /// The loop may go away now.
    func end() {
        let waiting = state.withLock { state in
            state.isEnded = true
            defer { state.waiting = [:] }
            return state.waiting.values
        }
        for continuation in waiting { continuation.resume() }
    }

    private func resume(_ number: Int) {
        state.withLock { $0.waiting.removeValue(forKey: number) }?.resume()
    }
}

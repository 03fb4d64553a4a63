import NIOCore
import Synchronization

/// The connections of a server, and what is being answered on them.
final class BootConnections: Sendable {
    private struct State {
        var channels: [ObjectIdentifier: any Channel] = [:]
        /// Also those whose connection has gone, until they have let go of their files.
        var answers: [UInt64: (channel: ObjectIdentifier, task: Task<Void, Never>)] = [:]
        var answerCount: UInt64 = 0
        var hasEnded = false
    }

    private let state = Mutex(State())
    private let maximum: Int

    init(maximum: Int) { self.maximum = maximum }

    /// - Throws: when there are enough.
    func add(_ channel: any Channel) throws {
        let id = ObjectIdentifier(channel)
        let isTaken = state.withLock { state in
            guard !state.hasEnded, state.channels.count < maximum else { return false }
            state.channels[id] = channel
            return true
        }
        guard isTaken else { throw NetbootError(.io, "there are too many connections") }
        channel.closeFuture.whenComplete { [self] _ in
            state.withLock { state in
                state.channels[id] = nil
                // Whoever went away needs no more.
                for answer in state.answers.values where answer.channel == id {
                    answer.task.cancel()
                }
            }
        }
    }

    /// Answers a request of a connection; nothing when that has gone.
    func answer(on channel: any Channel, _ body: @escaping @Sendable () async -> Void) {
        let id = ObjectIdentifier(channel)
        state.withLock { state in
            guard state.channels[id] != nil else { return }
            let number = state.answerCount
            state.answerCount += 1
            let task = Task {
                await body()
                finished(number)
            }
            state.answers[number] = (id, task)
        }
    }

    private func finished(_ number: UInt64) {
        state.withLock { $0.answers[number] = nil }
    }

    /// Ends all connections, and returns when nothing is answered any more.
    func end() async {
        let channels = state.withLock { state in
            state.hasEnded = true
            return Array(state.channels.values)
        }
        for channel in channels { try? await channel.close() }
        let answers = state.withLock { state in state.answers.values.map(\.task) }
        for answer in answers { await answer.value }
    }
}

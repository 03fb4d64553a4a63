import Foundation
import Glibc
import Supervision
import Synchronization

/// rowctl-dht, which runs as long as it is wanted: one that ends is started again after a while, and none
/// outlives this process. What was asked of one that ends fails.
///
/// A thread of its own starts it and does all that is done to it, since the kernel ends a child with the
/// thread that started it. Values are looked at there too: while that lasts, the program waits.
final class DHTProgram: Sendable {
    /// How long it may take longer to answer than it was told.
    private static let graceForAnswers = Duration.seconds(2)
    private static let patienceForEnd = Duration.seconds(4)
    private static let pauseMinimum = Duration.milliseconds(200)
    private static let pauseMaximum = Duration.seconds(10)
    private static let steadyAfter = Duration.seconds(60)
    /// Calls under way at once; each has a line of 6 KiB at most waiting.
    private static let callsMaximum = 256

    private struct PendingCall {
        let request: DHTRequest
        let deadline: ContinuousClock.Instant
        let onValue: @Sendable ([UInt8]) -> Void
        let waiter: CheckedContinuation<Result<DHTAnswer, CatalogueError>, Never>
        var isSent = false
    }

    private struct State {
        var calls: [UInt64: PendingCall] = [:]
        var nextID: UInt64 = 1
        var isStopping = false
        var hasEnded = false
        var stopWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let command: [String]
    private let state = Mutex(State())
    /// A pipe: there is something to do.
    private let wakeUps: (reading: CInt, writing: CInt)

    /// Starts it, without waiting for it.
    /// - Parameter command: its path, and arguments.
    init(_ command: [String]) throws(CatalogueError) {
        self.command = command
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw CatalogueError(
                .state, "cannot watch over rowctl-dht: \(String(cString: strerror(errno)))")
        }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        wakeUps = (ends[0], ends[1])
        Thread.detachNewThread { self.supervise() }
    }

    deinit {
        close(wakeUps.reading)
        close(wakeUps.writing)
    }

    /// Asks it something.
    /// - Parameter limit: until when it must answer.
    /// - Parameter onValue: called with each value that comes, on the supervisor's thread.
    /// - Returns: its last answer.
    func call(
        _ request: DHTRequest, within limit: Duration,
        onValue: @escaping @Sendable ([UInt8]) -> Void = { _ in }
    ) async throws(CatalogueError) -> DHTAnswer {
        try await withCheckedContinuation { waiter in
            let refusal = state.withLock { state -> CatalogueError? in
                if state.isStopping { return Self.failure("it was closed") }
                guard state.calls.count < Self.callsMaximum else {
                    return Self.failure("\(Self.callsMaximum) calls are under way already")
                }
                var request = request
                request.id = state.nextID
                state.nextID += 1
                state.calls[request.id] = PendingCall(
                    request: request, deadline: .now + limit + Self.graceForAnswers,
                    onValue: onValue, waiter: waiter)
                return nil
            }
            if let refusal { return waiter.resume(returning: .failure(refusal)) }
            wake()
        }.get()
    }

    /// Ends it, by force after a while, and returns when it has gone.
    func stop() async {
        await withCheckedContinuation { waiter in
            let hasEnded = state.withLock { state in
                state.isStopping = true
                if !state.hasEnded { state.stopWaiters.append(waiter) }
                return state.hasEnded
            }
            if hasEnded { return waiter.resume() }
            wake()
        }
    }

    private func wake() {
        var something: UInt8 = 0
        _ = write(wakeUps.writing, &something, 1)
    }

    private static func failure(_ reason: String) -> CatalogueError {
        CatalogueError(.unreadable, "the DHT cannot be asked: \(reason)")
    }

    // MARK: The supervisor's thread

    private func supervise() {
        var pause = Self.pauseMinimum
        while !state.withLock(\.isStopping) {
            let began = ContinuousClock.now
            let reason = run()
            failCalls(Self.failure(reason)) { _ in true }
            if ContinuousClock.now - began >= Self.steadyAfter { pause = Self.pauseMinimum }
            waitToStartAgain(pause)
            pause = min(pause * 2, Self.pauseMaximum)
        }
        failCalls(Self.failure("it was closed")) { _ in true }
        let waiters = state.withLock { state in
            state.hasEnded = true
            return state.stopWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Runs it once, to its end.
    /// - Returns: how it ended.
    private func run() -> String {
        var child: TiedProcess
        do { child = try TiedProcess(command, hasInput: true) } catch { return error.message }
        var pending: [UInt8] = []
        var lines = LineSplitter()
        var lastWords: [String] = []
        var hasOutput = true
        var killedAt: ContinuousClock.Instant?
        while true {
            var waiting = [
                pollfd(fd: wakeUps.reading, events: Int16(POLLIN), revents: 0),
                pollfd(fd: hasOutput ? child.output : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: child.process, events: Int16(POLLIN), revents: 0),
                pollfd(
                    fd: pending.isEmpty ? -1 : child.writable, events: Int16(POLLOUT), revents: 0),
            ]
            let deadlines = [state.withLock { $0.calls.values.map(\.deadline).min() }, killedAt]
            let limit = deadlines.compactMap(\.self).min().map(Self.milliseconds) ?? -1
            guard poll(&waiting, nfds_t(waiting.count), limit) >= 0 else { continue }
            let now = ContinuousClock.now
            failCalls(Self.failure("it does not answer in time")) { $0.deadline <= now }
            if let time = killedAt, now >= time {
                killedAt = nil
                child.signal(SIGKILL)
            }
            if waiting[0].revents != 0 {
                clearWakeUps()
                if state.withLock(\.isStopping), child.writable >= 0 {
                    child.endInput()
                    pending = []
                    killedAt = now + Self.patienceForEnd
                } else {
                    pending += unsentRequests()
                }
            }
            if !pending.isEmpty {
                guard let count = child.write(pending[...]) else {
                    // It reads no more, and so will end, or must.
                    child.signal(SIGKILL)
                    pending = []
                    continue
                }
                pending.removeFirst(count)
            }
            if waiting[1].revents != 0 {
                let bytes = child.readBytes()
                hasOutput = bytes != nil
                for line in lines.append(bytes ?? []) {
                    if let words = take(line) { lastWords = lastWords.suffix(2) + [words] }
                }
            }
            if waiting[2].revents != 0 {
                while let bytes = child.readBytes(), !bytes.isEmpty {
                    for line in lines.append(bytes) {
                        if let words = take(line) { lastWords = lastWords.suffix(2) + [words] }
                    }
                }
                return (["rowctl-dht ended: \(child.reap().reason)"] + lastWords)
                    .joined(separator: "; ")
            }
        }
    }

    private func unsentRequests() -> [UInt8] {
        let requests = state.withLock { state in
            let unsent = state.calls.values.filter { !$0.isSent }.map(\.request)
            for request in unsent { state.calls[request.id]?.isSent = true }
            return unsent
        }
        return requests.sorted { $0.id < $1.id }.flatMap { request in
            (try? JSONEncoder().encode(request)).map { [UInt8]($0) + [UInt8(ascii: "\n")] } ?? []
        }
    }

    /// - Returns: a line that is no answer, for people.
    private func take(_ line: [UInt8]) -> String? {
        guard let answer = try? JSONDecoder().decode(DHTAnswer.self, from: Data(line)) else {
            var words = LogLines()
            return (words.append(line) + words.finish()).first
        }
        guard let id = answer.id else { return nil }
        if let text = answer.value {
            guard let onValue = state.withLock({ $0.calls[id]?.onValue }),
                let value = Data(base64Encoded: text)
            else { return nil }
            onValue([UInt8](value))
        } else if let call = state.withLock({ $0.calls.removeValue(forKey: id) }) {
            call.waiter.resume(returning: .success(answer))
        }
        return nil
    }

    private func failCalls(_ error: CatalogueError, where isMeant: (PendingCall) -> Bool) {
        let failed = state.withLock { state in
            let failed = state.calls.values.filter(isMeant)
            for call in failed { state.calls[call.request.id] = nil }
            return failed
        }
        for call in failed { call.waiter.resume(returning: .failure(error)) }
    }

    /// Calls that come meanwhile wait for the next one.
    private func waitToStartAgain(_ pause: Duration) {
        let end = ContinuousClock.now + pause
        while !state.withLock(\.isStopping), ContinuousClock.now < end {
            var waiting = pollfd(fd: wakeUps.reading, events: Int16(POLLIN), revents: 0)
            poll(&waiting, 1, Self.milliseconds(end))
            clearWakeUps()
        }
        // So that what came is sent.
        wake()
    }

    private func clearWakeUps() {
        var buffer = [UInt8](repeating: 0, count: 1024)
        _ = read(wakeUps.reading, &buffer, buffer.count)
    }

    /// From now on, rounded up.
    private static func milliseconds(_ time: ContinuousClock.Instant) -> CInt {
        max(0, CInt(clamping: Int64((time - .now) / .milliseconds(1)) + 1))
    }
}

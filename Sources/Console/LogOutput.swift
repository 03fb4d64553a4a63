import Dispatch
import Foundation
import Glibc
package import Logging
import Synchronization

/// Where a log goes. Whoever logs never waits for whoever reads: lines wait in memory, and when there are many,
/// further ones are counted instead.
package final class LogOutput: Sendable {
    private struct State {
        var limit = LogLimit()
        var waiting: [String] = []
        var lost = 0
        var isWriting = false
        var awaitsRemainders = false
        var format: LogFormat
        var level: Logger.Level
    }

    private let descriptor: Int32
    private let isJournal: Bool
    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "log")

    private let waitingMaximum: Int

    /// - Parameter waitingMaximum: lines in memory.
    /// - Parameter variables: of the environment, which say whether it is the journal.
    package init(
        _ descriptor: Int32 = STDERR_FILENO, format: LogFormat = .text,
        level: Logger.Level = .standard, waitingMaximum: Int = 1000,
        variables: [String: String] = ProcessInfo.processInfo.environment
    ) {
        self.descriptor = descriptor
        self.waitingMaximum = waitingMaximum
        isJournal = Self.isJournal(descriptor, variables)
        state = Mutex(State(format: format, level: level))
    }

    /// Whether a descriptor is that of the journal which the service manager said it would be: it may have been
    /// redirected since (`$JOURNAL_STREAM`, systemd.exec(5)).
    static func isJournal(_ descriptor: Int32, _ variables: [String: String]) -> Bool {
        let numbers = variables["JOURNAL_STREAM"]?.split(separator: ":").map { UInt64($0) }
        var status = stat()
        guard let numbers, numbers.count == 2, fstat(descriptor, &status) == 0 else { return false }
        return numbers[0] == UInt64(status.st_dev) && numbers[1] == UInt64(status.st_ino)
    }

    /// Whether programs read it, which expect every line to be of its form.
    package var isForPrograms: Bool { isJournal || state.withLock { $0.format == .json } }

    package var level: Logger.Level { state.withLock(\.level) }

    /// From now on.
    package func set(_ format: LogFormat, _ level: Logger.Level) {
        state.withLock {
            $0.format = format
            $0.level = level
        }
    }

    /// Writes a line soon, unless there were many like it just now.
    package func write(_ line: LogLine) {
        state.withLock { state in
            if state.limit.admits(line, at: Self.now) {
                append(line, &state)
            } else if !state.awaitsRemainders {
                state.awaitsRemainders = true
                tellRemaindersLater()
            }
        }
    }

    private func append(_ line: LogLine, _ state: inout State) {
        guard state.waiting.count < waitingMaximum else {
            state.lost += 1
            return
        }
        state.waiting.append(line.text(state.format, isForJournal: isJournal) + "\n")
        guard !state.isWriting else { return }
        state.isWriting = true
        queue.async { self.writeWaiting() }
    }

    private func tellRemaindersLater() {
        queue.asyncAfter(deadline: .now() + 1) {
            self.state.withLock { state in
                for remainder in state.limit.remainders(at: Self.now) {
                    let last = remainder.last
                    self.append(
                        LogLine(
                            level: last.level,
                            message: "\(remainder.count) more like it: \(last.message)",
                            metadata: last.metadata), &state)
                }
                state.awaitsRemainders = state.limit.hasRemainders
                if state.awaitsRemainders { self.tellRemaindersLater() }
            }
        }
    }

    /// Waits until everything is written, for a moment at most: whoever reads it may have stopped.
    package func flush() {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        _ = done.wait(timeout: .now() + 1)
    }

    private func writeWaiting() {
        while true {
            let text = state.withLock { state -> String? in
                if state.lost > 0, state.waiting.count < waitingMaximum {
                    let line = LogLine(
                        level: .warning,
                        message: "\(state.lost) messages are missing here: they are read slowly")
                    state.waiting.append(line.text(state.format, isForJournal: isJournal) + "\n")
                    state.lost = 0
                }
                state.isWriting = !state.waiting.isEmpty
                defer { state.waiting = [] }
                return state.isWriting ? state.waiting.joined() : nil
            }
            guard let text else { return }
            writeAll(Array(text.utf8), to: descriptor)
        }
    }

    private static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// Writes everything, unless nobody can read it.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            rest = rest.dropFirst(count)
        } else if errno == EAGAIN {
            var place = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&place, 1, -1)
        } else if errno != EINTR {
            return
        }
    }
}

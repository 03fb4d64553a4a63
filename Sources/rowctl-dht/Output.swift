import Foundation
import Glibc
import Synchronization

/// Standard output, written by a thread of its own: callbacks of the library never wait for it.
final class Output: Sendable {
    /// Bytes that wait to be written. Values beyond it are dropped, and counted by whoever sent them.
    private static let valueBytesMaximum = 24 << 20

    private struct State {
        var lines: [Data] = []
        var bytes = 0
    }

    private let state = Mutex(State())
    private let available = DispatchSemaphore(value: 0)

    init() {
        Thread.detachNewThread { [self] in
            while true {
                available.wait()
                let lines = state.withLock { state in
                    let lines = state.lines
                    state = State()
                    return lines
                }
                for line in lines { write(line) }
            }
        }
    }

    /// - Returns: false for a value that there is no room for. Other answers are always passed on; there are as
    ///   many as requests.
    @discardableResult
    func send(_ answer: Answer) -> Bool {
        guard var line = try? JSONEncoder().encode(answer) else { return false }
        line.append(UInt8(ascii: "\n"))
        let isTaken = state.withLock { state in
            guard answer.value == nil || state.bytes + line.count <= Self.valueBytesMaximum else {
                return false
            }
            state.lines.append(line)
            state.bytes += line.count
            return true
        }
        if isTaken { available.signal() }
        return isTaken
    }

    private func write(_ line: Data) {
        line.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let count = Glibc.write(
                    STDOUT_FILENO, buffer.baseAddress! + offset, buffer.count - offset)
                if count < 0, errno == EINTR { continue }
                // Nobody reads any more.
                if count <= 0 { _exit(EXIT_FAILURE) }
                offset += count
            }
        }
    }
}

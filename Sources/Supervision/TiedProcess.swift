import CLinux
import Glibc

/// A program that this thread has started and that does not outlive it, whose output comes in lines.
package struct TiedProcess: ~Copyable {
    private let id: pid_t
    /// To be polled: readable when there is output, or no more of it.
    package let output: CInt
    /// To be polled: readable when it has ended.
    package let process: CInt
    /// To be written to, without waiting; -1 for a program that reads nothing.
    private var input: CInt = -1
    private var lines = LogLines()
    private var isReaped = false

    /// Starts a program.
    /// - Parameter command: a path, and arguments.
    /// - Parameter hasInput: whether it reads what is written to it; nothing otherwise.
    package init(_ command: [String], hasInput: Bool = false) throws(SpawnError) {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        // In English, because what it says is read.
        let environment = ["PATH=\(path)", "LC_ALL=C"]
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var (input, output, process): (CInt, CInt, CInt) = (-1, -1, -1)
        if hasInput {
            id = clinux_spawn_tied(
                command[0], &arguments, &variables, &input, &output, &process)
        } else {
            id = clinux_spawn_tied(command[0], &arguments, &variables, nil, &output, &process)
        }
        guard id > 0 else {
            throw SpawnError(
                message: "cannot start \(command[0]): \(String(cString: strerror(-id)))")
        }
        (self.input, self.output, self.process) = (input, output, process)
        _ = fcntl(output, F_SETFL, O_NONBLOCK)
        if hasInput { _ = fcntl(input, F_SETFL, O_NONBLOCK) }
    }

    deinit {
        if !isReaped {
            kill(id, SIGKILL)
            var status: CInt = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
        }
        if input >= 0 { close(input) }
        close(output)
        close(process)
    }

    /// To be polled: writable when ``write(_:)`` takes more; -1 when there is no more input.
    package var writable: CInt { input }

    /// Gives it input, as much as it takes now.
    /// - Returns: how many bytes that was; nil when it reads no more.
    package func write(_ bytes: ArraySlice<UInt8>) -> Int? {
        // On a socket, because a pipe that nobody reads would send a signal to this process.
        let count = bytes.withUnsafeBytes {
            send(input, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
        }
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : nil
    }

    /// Tells it that there is no more input.
    package mutating func endInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Nobody else's: it keeps its number until ``reap()``.
    package func signal(_ number: CInt) { kill(id, number) }

    /// What it has said since.
    /// - Returns: nil for no more output, ever.
    package mutating func readLines() -> [String]? {
        readBytes().map { lines.append($0) }
    }

    /// The same, as it comes.
    package func readBytes() -> ArraySlice<UInt8>? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = read(output, &buffer, buffer.count)
        return count == 0 ? nil : buffer[..<max(0, count)]
    }

    /// Takes note of its end, which must have come.
    /// - Returns: the last it said, and how it ended.
    package mutating func reap() -> (lines: [String], reason: String) {
        var rest: [String] = []
        while let lines = readLines(), !lines.isEmpty { rest += lines }
        rest += lines.finish()
        var status: CInt = 0
        while waitpid(id, &status, 0) < 0, errno == EINTR {}
        isReaped = true
        let signal = status & 0x7f
        return (
            rest,
            signal == 0
                ? "it exited with code \(status >> 8 & 0xff)" : "it was ended by signal \(signal)"
        )
    }
}

/// A program that cannot be started: which, and why.
package struct SpawnError: Error {
    package let message: String
}

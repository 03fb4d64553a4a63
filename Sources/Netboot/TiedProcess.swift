import CLinux
import Glibc

/// A program that this thread has started and that does not outlive it, whose output comes in lines.
struct TiedProcess: ~Copyable {
    private let id: pid_t
    /// To be polled: readable when there is output, or no more of it.
    let output: CInt
    /// To be polled: readable when it has ended.
    let process: CInt
    private var lines = LogLines()
    private var isReaped = false

    /// Starts a program.
    /// - Parameter command: a path, and arguments.
    init(_ command: [String]) throws(NetbootError) {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        // In English, because what it says is read.
        let environment = ["PATH=\(path)", "LC_ALL=C"]
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var (output, process): (CInt, CInt) = (-1, -1)
        id = clinux_spawn_tied(command[0], &arguments, &variables, &output, &process)
        guard id > 0 else {
            throw NetbootError(
                .io, "cannot start \(command[0]): \(String(cString: strerror(-id)))")
        }
        (self.output, self.process) = (output, process)
        _ = fcntl(output, F_SETFL, O_NONBLOCK)
    }

    deinit {
        if !isReaped {
            kill(id, SIGKILL)
            var status: CInt = 0
            while waitpid(id, &status, 0) < 0, errno == EINTR {}
        }
        close(output)
        close(process)
    }

    /// Nobody else's: it keeps its number until ``reap()``.
    func signal(_ number: CInt) { kill(id, number) }

    /// What it has said since.
    /// - Returns: nil for no more output, ever.
    mutating func readLines() -> [String]? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = read(output, &buffer, buffer.count)
        if count == 0 { return nil }
        return count < 0 ? [] : lines.append(buffer[..<count])
    }

    /// Takes note of its end, which must have come.
    /// - Returns: the last it said, and how it ended.
    mutating func reap() -> (lines: [String], reason: String) {
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

/// Cuts output into lines, of which none is long or moves a terminal's cursor.
struct LogLines {
    static let bytesMaximum = 1024
    private var unfinished: [UInt8] = []

    /// - Returns: the lines that are complete now.
    mutating func append(_ bytes: some Sequence<UInt8>) -> [String] {
        var complete: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                complete += finish()
            } else if unfinished.count < Self.bytesMaximum {
                unfinished.append(byte)
            }
        }
        return complete
    }

    /// - Returns: what came without an end, if anything.
    mutating func finish() -> [String] {
        defer { unfinished = [] }
        guard !unfinished.isEmpty else { return [] }
        let scalars = String(decoding: unfinished, as: UTF8.self).unicodeScalars.map {
            $0.properties.generalCategory == .control ? "?" : $0
        }
        return [String(String.UnicodeScalarView(scalars))]
    }
}

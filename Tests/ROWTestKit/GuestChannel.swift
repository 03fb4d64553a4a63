import Foundation
import Glibc

/// The line protocol between a guest script's `host` function and the commands of a test, on the
/// two named pipes of `guest-run --host-pipe`.
final class GuestChannel: Sendable {
    private let requests: Int32
    private let answers: Int32
    private let commands: [String: Guest.HostCommand]

    init(path: String, commands: [String: Guest.HostCommand]) throws {
        self.commands = commands
        var ends: [Int32] = []
        for name in ["\(path).out", "\(path).in"] {
            // Opened for both directions, so that neither side waits for the other to open.
            guard mkfifo(name, 0o600) == 0 else { throw POSIXError(.EIO) }
            ends.append(open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC))
        }
        requests = ends[0]
        answers = ends[1]
        guard requests >= 0, answers >= 0 else { throw POSIXError(.EIO) }
    }

    deinit {
        close(requests)
        close(answers)
    }

    /// Answers commands until the task is cancelled.
    func serve() async throws {
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while !Task.isCancelled {
            let count = read(requests, &chunk, chunk.count)
            guard count > 0 else {
                try await Task.sleep(for: .milliseconds(5))
                continue
            }
            pending += chunk[..<count]
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: pending[..<end], as: UTF8.self)
                pending.removeSubrange(...end)
                try await answer(line.split(separator: " ").map(String.init))
            }
        }
    }

    private func answer(_ words: [String]) async throws {
        guard let name = words.first else { return }
        guard let command = commands[name] else {
            return try await send("= the test has no command '\(name)'\nok 127\n")
        }
        var text: String
        var code = 0
        do {
            text = try await command(Array(words.dropFirst()))
        } catch {
            text = "\(error)"
            code = 1
        }
        if text.last == "\n" { text.removeLast() }
        let lines =
            text.isEmpty ? [] : text.split(separator: "\n", omittingEmptySubsequences: false)
        try await send(lines.map { "= \($0)\n" }.joined() + "ok \(code)\n")
    }

    private func send(_ text: String) async throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(answers, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}

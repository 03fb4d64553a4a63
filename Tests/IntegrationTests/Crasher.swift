import Foundation
import ROWTestKit

/// Kills what serves a writer, again and again, at moments that the writer's log and a random number
/// choose; each time it is started again at once.
struct Crasher {
    /// Something to kill, and how it comes back.
    struct Victim: Sendable {
        let kill: @Sendable () async throws -> Void
        let restart: @Sendable () async throws -> Void

        static func rowctl(_ process: RowctlProcess) -> Victim {
            Victim(kill: process.kill, restart: process.restart)
        }

        static func ganesha(_ server: Ganesha) -> Victim {
            Victim(kill: server.kill, restart: server.restart)
        }

        /// All at once; they come back one after the other, servers before what needs them.
        static func all(_ victims: [Victim]) -> Victim {
            Victim(
                kill: { for victim in victims { try await victim.kill() } },
                restart: { for victim in victims { try await victim.restart() } })
        }
    }

    /// The writer said so.
    struct WriterFailed: Error, CustomStringConvertible {
        let description: String
    }

    /// One of them at a time.
    let victims: [Victim]
    let kills: Int
    var generator: Seed.Generator

    private static let linesBetween = 0...150
    private static let spinsMaximum = 1_000_000

    /// Returns when all the kills are made and the writer has gone on after the last one.
    /// - Parameter writer: whose standard output is the log.
    mutating func run(against writer: ChildProcess) async throws {
        var log = try LogFollower(writer)
        try await log.advance(by: 1)
        for _ in 0..<kills {
            // Again in the middle of the recovery, too: before the writer gets on.
            let isHasty = Int.random(in: 0..<8, using: &generator) == 0
            if !isHasty {
                try await log.advance(by: Int.random(in: Self.linesBetween, using: &generator))
            }
            spin(Int.random(in: 0...Self.spinsMaximum, using: &generator))
            let victim = victims[Int.random(in: victims.indices, using: &generator)]
            try await victim.kill()
            try await victim.restart()
        }
        try await log.advance(by: Self.linesBetween.upperBound)
    }

    /// Some time below what a sleep can do.
    private func spin(_ count: Int) {
        var value = UInt64(count)
        for _ in 0..<count { value = value &* 6_364_136_223_846_793_005 &+ 1 }
        withExtendedLifetime(value) {}
    }
}

/// Counts the lines of a log that grows.
private struct LogFollower {
    private let writer: ChildProcess
    private let file: FileHandle
    private var lines = 0
    private var lastBytes = Data()

    init(_ writer: ChildProcess) throws {
        self.writer = writer
        file = try FileHandle(forReadingFrom: URL(fileURLWithPath: writer.outputPath))
    }

    /// Waits for so many lines more.
    mutating func advance(by count: Int) async throws {
        try look()
        let wanted = lines + count
        while lines < wanted {
            let isRunning = writer.isRunning
            try await progress()
            if !isRunning && lines < wanted {
                throw Crasher.WriterFailed(description: "it has ended: \(tail) \(writer.errors)")
            }
        }
    }

    private mutating func progress() async throws {
        let before = lines
        _ = try await poll(for: "line of the writer after '\(tail)'", within: .seconds(120)) {
            try look()
            return lines > before || !writer.isRunning ? true : nil
        }
    }

    private mutating func look() throws {
        guard let data = try file.readToEnd(), !data.isEmpty else { return }
        lines += data.count { $0 == UInt8(ascii: "\n") }
        lastBytes = (lastBytes + data).suffix(4096)
        if lastBytes.range(of: Data(" FAILED ".utf8)) != nil {
            throw Crasher.WriterFailed(description: tail)
        }
    }

    private var tail: String {
        String(decoding: lastBytes.suffix(300), as: UTF8.self)
    }
}

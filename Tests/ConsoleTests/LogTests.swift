import Foundation
import Glibc
import Logging
import ROWTestKit
import Testing

@testable import Console

/// Lines of a log: their form, and how many there are.
@Suite struct LogTests {
    /// What a client may call a file.
    private static let hostile =
        "a\nb\r\u{1b}[2J\u{85}\u{2028}\u{202e} level=error \"session\"=x \\ \u{e0041}é"

    private func line(_ message: String, _ metadata: [String: String] = [:]) -> LogLine {
        LogLine(time: 1_700_000_000.25, level: .warning, message: message, metadata: metadata)
    }

    @Test func aLineForPeopleHasTimeLevelMessageAndKeys() {
        let text = line("not served now", ["session": "alice", "error": "no such host"])
            .text(.text, isForJournal: false)
        #expect(
            text
                == "2023-11-14T22:13:20.250Z warning not served now error=\"no such host\" session=alice"
        )
    }

    @Test func theJournalGetsThePriorityAndNoTime() {
        let levels: [(Logger.Level, Int)] = [
            (.trace, 7), (.debug, 7), (.info, 6), (.notice, 5), (.warning, 4), (.error, 3),
            (.critical, 2),
        ]
        for (level, severity) in levels {
            let line = LogLine(level: level, message: "m", metadata: ["image": "golden"])
            #expect(line.text(.text, isForJournal: true) == "<\(severity)>m image=golden")
            #expect(line.text(.json, isForJournal: true).hasPrefix("<\(severity)>{\"time\":\""))
        }
    }

    @Test func whatOthersChooseMakesNeitherLinesNorKeys() throws {
        let line = line("refused '\(Self.hostile)'", ["session": Self.hostile])
        for format in LogFormat.allCases {
            let text = line.text(format, isForJournal: false)
            #expect(!text.unicodeScalars.contains { $0.isUnfitToShow }, "\(text)")
        }
        // Keys stand outside of quotes, and there are only ours.
        let text = line.text(.text, isForJournal: false)
        let outside = text.replacing(/"(\\.|[^"\\])*"/, with: "")
        #expect(outside == "2023-11-14T22:13:20.250Z warning  session=")
    }

    @Test func aLineForProgramsIsAnObjectThatHasAllAsItWas() throws {
        let text = line(Self.hostile, ["session": Self.hostile, "image": ""])
            .text(.json, isForJournal: false)
        let object = try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
        #expect(
            object == [
                "time": "2023-11-14T22:13:20.250Z", "level": "warning", "message": Self.hostile,
                "session": Self.hostile, "image": "",
            ])
    }

    @Test func longMessagesAreCut() throws {
        let text = line(String(repeating: "\n", count: 1 << 20)).text(.json, isForJournal: false)
        #expect(text.utf8.count < 5000)
        _ = try JSONDecoder().decode([String: String].self, from: Data(text.utf8))
    }

    // MARK: How many

    @Test func ofAKindAFewAreWrittenInASecondAndTheRestIsCounted() {
        var limit = LogLimit()
        let written = (0..<1000).filter { limit.admits(line("refused 192.0.2.\($0): no"), at: 0.5) }
        #expect(written.count == LogLimit.ofKindMaximum)
        // Another kind, and another session, are not concerned.
        let others = [line("commit failed"), line("refused 192.0.2.1: no", ["session": "bob"])]
        for other in others {
            let isWritten = limit.admits(other, at: 0.6)
            #expect(isWritten)
        }
        let early = limit.remainders(at: 1)
        #expect(early.isEmpty)
        #expect(limit.hasRemainders)
        let remainders = limit.remainders(at: 1.5)
        #expect(remainders.map(\.count) == [1000 - LogLimit.ofKindMaximum])
        #expect(remainders.first?.last.message == "refused 192.0.2.999: no")
        #expect(!limit.hasRemainders)
    }

    @Test func whatGoesOnIsWrittenLessAndLess() {
        var limit = LogLimit()
        var written = 0
        // Fifty a second, for an hour, which is looked at each second.
        for second in 0..<3600 {
            for _ in 0..<50 where limit.admits(line("x 1"), at: Double(second)) { written += 1 }
            written += limit.remainders(at: Double(second) + 0.99).count
        }
        #expect(written > 200 && written < 500, "\(written)")
        // Once it has stopped it is as at first.
        _ = limit.remainders(at: 5000)
        _ = limit.remainders(at: 6000)
        let isWritten = limit.admits(line("x 1"), at: 7000)
        #expect(isWritten)
        #expect(!limit.hasRemainders)
    }

    @Test func manyKindsOfOneSubjectAreLimitedTogether() {
        var limit = LogLimit()
        let written = (0..<100_000).filter { number in
            let word = String(number, radix: 36).filter(\.isLetter)
            return limit.admits(line("x \(word) \(number)", ["session": "s"]), at: 0)
        }
        #expect(written.count == LogLimit.ofSubjectMaximum)
    }

    // MARK: Where it goes

    @Test func theJournalIsKnownByDeviceAndInode() throws {
        var (ends, status): ([Int32], stat) = ([-1, -1], stat())
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        fstat(ends[1], &status)
        let place = "\(status.st_dev):\(status.st_ino)"
        #expect(LogOutput.isJournal(ends[1], ["JOURNAL_STREAM": place]))
        for other in ["\(status.st_dev):\(status.st_ino + 1)", "", "1", "1:2:3", "\(place)x"] {
            #expect(!LogOutput.isJournal(ends[1], ["JOURNAL_STREAM": other]), "\(other)")
        }
        #expect(!LogOutput.isJournal(ends[1], [:]))
    }

    @Test func whoeverLogsDoesNotWaitForWhoeverReads() throws {
        var ends: [Int32] = [-1, -1]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let output = LogOutput(ends[1], waitingMaximum: 50, variables: [:])
        // Far more than a pipe holds, of many subjects: none of them is limited.
        let long = String(repeating: "y", count: 1000)
        for number in 0..<200 {
            output.write(LogLine(level: .error, message: long, metadata: ["session": "\(number)"]))
        }
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !text.contains("missing here") {
            let count = read(ends[0], &buffer, buffer.count)
            try #require(count > 0)
            text += String(decoding: buffer[0..<count], as: UTF8.self)
        }
        let lines = text.split(separator: "\n").count
        // At least what may wait; more when some went into the pipe at once.
        #expect((50..<200).contains(lines), "\(lines)")
    }

    @Test func levelsAndKeysOfALoggerAreWritten() throws {
        let folder = try TemporaryDirectory("rowfs-log")
        let path = folder.path("log")
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        defer { close(descriptor) }
        let output = LogOutput(descriptor, format: .json, level: .notice, variables: [:])
        var log = Logger(label: "x") { _ in LineLogHandler(output) }
        log[metadataKey: "image"] = "golden"
        log.info("not written")
        log.notice("written", metadata: ["session": "alice"])
        output.set(.text, .info)
        log.info("written now")
        output.flush()
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        try #require(lines.count == 2)
        #expect(lines[0].hasSuffix(#""message":"written","image":"golden","session":"alice"}"#))
        #expect(lines[1].hasSuffix(" info written now image=golden"))
    }
}

/// How much of what comes again and again is written: a few messages of a kind, and some more of a subject, in
/// a stretch of time. A stretch in which there were too many is followed by one of twice the length, so that
/// what a client brings about with each of its calls does not fill a disk.
///
/// A value: it is told the time, in seconds.
struct LogLimit {
    /// What was not written of a stretch.
    struct Remainder {
        let count: Int
        /// The last of them.
        let last: LogLine
    }

    private struct Stretch {
        var end: Double
        var seconds: Double
        var written = 0
        var remainder: Remainder?
    }

    private enum Key: Hashable {
        case kind(String)
        /// What has no place of its own any more.
        case otherKinds
        case subject(String)

        var countMaximum: Int {
            if case .subject = self { LogLimit.ofSubjectMaximum } else { LogLimit.ofKindMaximum }
        }
    }

    static let ofKindMaximum = 5
    static let ofSubjectMaximum = 20
    private static let secondsMaximum = 64.0
    private static let stretchesMaximum = 512
    private var stretches: [Key: Stretch] = [:]
    /// When those that are over are looked for next.
    private var cleaning = 0.0

    /// Whether there is something to tell when stretches end.
    var hasRemainders: Bool { stretches.values.contains { $0.remainder != nil } }

    /// Whether a line is to be written now.
    mutating func admits(_ line: LogLine, at now: Double) -> Bool {
        let subject = [line.metadata["image"], line.metadata["session"]].map { $0 ?? "" }
            .joined(separator: " ")
        var kind = Key.kind("\(line.level) \(subject) \(Self.kind(of: line.message))")
        if stretches.count >= Self.stretchesMaximum, now >= cleaning {
            cleaning = now + 1
            stretches = stretches.filter { now < $0.value.end || $0.value.remainder != nil }
        }
        if stretches[kind] == nil, stretches.count >= Self.stretchesMaximum { kind = .otherKinds }
        // What is too much of a kind does not count against the rest of the subject.
        return takes(line, kind, at: now) && takes(line, .subject(subject), at: now)
    }

    private mutating func takes(_ line: LogLine, _ key: Key, at now: Double) -> Bool {
        var stretch = stretches[key] ?? Stretch(end: now + 1, seconds: 1)
        // What it left untold is told by whoever asks for remainders.
        if now >= stretch.end, stretch.remainder == nil {
            stretch = Stretch(end: now + 1, seconds: 1)
        }
        defer { stretches[key] = stretch }
        guard stretch.written >= key.countMaximum else {
            stretch.written += 1
            return true
        }
        stretch.remainder = Remainder(count: (stretch.remainder?.count ?? 0) + 1, last: line)
        return false
    }

    /// Ends the stretches that are over.
    /// - Returns: what was not written in them.
    mutating func remainders(at now: Double) -> [Remainder] {
        var found: [Remainder] = []
        for (key, stretch) in stretches where now >= stretch.end {
            guard let remainder = stretch.remainder else {
                stretches[key] = nil
                continue
            }
            found.append(remainder)
            let seconds = min(stretch.seconds * 2, Self.secondsMaximum)
            stretches[key] = Stretch(end: now + seconds, seconds: seconds)
        }
        return found.sorted { $0.last.time < $1.last.time }
    }

    /// A message without what is likely to differ between two of a kind: numbers, addresses and paths.
    static func kind(of message: String) -> String {
        let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        return message.split(separator: " ").filter { word in
            !word.utf8.contains { $0 == UInt8(ascii: "/") || isDigit($0) || $0 > 127 }
        }.prefix(32).joined(separator: " ")
    }
}

import Foundation
package import Logging

/// One message of a log. Nothing in it, whoever chose it, makes a second line, looks like another key, or moves
/// a terminal's cursor.
package struct LogLine: Sendable {
    /// Seconds since 1970.
    let time: Double
    let level: Logger.Level
    let message: String
    /// What it is about, by key.
    let metadata: [String: String]

    package init(
        time: Double = Date().timeIntervalSince1970, level: Logger.Level, message: String,
        metadata: [String: String] = [:]
    ) {
        self.time = time
        self.level = level
        self.message = message
        self.metadata = metadata
    }

    private static let bytesMaximum = 4096

    /// Without its end.
    /// - Parameter isForJournal: it has the priority in front that sd-daemon(3) describes, and the journal
    ///   knows the time.
    package func text(_ format: LogFormat, isForJournal: Bool) -> String {
        let priority = isForJournal ? "<\(level.severity)>" : ""
        switch format {
        case .json: return priority + json
        case .text:
            let start = isForJournal ? "" : "\(timeText) \(level.rawValue) "
            let values = metadata.sorted { $0.key < $1.key }
                .map { " \($0.key)=\(Self.isPlain($0.value) ? $0.value : Self.quoted($0.value))" }
            return priority + start + messageText + values.joined()
        }
    }

    private var json: String {
        let fixed = [("time", timeText), ("level", level.rawValue), ("message", message)]
        let fields = fixed + metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        return "{" + fields.map { "\"\($0.0)\":\(Self.quoted($0.1))" }.joined(separator: ",") + "}"
    }

    private var timeText: String {
        Date(timeIntervalSince1970: time)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// As it is, unless it could be taken for a key with its value.
    private var messageText: String {
        let isClear =
            message.utf8.count <= Self.bytesMaximum
            && message.unicodeScalars.allSatisfy { $0 != "=" && $0 != "\"" && !$0.isUnfitToShow }
        return isClear ? message : Self.quoted(message)
    }

    private static func isPlain(_ value: String) -> Bool {
        !value.isEmpty && value.utf8.count <= bytesMaximum
            && value.unicodeScalars.allSatisfy {
                $0 != "=" && $0 != "\"" && $0 != "\\" && !$0.properties.isWhitespace
                    && !$0.isUnfitToShow
            }
    }

    /// As a string of JSON (RFC 8259 §7), cut when it is very long.
    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            if text.utf8.count > bytesMaximum {
                text += "..."
                break
            }
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.isUnfitToShow:
                for unit in UTF16.encode(scalar) ?? .init() {
                    let digits = String(unit, radix: 16)
                    text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}

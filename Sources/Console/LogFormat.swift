package import Logging

/// How lines of a log are written.
package enum LogFormat: String, CaseIterable, Sendable {
    /// For people: `TIME LEVEL MESSAGE KEY=VALUE ...`.
    case text
    /// One object in each line: `time` (RFC 3339, UTC), `level`, `message`, and what it is about.
    case json
}

extension Logger.Level {
    /// What is written where nobody says anything.
    package static let standard = Logger.Level.notice

    /// By name, those that can be chosen.
    package static let offered = ["debug", "info", "notice", "warning", "error"]

    /// That of syslog (RFC 5424 §6.2.1).
    var severity: Int {
        switch self {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }
}

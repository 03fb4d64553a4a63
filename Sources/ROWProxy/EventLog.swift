import Foundation

extension Proxy {
    /// Something that operators should know.
    public struct Event: Sendable {
        public enum Level: Sendable {
            /// As it should be.
            case notice
            /// Something is wrong, though perhaps not for long.
            case warning
        }

        public let level: Level
        /// Nil: it is about the image.
        public let session: String?
        /// Names that others chose are in it as they are.
        public let message: String
    }
}

/// The last events of an image or a session, for operators.
///
/// Loop-confined.
final class EventLog {
    private var events: [SessionStatus.Event] = []
    private let session: String?
    private let onEvent: @Sendable (Proxy.Event) -> Void
    private static let countMaximum = 100

    /// - Parameter onEvent: told of each; must not block.
    init(session: String?, onEvent: @escaping @Sendable (Proxy.Event) -> Void) {
        self.session = session
        self.onEvent = onEvent
    }

    /// Adds an event. One that only repeats the last moves it to now.
    func add(_ message: String, _ level: Proxy.Event.Level = .warning) {
        onEvent(Proxy.Event(level: level, session: session, message: message))
        if events.last?.message == message { events.removeLast() }
        if events.count >= Self.countMaximum { events.removeFirst(Self.countMaximum / 2) }
        events.append(
            SessionStatus.Event(time: Date().timeIntervalSince1970, message: message))
    }

    var all: [SessionStatus.Event] { events }
}

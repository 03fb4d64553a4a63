import Console
import Foundation
import Glibc
import ROWProxy
import Synchronization

/// Shows a session on the whole terminal until 'q' or a signal.
enum Watch {
    /// What is waited for, in the order in which it came; told by a pipe, so that keys can be waited for with it.
    private final class News: Sendable {
        enum Event {
            case signal(Int32)
            case status(Result<SessionStatus, any Error>)
        }

        let descriptor: Int32
        private let writing: Int32
        private let events = Mutex<[Event]>([])

        init() throws {
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else {
                throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EMFILE)
            }
            (descriptor, writing) = (ends[0], ends[1])
        }

        func add(_ event: Event) {
            events.withLock { $0.append(event) }
            var byte: UInt8 = 0
            _ = write(writing, &byte, 1)
        }

        /// Once the descriptor can be read.
        func take() -> Event? {
            var byte: UInt8 = 0
            guard read(descriptor, &byte, 1) == 1 else { return nil }
            return events.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        }
    }

    private static let ends = [SIGINT, SIGTERM, SIGHUP]

    /// - Parameter status: tells how the session is; it may take seconds.
    static func run(
        interval: Double, _ abilities: TerminalAbilities,
        status: @escaping @Sendable () throws -> SessionStatus
    ) throws {
        let news = try News()
        let signals = (ends + [SIGWINCH, SIGTSTP]).map { number in
            Signals([number]) { news.add(.signal(number)) }
        }
        defer { withExtendedLifetime(signals) {} }
        let screen = TerminalScreen(hasColors: abilities.hasColors)
        screen.enter()
        defer { screen.leave() }
        Thread.detachNewThread {
            while true {
                let result = Result { try status() }
                news.add(.status(result))
                guard case .success = result else { return }
                Thread.sleep(forTimeInterval: interval)
            }
        }
        var looks: [SessionScreen.Look] = []
        while let event = next(news) {
            switch event {
            case .status(let result):
                looks.append(SessionScreen.Look(time: now, status: try result.get()))
                looks = looks.suffix(SessionScreen.looksMaximum)
            case .signal(SIGWINCH): break
            case .signal(SIGTSTP):
                screen.leave()
                raise(SIGSTOP)
                screen.enter()
            case .signal(let number):
                screen.leave()
                die(of: number)
            }
            screen.draw(SessionScreen.lines(looks, screen.size, isUnicode: abilities.hasUnicode))
        }
    }

    /// - Returns: nil when 'q' was pressed.
    private static func next(_ news: News) -> News.Event? {
        var places = [
            pollfd(fd: news.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
        ]
        // What is no terminal has no keys.
        if isatty(STDIN_FILENO) == 0 { places[1].fd = -1 }
        while true {
            guard poll(&places, nfds_t(places.count), -1) >= 0 || errno == EINTR else { return nil }
            if places[1].revents != 0 {
                var key: UInt8 = 0
                // The terminal is gone, or so.
                guard read(STDIN_FILENO, &key, 1) == 1 else { return nil }
                if key == UInt8(ascii: "q") || key == UInt8(ascii: "Q") { return nil }
            }
            if places[0].revents != 0, let event = news.take() { return event }
        }
    }

    private static var now: Double { ProcessInfo.processInfo.systemUptime }

    /// So that whoever started this sees that a signal ended it.
    private static func die(of number: Int32) -> Never {
        signal(number, SIG_DFL)
        // This thread blocks signals, as all of Dispatch's do; another takes it.
        kill(getpid(), number)
        sleep(1)
        exit(128 + number)
    }
}

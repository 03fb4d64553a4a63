import Foundation
import Glibc
import Synchronization

/// Shows on a terminal, in one line of standard error, how far something is; nothing elsewhere. The line is
/// cleared at the end: what it came to is said on standard output.
package final class ProgressMeter: Sendable {
    private struct State {
        /// Moments and how much was done then, of the last seconds.
        var samples: [(time: ContinuousClock.Instant, done: UInt64)] = []
        var drawn: ContinuousClock.Instant?
    }

    private let descriptor: Int32
    private let isShown: Bool
    private let unit: @Sendable (UInt64) -> String
    private let state = Mutex(State())

    private static let interval = Duration.milliseconds(200)
    private static let rateSpan = Duration.seconds(10)

    /// - Parameter unit: makes text of an amount; bytes where nothing else is said.
    package init(
        _ descriptor: Int32 = STDERR_FILENO,
        unit: @escaping @Sendable (UInt64) -> String = { byteText(Int(clamping: $0)) }
    ) {
        self.descriptor = descriptor
        self.unit = unit
        isShown =
            isatty(descriptor) == 1
            && TerminalAbilities(ProcessInfo.processInfo.environment).hasCursor
    }

    /// Draws it, some times a second at most.
    package func show(_ progress: ProgressState) {
        guard isShown else { return }
        state.withLock { state in
            let now = ContinuousClock.now
            if let drawn = state.drawn, now - drawn < Self.interval { return }
            state.drawn = now
            state.samples.removeAll {
                now - $0.time > Self.rateSpan || $0.done > progress.done
            }
            state.samples.append((now, progress.done))
            write(
                "\r"
                    + ProgressBar.line(
                        progress, rate: Self.rate(state.samples),
                        columns: TerminalSize(of: descriptor).columns, unit: unit)
                    + "\u{1b}[K")
        }
    }

    private static func rate(
        _ samples: [(time: ContinuousClock.Instant, done: UInt64)]
    ) -> Double? {
        guard let first = samples.first, let last = samples.last, last.time > first.time else {
            return nil
        }
        return Double(last.done - first.done) / ((last.time - first.time) / .seconds(1))
    }

    /// Clears the line. It is drawn again when there is more to show.
    package func end() {
        state.withLock { state in
            guard state.drawn != nil else { return }
            state.drawn = nil
            write("\r\u{1b}[K")
        }
    }

    private func write(_ text: String) { writeAll(Array(text.utf8), to: descriptor) }
}

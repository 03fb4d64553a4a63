import Foundation
import Glibc

/// The whole window of a terminal, as long as it is used; what was there before comes back.
package final class TerminalScreen {
    private let input: Int32
    private let output: Int32
    private let hasColors: Bool
    /// Of the terminal as it was; nil while it is, or where nothing is typed.
    private var modes: termios?
    private var isEntered = false

    package init(
        input: Int32 = STDIN_FILENO, output: Int32 = STDOUT_FILENO, hasColors: Bool
    ) {
        self.input = input
        self.output = output
        self.hasColors = hasColors
    }

    deinit { leave() }

    package var size: TerminalSize { TerminalSize(of: output) }

    /// Keys are read as they are pressed, and not shown.
    package func enter() {
        guard !isEntered else { return }
        isEntered = true
        var earlier = termios()
        if tcgetattr(input, &earlier) == 0 {
            modes = earlier
            var modes = earlier
            modes.c_lflag &= ~tcflag_t(ICANON | ECHO)
            tcsetattr(input, TCSANOW, &modes)
        }
        // The other screen, no cursor, and long lines cut.
        write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J")
    }

    package func leave() {
        guard isEntered else { return }
        isEntered = false
        if var modes { tcsetattr(input, TCSANOW, &modes) }
        modes = nil
        write("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l")
    }

    /// Puts lines over what is there, all at once, so that nothing flickers.
    package func draw(_ lines: [StyledLine]) {
        let texts = lines.map { $0.rendered(hasColors: hasColors) + "\u{1b}[K" }
        write("\u{1b}[H" + texts.joined(separator: "\r\n") + "\u{1b}[J")
    }

    private func write(_ text: String) { writeAll(Array(text.utf8), to: output) }
}

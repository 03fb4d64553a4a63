/// One line of a screen. What is in it, whoever chose it, neither moves the cursor nor has colors of its own.
package struct StyledLine: Equatable, Sendable {
    package enum Style: Sendable {
        case plain, bold, good, bad
    }

    private struct Span: Equatable {
        var text: String
        let style: Style
    }

    private var spans: [Span] = []

    package init(_ text: String = "", _ style: Style = .plain) { add(text, style) }

    /// - Returns: itself, with more at its end.
    func adding(_ text: String, _ style: Style = .plain) -> StyledLine {
        var line = self
        line.add(text, style)
        return line
    }

    private mutating func add(_ text: String, _ style: Style) {
        if !text.isEmpty { spans.append(Span(text: text.printable, style: style)) }
    }

    /// Without styles.
    package var text: String { spans.map(\.text).joined() }

    /// What fits.
    func prefix(columns: Int) -> StyledLine {
        var (line, left) = (StyledLine(), columns)
        for span in spans where left > 0 {
            let text = span.text.prefix(columns: left)
            line.spans.append(Span(text: text, style: span.style))
            left -= text.columns
        }
        return line
    }

    /// For a terminal (ECMA-48 SGR).
    package func rendered(hasColors: Bool) -> String {
        guard hasColors else { return text }
        return spans.map { span in
            switch span.style {
            case .plain: span.text
            case .bold: "\u{1b}[1m\(span.text)\u{1b}[0m"
            case .good: "\u{1b}[32m\(span.text)\u{1b}[0m"
            case .bad: "\u{1b}[31m\(span.text)\u{1b}[0m"
            }
        }.joined()
    }
}

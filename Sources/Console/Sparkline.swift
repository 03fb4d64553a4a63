/// Numbers as a row of small bars, the last at the right end; the highest fills its cell.
enum Sparkline {
    private static let unicode = Array("▁▂▃▄▅▆▇█")
    private static let ascii = Array("_.-=+*#@")

    static func text(_ values: [Double], columns: Int, isUnicode: Bool) -> String {
        let shown = values.suffix(max(columns, 0))
        let bars = isUnicode ? unicode : ascii
        let highest = shown.max() ?? 0
        let cells = shown.map { value -> Character in
            guard value > 0, highest > 0 else { return " " }
            return bars[min(Int(value / highest * Double(bars.count)), bars.count - 1)]
        }
        return String(repeating: " ", count: max(columns, 0) - shown.count) + String(cells)
    }

    /// A bar of which a share is filled.
    static func bar(share: Double, columns: Int) -> String {
        let filled = Int((min(max(share, 0), 1) * Double(columns)).rounded(.down))
        return "[" + String(repeating: "#", count: filled)
            + String(repeating: "-", count: columns - filled) + "]"
    }
}

import Glibc

/// Rows and columns of a terminal's window.
package struct TerminalSize: Equatable, Sendable {
    package var rows: Int
    package var columns: Int

    package init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
    }

    /// Of the window that a descriptor is, or a usual one where that cannot be told.
    package init(of descriptor: Int32) {
        var size = winsize()
        let isKnown =
            ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_row > 0 && size.ws_col > 0
        self.init(rows: isKnown ? Int(size.ws_row) : 24, columns: isKnown ? Int(size.ws_col) : 80)
    }
}

/// What a terminal can do, as variables say.
package struct TerminalAbilities: Sendable {
    /// It moves its cursor and clears lines.
    package var hasCursor: Bool
    package var hasColors: Bool
    package var hasUnicode: Bool

    package init(_ variables: [String: String]) {
        let name = variables["TERM"] ?? ""
        hasCursor = !name.isEmpty && name != "dumb"
        // no-color.org: whatever its value is, unless that is empty.
        hasColors = hasCursor && (variables["NO_COLOR"] ?? "").isEmpty
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { variables[$0] }.first {
            !$0.isEmpty
        }
        let encoding = (locale ?? "").uppercased()
        hasUnicode = encoding.contains("UTF-8") || encoding.contains("UTF8")
    }
}

extension String {
    /// Columns that it takes up.
    var columns: Int { unicodeScalars.reduce(0) { $0 + $1.columns } }

    /// As much of it as fits.
    func prefix(columns: Int) -> String {
        var left = columns
        let kept = unicodeScalars.prefix { scalar in
            left -= scalar.columns
            return left >= 0
        }
        return String(String.UnicodeScalarView(kept))
    }
}

extension Unicode.Scalar {
    /// East Asian characters that are wide, and pictures (UAX #11, in the large).
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115f, 0x2e80...0x303e, 0x3041...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff,
        0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f900...0x1f9ff,
        0x20000...0x3fffd,
    ]

    fileprivate var columns: Int {
        switch properties.generalCategory {
        case .nonspacingMark, .enclosingMark: 0
        default: Self.wide.contains { $0.contains(value) } ? 2 : 1
        }
    }
}

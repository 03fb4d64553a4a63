import Foundation

/// Rows of text with a heading, in columns as wide as they need to be.
package struct Table {
    package enum Alignment { case left, right }

    private let alignments: [Alignment]
    private var rows: [[String]]

    package init(_ columns: [(heading: String, alignment: Alignment)]) {
        alignments = columns.map(\.alignment)
        rows = [columns.map(\.heading)]
    }

    package mutating func add(_ cells: String...) { add(cells) }

    package mutating func add(_ cells: [String]) {
        precondition(cells.count == alignments.count)
        rows.append(cells)
    }

    package var text: String {
        let widths = alignments.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { cells in
            let padded = cells.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - cells[column].count)
                return alignments[column] == .left
                    ? cells[column] + padding : padding + cells[column]
            }
            let line = padded.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

extension String {
    /// What a terminal cannot show, or would take for a command, is escaped: clients choose names.
    package var printable: String {
        unicodeScalars.map { scalar in
            scalar.isUnfitToShow || scalar == "\\"
                ? scalar.escaped(asASCII: true) : String(scalar)
        }.joined()
    }
}

extension Unicode.Scalar {
    /// It moves a cursor, ends a line somewhere, or changes how what follows is shown.
    var isUnfitToShow: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: false
        }
    }
}

/// A number of bytes for people: three digits or so, in powers of 1024.
package func byteText(_ count: Int) -> String {
    var value = Double(count)
    var unit = 0
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while value >= 1024, unit < units.count - 1 {
        value /= 1024
        unit += 1
    }
    guard unit > 0 else { return "\(count) B" }
    let digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0
    return String(format: "%.\(digits)f \(units[unit])", value)
}

/// What `--json` prints: keys in snake_case and in order, so that outputs can be compared.
package func jsonText(_ value: some Encodable, isPretty: Bool = true) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
    return String(decoding: try encoder.encode(value), as: UTF8.self)
}

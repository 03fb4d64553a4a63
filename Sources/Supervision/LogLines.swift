/// Cuts output into lines, of which none is long or moves a terminal's cursor.
package struct LogLines {
    package static let bytesMaximum = 1024
    private var unfinished: [UInt8] = []

    package init() {}

    /// - Returns: the lines that are complete now.
    package mutating func append(_ bytes: some Sequence<UInt8>) -> [String] {
        var complete: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                complete += finish()
            } else if unfinished.count < Self.bytesMaximum {
                unfinished.append(byte)
            }
        }
        return complete
    }

    /// - Returns: what came without an end, if anything.
    package mutating func finish() -> [String] {
        defer { unfinished = [] }
        guard !unfinished.isEmpty else { return [] }
        let scalars = String(decoding: unfinished, as: UTF8.self).unicodeScalars.map {
            $0.properties.generalCategory == .control ? "?" : $0
        }
        return [String(String.UnicodeScalarView(scalars))]
    }
}

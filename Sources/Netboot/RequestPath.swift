/// The path of a file in an image, as a request names it.
enum RequestPath {
    private static let bytesMaximum = 1024

    /// The path without the slash at its beginning, or nil when the target is not one that names a file: not
    /// absolute, too long, not UTF-8, with a NUL or with a component that is empty or means a directory.
    /// - Parameter target: of a request line (RFC 9112 §3.2.1); a query is ignored.
    static func path(of target: String) -> String? {
        guard target.utf8.first == UInt8(ascii: "/"), target.utf8.count <= bytesMaximum else {
            return nil
        }
        guard let bytes = decoded(target.utf8.dropFirst().prefix { $0 != UInt8(ascii: "?") }),
            !bytes.contains(0), let path = String(validating: bytes, as: UTF8.self)
        else { return nil }
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { !["", ".", ".."].contains($0) } ? path : nil
    }

    /// Without percent-encoding (RFC 3986 §2.1); nil when a percent sign has no two digits behind it.
    private static func decoded(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = digit(rest.next()), let low = digit(rest.next()) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func digit(_ byte: UInt8?) -> UInt8? {
        byte.flatMap { Character(Unicode.Scalar($0)).hexDigitValue }.map(UInt8.init)
    }
}

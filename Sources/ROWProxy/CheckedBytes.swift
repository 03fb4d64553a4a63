import CLinux
import Foundation

/// A small file of whole numbers, each in as few bytes as it takes, under a first line that names what they
/// are and a checksum (CRC-32C).
struct CheckedBytes {
    private(set) var body: [UInt8] = []

    /// Appends a number: seven bits to a byte, lowest first.
    mutating func append(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            body.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        body.append(UInt8(rest))
    }

    /// - Precondition: it is not negative.
    mutating func append(_ value: Int) { append(UInt64(value)) }

    mutating func append(_ text: String) {
        append(text.utf8.count)
        body.append(contentsOf: text.utf8)
    }

    /// The whole file.
    func file(_ name: String) -> Data {
        let checksum = body.withUnsafeBytes { clinux_crc32c(0, $0.baseAddress, $0.count) }
        var data = Data("\(name)\n".utf8)
        withUnsafeBytes(of: checksum.littleEndian) { data.append(contentsOf: $0) }
        data.append(contentsOf: body)
        return data
    }

    /// Takes numbers back out of a file, in their order.
    struct Reader {
        private var rest: ArraySlice<UInt8>

        /// - Throws: ``Damaged`` also for a file of another kind.
        init(_ data: Data, _ name: String) throws(Damaged) {
            let head = Array("\(name)\n".utf8)
            let bytes = Array(data)
            guard bytes.starts(with: head), bytes.count >= head.count + 4 else { throw Damaged() }
            rest = bytes[(head.count + 4)...]
            let sum = rest.withUnsafeBytes { clinux_crc32c(0, $0.baseAddress, $0.count) }
            let stored = bytes[head.count..<(head.count + 4)].reversed().reduce(0 as UInt32) {
                $0 << 8 | UInt32($1)
            }
            guard sum == stored else { throw Damaged() }
        }

        var isAtEnd: Bool { rest.isEmpty }

        mutating func word() throws(Damaged) -> UInt64 {
            var value: UInt64 = 0
            var shift: UInt64 = 0
            while let byte = rest.popFirst(), shift < 64 {
                value |= UInt64(byte & 0x7F) << shift
                guard byte & 0x80 != 0 else { return value }
                shift += 7
            }
            throw Damaged()
        }

        mutating func number() throws(Damaged) -> Int {
            guard let value = Int(exactly: try word()) else { throw Damaged() }
            return value
        }

        /// - Parameter maximum: the most that there can be.
        mutating func count(maximum: Int) throws(Damaged) -> Int {
            let count = try number()
            guard count <= maximum else { throw Damaged() }
            return count
        }

        mutating func text(maximum: Int) throws(Damaged) -> String {
            let count = try count(maximum: maximum)
            guard rest.count >= count,
                let text = String(validating: rest.prefix(count), as: UTF8.self)
            else { throw Damaged() }
            rest = rest.dropFirst(count)
            return text
        }
    }

    /// A file that is not what was written, or not of this version.
    struct Damaged: Error {}
}

/// Finds whole records in a byte stream (record marking, RFC 5531 §11) without copying them.
///
/// The caller keeps the bytes. After each ``Scan/record(consumed:body:)`` or
/// ``Scan/fragments(consumed:ranges:)`` it drops `consumed` bytes from the front; after
/// ``Scan/incomplete(needed:)`` it keeps them, appends what arrives and scans again. What was scanned
/// is remembered, so the work for a record is proportional to its fragments however they arrive.
public struct RecordScanner: Sendable {
    /// What was found at the front of the bytes. Ranges count from the first byte.
    public enum Scan: Equatable, Sendable {
        /// A record in one fragment, the only kind that is common.
        case record(consumed: Int, body: Range<Int>)
        /// A record in several fragments: its body is their concatenation.
        case fragments(consumed: Int, ranges: [Range<Int>])
        /// No whole record yet. Scanning again is useless before there are `needed` bytes, which
        /// the limits bound.
        case incomplete(needed: Int)
    }

    /// The most bytes in one record; enough for a 1 MiB READ or WRITE with its header.
    public static let recordBytesMaximum = (1 << 20) + (64 << 10)
    /// The most fragments in one record.
    public static let recordFragmentsMaximum = 1024

    private let bytesMaximum: Int
    private let fragmentsMaximum: Int
    /// Where the next record mark is expected.
    private var cursor = 0
    /// Bytes in the fragments found so far.
    private var bodyBytes = 0
    private var ranges: [Range<Int>] = []

    /// - Parameter bytesMaximum: the most bytes in one record, record marks not counted.
    /// - Parameter fragmentsMaximum: the most fragments in one record, empty ones counted.
    public init(
        bytesMaximum: Int = recordBytesMaximum, fragmentsMaximum: Int = recordFragmentsMaximum
    ) {
        precondition(bytesMaximum > 0 && fragmentsMaximum > 0)
        self.bytesMaximum = bytesMaximum
        self.fragmentsMaximum = fragmentsMaximum
    }

    /// Looks for one record at the front of `bytes`.
    /// - Throws: ``RecordError`` when a limit is passed. The stream cannot be followed any further.
    public mutating func scan(_ bytes: RawSpan) throws(RecordError) -> Scan {
        while bytes.byteCount - cursor >= RPC.recordMarkSize {
            let mark = UInt32(
                bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: cursor, as: UInt32.self))
            let count = Int(mark & ~RPC.lastFragment)
            guard bodyBytes + count <= bytesMaximum else {
                throw RecordError(.recordTooLong, found: bodyBytes + count, maximum: bytesMaximum)
            }
            let body = cursor + RPC.recordMarkSize..<cursor + RPC.recordMarkSize + count
            guard body.upperBound <= bytes.byteCount else {
                return .incomplete(needed: body.upperBound)
            }
            if mark & RPC.lastFragment != 0 { return finish(with: body) }
            // A last fragment is still to come, so the limit must leave room for it.
            guard ranges.count + 1 < fragmentsMaximum else {
                throw RecordError(
                    .tooManyFragments, found: ranges.count + 2, maximum: fragmentsMaximum)
            }
            ranges.append(body)
            bodyBytes += count
            cursor = body.upperBound
        }
        return .incomplete(needed: cursor + RPC.recordMarkSize)
    }

    private mutating func finish(with last: Range<Int>) -> Scan {
        guard !ranges.isEmpty else {
            return .record(consumed: last.upperBound, body: last)
        }
        ranges.append(last)
        let found = Scan.fragments(consumed: last.upperBound, ranges: ranges)
        ranges = []
        cursor = 0
        bodyBytes = 0
        return found
    }
}

/// A stream that passes a limit of ``RecordScanner``. Two errors are equal when their codes are.
public struct RecordError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable, Equatable {
        /// The fragments of a record add up to too many bytes.
        case recordTooLong
        /// A record has too many fragments.
        case tooManyFragments
        /// Part of the stream never came to those who look for records in it.
        case bytesLost
    }

    public let code: Code
    /// Bytes or fragments, at least.
    public let found: Int
    /// The limit, in the same unit.
    public let maximum: Int

    public init(_ code: Code, found: Int, maximum: Int) {
        self.code = code
        self.found = found
        self.maximum = maximum
    }

    public static func == (lhs: RecordError, rhs: RecordError) -> Bool { lhs.code == rhs.code }

    public var description: String {
        switch code {
        case .recordTooLong: "RPC: a record of at least \(found) bytes, more than \(maximum)"
        case .tooManyFragments: "RPC: a record of at least \(found) fragments, more than \(maximum)"
        case .bytesLost: "RPC: received bytes were lost on their way to the record scanner"
        }
    }
}

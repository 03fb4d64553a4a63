import NIOCore
import ONCRPC

/// Cuts a stream of receive buffers into records.
///
/// A record that lies within one receive buffer is handed over as a slice of it. Only one that spans
/// several is copied, once, into a buffer of its own.
struct RecordReceiver {
    private var scanner = RecordScanner()
    /// The receive buffer being cut up.
    private var chunk = ByteBuffer()
    /// The start of a record that did not fit into its receive buffer.
    private var partial = ByteBuffer()
    /// The size at which `partial` is worth another look.
    private var partialNeeded = 0
    private let allocator = ByteBufferAllocator()

    /// Takes the next bytes of the stream. The ones before must have been used up by ``next()``.
    mutating func receive(_ bytes: ByteBuffer) {
        assert(chunk.readableBytes == 0)
        chunk = bytes
    }

    /// - Returns: the next record without its mark, nil when more bytes must arrive first.
    mutating func next() throws(RecordError) -> ByteBuffer? {
        if partial.readableBytes > 0 {
            return try nextFromPartial()
        }
        switch try Self.scan(chunk, with: &scanner) {
        case .record(let consumed, let body):
            let record = slice(of: chunk, body)
            chunk.moveReaderIndex(forwardBy: consumed)
            return record
        case .fragments(let consumed, let ranges):
            let record = joined(chunk, ranges)
            chunk.moveReaderIndex(forwardBy: consumed)
            return record
        case .incomplete(let needed):
            if chunk.readableBytes > 0 {
                // The scanner's limit bounds what the wire can ask for here.
                partial = allocator.buffer(capacity: needed)
                partialNeeded = needed
                partial.writeBuffer(&chunk)
            }
            chunk = ByteBuffer()
            return nil
        }
    }

    private mutating func nextFromPartial() throws(RecordError) -> ByteBuffer? {
        while true {
            let count = min(partialNeeded - partial.readableBytes, chunk.readableBytes)
            if var piece = chunk.readSlice(length: count) { partial.writeBuffer(&piece) }
            guard partial.readableBytes == partialNeeded else {
                chunk = ByteBuffer()
                return nil
            }
            let record: ByteBuffer
            switch try Self.scan(partial, with: &scanner) {
            case .record(_, let body):
                record = slice(of: partial, body)
            case .fragments(_, let ranges):
                record = joined(partial, ranges)
            case .incomplete(let needed):
                partial.reserveCapacity(minimumWritableBytes: needed - partial.readableBytes)
                partialNeeded = needed
                continue
            }
            partial = ByteBuffer()
            return record
        }
    }

    private static func scan(
        _ buffer: ByteBuffer, with scanner: inout RecordScanner
    ) throws(RecordError) -> RecordScanner.Scan {
        try scanner.scan(buffer.readableBytesSpan)
    }

    private func slice(of buffer: ByteBuffer, _ range: Range<Int>) -> ByteBuffer {
        // The scanner only names ranges of the bytes it was shown.
        buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count)!
    }

    private func joined(_ buffer: ByteBuffer, _ ranges: [Range<Int>]) -> ByteBuffer {
        var record = allocator.buffer(capacity: ranges.reduce(0) { $0 + $1.count })
        for range in ranges {
            record.writeImmutableBuffer(slice(of: buffer, range))
        }
        return record
    }
}

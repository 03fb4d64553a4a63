package import NIOCore
package import ONCRPC

/// Receives a stream of records (RFC 5531 §11), each into one piece of memory, and cuts them out of it.
///
/// The memory for every read of the socket comes from here (``nextBuffer()``): the beginning of a
/// record that has not all arrived, and behind it room for the rest of that record and little more. So
/// a large record is not copied, whatever the pieces that it comes in, and is handed over as a slice.
/// The beginning of a small one at the end of a full buffer moves to the next.
///
/// Loop-confined.
package final class RecordReceiver {
    /// Room behind the record that a buffer was made for, for the beginning of the next one.
    static let bytesBehind = 16 << 10

    private let bufferBytes: Int
    private let allocator = ByteBufferAllocator()
    private var scanner = RecordScanner()
    /// What has arrived and has not been taken, unless it is lent.
    private var held = ByteBuffer()
    /// The bytes that make another look at what is held worthwhile.
    private var neededBytes = 0
    /// How much of the stream is in the buffer that was lent for a read.
    private var lentBytes = 0
    private var isBroken = false

    /// - Parameter bufferBytes: the memory for a read, unless a larger record is under way.
    package init(bufferBytes: Int) {
        self.bufferBytes = bufferBytes
    }

    /// Whether there is something that has not been taken.
    package var hasBytes: Bool { held.readableBytes > 0 }

    /// Has a channel receive into the buffers of this object.
    package func install(in channel: any Channel) throws {
        guard let options = channel.syncOptions else { throw ChannelError.operationUnsupported }
        // Only the first read of a wake-up is sure to find something.
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(
            .recvAllocator,
            value: RecordBuffers(receiver: NIOLoopBound(self, eventLoop: channel.eventLoop)))
    }

    /// Lends the memory for one read, which goes behind what is in it; then comes ``receive(_:)``.
    func nextBuffer() -> ByteBuffer {
        isBroken = isBroken || lentBytes > 0
        var next = ByteBuffer()
        // Not even we may hold on to it, or the read would copy it first.
        swap(&next, &held)
        let capacity = max(
            bufferBytes, max(neededBytes, next.readableBytes) + Self.bytesBehind)
        let isOurs: Bool? = next.modifyIfUniquelyOwned { $0.discardReadBytes() }
        if isOurs == nil {
            // Somebody still needs records that were cut out of it.
            var copy = allocator.buffer(capacity: capacity)
            copy.writeImmutableBuffer(next)
            next = copy
        }
        Self.limit(&next, to: capacity)
        lentBytes = next.readableBytes
        return next
    }

    /// Makes a buffer end where it should: those of the allocator may be twice as large, and what is
    /// received behind the end of a large record would have to be moved.
    private static func limit(_ buffer: inout ByteBuffer, to capacity: Int) {
        let end = buffer.writerIndex
        buffer.reserveCapacity(capacity)
        guard buffer.capacity > capacity else { return }
        buffer.moveWriterIndex(to: capacity)
        if let limited = buffer.getSlice(at: 0, length: capacity) { buffer = limited }
        buffer.moveWriterIndex(to: end)
    }

    /// Takes back the buffer that was lent, with what has arrived.
    /// - Returns: how many bytes have arrived.
    @discardableResult
    package func receive(_ bytes: ByteBuffer) -> Int {
        let count = bytes.readableBytes - lentBytes
        isBroken = isBroken || hasBytes || count <= 0
        held = bytes
        lentBytes = 0
        return max(0, count)
    }

    /// - Returns: the next record without its marks, nil when more bytes must arrive first.
    package func next() throws(RecordError) -> ByteBuffer? {
        guard !isBroken else { throw RecordError(.bytesLost, found: 0, maximum: 0) }
        switch try Self.scan(held, with: &scanner) {
        case .record(let consumed, let body):
            defer { take(consumed) }
            return slice(body)
        case .fragments(let consumed, let ranges):
            defer { take(consumed) }
            var record = allocator.buffer(capacity: ranges.reduce(0) { $0 + $1.count })
            for range in ranges { record.writeImmutableBuffer(slice(range)) }
            return record
        case .incomplete(let needed):
            neededBytes = needed
            return nil
        }
    }

    /// Forgets what has arrived.
    package func reset() {
        held = ByteBuffer()
        neededBytes = 0
    }

    private static func scan(
        _ buffer: ByteBuffer, with scanner: inout RecordScanner
    ) throws(RecordError) -> RecordScanner.Scan {
        try scanner.scan(buffer.readableBytesSpan)
    }

    private func take(_ count: Int) {
        held.moveReaderIndex(forwardBy: count)
        neededBytes = 0
    }

    private func slice(_ range: Range<Int>) -> ByteBuffer {
        // The scanner only names ranges of the bytes it was shown.
        held.getSlice(at: held.readerIndex + range.lowerBound, length: range.count)!
    }
}

/// What a channel asks for memory.
private struct RecordBuffers: RecvByteBufferAllocator {
    let receiver: NIOLoopBound<RecordReceiver>

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { receiver.value.nextBuffer() }

    /// Always "may grow", so that the channel asks each time. It keeps the first buffer that it got.
    func record(actualReadBytes: Int) -> Bool { true }
}

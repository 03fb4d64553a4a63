package import NIOCore
package import ONCRPC

/// Receives a stream of records (RFC 5531 §11), each into one piece of memory, and cuts them out of it.
///
/// The memory for every read of the socket comes from here (``nextBuffer()``): the beginning of a
/// record that has not all arrived, and behind it room for the rest of that record and little more. So
/// a large record is not copied, whatever the pieces that it comes in, and is handed over as a slice.
/// The beginning of a small one at the end of a full buffer moves to the next. Between reads, when all
/// has been taken, the memory is another connection's (``SpareBuffers``).
///
/// Loop-confined.
package final class RecordReceiver {
    /// Room behind the record that a buffer was made for, for the beginning of the next one.
    static let bytesBehind = 16 << 10
    /// The memory for the first read, which the channel keeps as long as it lives.
    private static let firstBytes = 4 << 10

    private let bufferBytes: Int
    private let spare: SpareBuffers
    private var isFirst = true
    private let allocator = ByteBufferAllocator()
    private var scanner = RecordScanner()
    /// What has arrived and has not been taken, unless it is lent.
    private var held = ByteBuffer()
    /// The bytes that make another look at what is held worthwhile.
    private var neededBytes = 0
    /// How much of the stream is in the buffer that was lent for a read.
    private var lentBytes = 0
    private var isLending = true
    private var isBroken = false

    /// - Parameter bufferBytes: the memory for a read, unless a larger record is under way.
    /// - Parameter spare: what connections of the same loop share.
    package init(bufferBytes: Int, spare: SpareBuffers = SpareBuffers()) {
        self.bufferBytes = bufferBytes
        self.spare = spare
    }

    /// Whether there is something that has not been taken.
    package var hasBytes: Bool { held.readableBytes > 0 }

    /// Bytes that have arrived and were not taken.
    package var bytesHeld: Int { held.readableBytes }

    /// Has a channel receive into the buffers of this object.
    package func install(in channel: any Channel) throws {
        guard let options = channel.syncOptions else { throw ChannelError.operationUnsupported }
        // Only the first read of a wake-up is sure to find something.
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(
            .recvAllocator,
            value: RecordBuffers(receiver: NIOLoopBound(self, eventLoop: channel.eventLoop)))
    }

    /// What arrives from now on is in the memory of others: behind TLS, which hands over what it has deciphered.
    package func stopLending() { isLending = false }

    /// Lends the memory for one read, which goes behind what is in it; then comes ``receive(_:)``.
    func nextBuffer() -> ByteBuffer {
        isBroken = isBroken || lentBytes > 0
        var next = ByteBuffer()
        // Not even we may hold on to it, or the read would copy it first.
        swap(&next, &held)
        if isFirst {
            isFirst = false
            next = allocator.buffer(capacity: min(bufferBytes, Self.firstBytes))
            return next
        }
        if next.storageCapacity < bufferBytes {
            var larger = spare.take()
            if next.readableBytes > 0 { larger.writeImmutableBuffer(next) }
            next = larger
        }
        let capacity = max(
            bufferBytes, max(neededBytes, next.readableBytes) + Self.bytesBehind)
        let isOurs: Bool? = next.modifyIfUniquelyOwned { $0.discardReadBytes() }
        if isOurs == nil {
            // Somebody still needs records that were cut out of it.
            var copy = spare.take()
            if copy.capacity < capacity { copy = allocator.buffer(capacity: capacity) }
            copy.writeImmutableBuffer(next)
            share(next)
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
        guard isLending else { return append(bytes) }
        let count = bytes.readableBytes - lentBytes
        isBroken = isBroken || hasBytes || count <= 0
        held = bytes
        lentBytes = 0
        return max(0, count)
    }

    /// Takes over a buffer that was not lent, or copies it behind the beginning of a record, for all of which there is
    /// room then.
    private func append(_ bytes: ByteBuffer) -> Int {
        guard hasBytes else {
            held = bytes
            return bytes.readableBytes
        }
        let capacity = max(neededBytes, held.readableBytes + bytes.readableBytes)
        let hasRoom = held.modifyIfUniquelyOwned { buffer in
            guard buffer.writableBytes >= bytes.readableBytes else { return false }
            buffer.writeImmutableBuffer(bytes)
            return true
        }
        if hasRoom != true {
            var copy = allocator.buffer(capacity: capacity)
            copy.writeImmutableBuffer(held)
            copy.writeImmutableBuffer(bytes)
            held = copy
        }
        return bytes.readableBytes
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
            if !hasBytes, share(held) { held = ByteBuffer() }
            return nil
        }
    }

    /// Keeps no memory for what is still to come, and little that has arrived in memory of its own, so that others
    /// have the rest.
    package func shrink() {
        guard held.storageCapacity >= bufferBytes, held.readableBytes < held.storageCapacity / 4
        else { return }
        guard hasBytes else {
            held = ByteBuffer()
            return
        }
        var small = allocator.buffer(capacity: held.readableBytes)
        small.writeImmutableBuffer(held)
        share(held)
        held = small
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

    /// Lets other connections have a buffer, unless it was made for a large record: this one may bring
    /// more of them. The very first is the channel's, and would never be free.
    /// - Returns: whether it is theirs now.
    @discardableResult
    private func share(_ buffer: ByteBuffer) -> Bool {
        let isUsual = (bufferBytes...2 * bufferBytes).contains(buffer.storageCapacity)
        return isUsual && spare.give(buffer)
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

/// Memory that the connections of a loop use in turns: into which they receive, those that do not wait for the
/// rest of a record, or from which large replies leave. It goes round among them, so that what a thousand
/// connections need is what a few use at a time.
/// Memory in which somebody still needs records stays here as well: new memory each time would be
/// elsewhere each time, and in the end all of it touched.
///
/// Loop-confined.
package final class SpareBuffers {
    /// In the order in which they came: in the first, records are the least likely to be needed still.
    private var buffers: [ByteBuffer] = []
    private static let limit = 16

    package init() {}

    /// - Returns: memory with nothing in it that nobody uses, or none.
    package func take() -> ByteBuffer {
        for _ in 0..<buffers.count {
            var buffer = buffers.removeFirst()
            let isOurs: Void? = buffer.modifyIfUniquelyOwned { $0.clear() }
            if isOurs != nil { return buffer }
            buffers.append(buffer)
        }
        return ByteBuffer()
    }

    /// - Returns: whether there is room for it.
    @discardableResult
    package func give(_ buffer: ByteBuffer) -> Bool {
        guard buffers.count < Self.limit else { return false }
        buffers.append(buffer)
        return true
    }
}

/// What a channel asks for memory.
private struct RecordBuffers: RecvByteBufferAllocator {
    let receiver: NIOLoopBound<RecordReceiver>

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { receiver.value.nextBuffer() }

    /// Always "may grow", so that the channel asks each time. It keeps the first buffer that it got.
    func record(actualReadBytes: Int) -> Bool { true }
}

extension Channel {
    /// Has a channel receive for TLS, which takes what comes in pieces of its own.
    package func receiveForTLS() throws {
        guard let options = syncOptions else { throw ChannelError.operationUnsupported }
        try options.setOption(
            .recvAllocator,
            value: AdaptiveRecvByteBufferAllocator(
                minimum: 4 << 10, initial: 32 << 10, maximum: 256 << 10))
    }
}

import NIOCore

/// Gathers the calls of one turn of the event loop into few writes and one flush.
struct RecordSender {
    /// Payloads up to this many bytes are copied behind their call; larger ones are written as they
    /// are, which costs one more write but no copy.
    static let copiedPayloadBytesMaximum = 8 << 10
    /// What has gathered is written, though not flushed, beyond this many bytes.
    static let gatheredBytesMaximum = 256 << 10

    private var gathered = ByteBuffer()
    /// The last buffer written, used again when the channel has let go of it.
    private var previous = ByteBuffer()
    private var hasUnflushed = false

    /// Appends one record: its mark, the xid, the rest of the call and the payload with its padding.
    /// - Parameter write: hands a buffer to the channel.
    mutating func append(
        mark: UInt32, xid: UInt32, message: ByteBuffer, payload: ByteBuffer?,
        write: (ByteBuffer) -> Void
    ) {
        if gathered.readableBytes == 0 { reclaim() }
        gathered.writeMultipleIntegers(mark, xid)
        gathered.writeImmutableBuffer(message)
        if let payload {
            if payload.readableBytes <= Self.copiedPayloadBytesMaximum {
                gathered.writeImmutableBuffer(payload)
            } else {
                push(write)
                write(payload)
            }
            let padding = -payload.readableBytes & 3
            gathered.writeRepeatingByte(0, count: padding)
        }
        hasUnflushed = true
        if gathered.readableBytes >= Self.gatheredBytesMaximum { push(write) }
    }

    /// Writes what has gathered.
    /// - Returns: whether there is something to flush.
    mutating func finish(write: (ByteBuffer) -> Void) -> Bool {
        guard hasUnflushed else { return false }
        push(write)
        hasUnflushed = false
        return true
    }

    /// Forgets what has gathered; its connection is gone.
    mutating func reset() {
        gathered.clear()
        hasUnflushed = false
    }

    private mutating func push(_ write: (ByteBuffer) -> Void) {
        guard gathered.readableBytes > 0 else { return }
        write(gathered)
        previous = gathered
        gathered = ByteBuffer()
    }

    private mutating func reclaim() {
        let isFree: Void? = previous.modifyIfUniquelyOwned { $0.clear() }
        guard isFree != nil else { return }
        swap(&gathered, &previous)
    }
}

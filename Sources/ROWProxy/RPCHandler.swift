import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import XDR

/// One client connection: finds records in what arrives, hands each call to the service, and gathers
/// the replies of one read into one buffer that is written and flushed once.
///
/// Memory stays bounded whatever the client does: records are looked at, and the socket read, only
/// while few enough calls are parked and the client takes its replies.
///
/// Loop-confined, as the service and all behind it.
final class RPCHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Calls that may be parked (waiting for main or for the disk) before no more are looked at.
    static let parkedCallsMaximum = 128
    /// Bytes that parked calls may hold or answer with before no more are looked at.
    static let parkedBytesMaximum = 32 << 20
    /// Bytes of replies that the client has not taken before no more calls are looked at.
    private static let unsentBytesMaximum = 4 << 20
    /// Bytes of them before they count in ``leftBytes``, and until they no longer do.
    static let unsentBytesCounted = (from: 128 << 10, to: 64 << 10)
    /// Bytes of replies gathered before they are written without waiting for the end of the read.
    private static let gatheredBytesMaximum = 512 << 10
    /// Bytes of a READ, and of replies gathered, while all connections together hold much.
    private static let smallBytes = 32 << 10
    /// Capacity of the gathering buffer at first, and the most that it keeps. Between them it is what the
    /// replies of this connection need: there may be a thousand of them. More than that goes round among them.
    private static let capacity = (first: 4 << 10, kept: 128 << 10)

    /// Who the client is.
    private(set) var client = ClientAddress(nil)
    /// Since when it is connected.
    let opened = NIODeadline.now()
    /// Whether it is a program on this machine.
    private(set) var isOfThisMachine = false
    /// Whether only root of the client may have its port.
    private(set) var hasPrivilegedPort = false
    /// The machine that the client is, once that has been looked at.
    var machine: Machine?
    /// Nothing that is written gets anywhere any more.
    private(set) var isClosed = false
    /// Bytes that the client leaves with us: replies that it does not take, a record that it has not finished.
    private(set) var leftBytes = 0
    /// When something came from it last, or when it had taken its replies.
    private(set) var lastProgress = NIODeadline.now()
    let server: RPCServer
    private(set) var context: ChannelHandlerContext?
    let receiver: RecordReceiver
    /// Of all connections.
    var times: CallTimes { server.times }
    private var gathered: ByteBuffer
    /// This connection's own memory while it gathers in some that goes round.
    private var own = ByteBuffer()
    private var parkedCalls = 0
    private var parkedBytes = 0
    private var isReading = false
    private var isProcessing = false
    /// Whether what has arrived and was not looked at is the beginning of a record.
    private var isUnfinished = false
    private var isTurnScheduled = false
    private var hasUnflushed = false
    private var isPaused = false
    var protection = Protection.none
    /// Calls are refused until TLS is there.
    var wantsTLS = false

    init(server: RPCServer, allocator: ByteBufferAllocator) {
        self.server = server
        receiver = RecordReceiver(bufferBytes: 512 << 10, spare: server.spareBuffers)
        gathered = allocator.buffer(capacity: Self.capacity.first)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        client = ClientAddress(context.remoteAddress)
        isOfThisMachine = client == ClientAddress(context.localAddress)
        hasPrivilegedPort = (context.remoteAddress?.port).map { $0 < 1024 } ?? false
        lookAtTLS()
        server.opened(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        forget()
        self.context = nil
        endTLS()
        server.closed(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // What has arrived and has not begun is the client's to send again.
        forget()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        isReading = true
        times.begin(self)
        lastProgress = times.started
        Traffic.receive(receiver.receive(unwrapInboundIn(data)))
        process()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        server.turnEnded()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable {
            lastProgress = .now()
            countLeft()
        }
        updateReading()
        context.fireChannelWritabilityChanged()
    }

    /// Closes the connection once what has been answered is on its way.
    func close() {
        flush()
        end()
    }

    private func end() {
        forget()
        context?.close(promise: nil)
    }

    private func forget() {
        isClosed = true
        receiver.reset()
        countLeft()
    }

    /// All connections leave more with us than they may, and this one does not get on.
    func endForMemory(_ maximum: Int) {
        server.event(
            "closed a connection from \(client): it leaves \(leftBytes >> 10) KiB of replies that it does not take, or "
                + "of a call that it does not finish; all connections together may leave \(maximum >> 20) MiB"
        )
        end()
    }

    /// The stream cannot be followed any further.
    func fail(_ reason: String) {
        server.event("closed a connection from \(client): \(reason)")
        close()
    }

    // MARK: Records

    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        isUnfinished = false
        while !isUnfinished, mayServe {
            if let record = nextRecord() { serve(record) } else { isUnfinished = true }
        }
        isProcessing = false
        if server.isCrowded { receiver.shrink() }
        if receiver.hasBytes || leftBytes > 0 { countLeft() }
        updateReading()
    }

    private func nextRecord() -> ByteBuffer? {
        do {
            return try receiver.next()
        } catch {
            fail("\(error)")
            return nil
        }
    }

    private func serve(_ record: ByteBuffer) {
        switch RPC.parseCall(record.readableBytesSpan) {
        case .call(let header):
            // Few calls are of procedure 0, with which TLS begins.
            if header.procedure == 0 || wantsTLS, screens(header) { return }
            server.serve(RPCCall(header: header, record: record, origin: self))
        case .reject(let xid, let rejection): reject(xid: xid, rejection)
        case .notACall:
            fail("it sent something else than a call")
        }
    }

    // MARK: Replies

    func reject(xid: UInt32, _ rejection: RPC.Rejection) {
        write(size: rejection.encodedSize) { output in
            RPC.encode(error: rejection, xid: xid, into: &output)
        }
    }

    /// Appends a record of `size` bytes.
    func write(size: Int, _ encode: (inout OutputRawSpan) -> Void) {
        guard !isClosed else { return }
        makeRoom(size + RPC.recordMarkSize)
        gathered.writeWithOutputRawSpan(minimumWritableBytes: size + RPC.recordMarkSize) { output in
            output.encode(RPC.lastFragment | UInt32(size))
            encode(&output)
        }
        written()
    }

    /// Appends a record whose size shows when it is encoded. When `encode` stops by an error nothing is
    /// appended.
    func write<Failure: Error>(
        atMost size: Int, _ encode: (inout OutputRawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        guard !isClosed else { return }
        var failure: Failure?
        makeRoom(size + RPC.recordMarkSize)
        gathered.writeWithUnsafeMutableBytes(minimumWritableBytes: size + RPC.recordMarkSize) {
            memory in
            let start = RPC.recordMarkSize
            let body = UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + size)])
            var output = OutputRawSpan(buffer: body, initializedCount: 0)
            do throws(Failure) { try encode(&output) } catch {
                failure = error
                return 0
            }
            let mark = RPC.lastFragment | UInt32(output.byteCount)
            memory.storeBytes(of: mark.bigEndian, as: UInt32.self)
            return start + output.byteCount
        }
        if let failure { throw failure }
        written()
    }

    /// Appends a record whose last `payloadCount` bytes (and padding) `fill` puts in place. When it
    /// answers false nothing is appended.
    func write(
        headSize: Int, payloadCount: Int, head: (inout OutputRawSpan) -> Void,
        fill: (UnsafeMutableRawBufferPointer) -> Bool
    ) -> Bool {
        guard !isClosed else { return true }
        let size = headSize + paddedCount(payloadCount)
        var isFilled = false
        makeRoom(size + RPC.recordMarkSize)
        gathered.writeWithUnsafeMutableBytes(minimumWritableBytes: size + RPC.recordMarkSize) {
            memory in
            let start = headSize + RPC.recordMarkSize
            isFilled = fill(
                UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + payloadCount)]))
            guard isFilled else { return 0 }
            var output = OutputRawSpan(buffer: memory, initializedCount: 0)
            output.encode(RPC.lastFragment | UInt32(size))
            head(&output)
            precondition(output.byteCount == start)
            for index in (start + payloadCount)..<(start + paddedCount(payloadCount)) {
                memory[index] = 0
            }
            return start + paddedCount(payloadCount)
        }
        if isFilled { written() }
        return isFilled
    }

    /// Appends a record that ends with `payload`, which is passed on as it is, not copied.
    func write(headSize: Int, payload: ByteBuffer, head: (inout OutputRawSpan) -> Void) {
        guard !isClosed, let context else { return }
        let count = payload.readableBytes
        let size = headSize + paddedCount(count)
        makeRoom(headSize + RPC.recordMarkSize)
        gathered.writeWithOutputRawSpan(minimumWritableBytes: headSize + RPC.recordMarkSize) {
            output in
            output.encode(RPC.lastFragment | UInt32(size))
            head(&output)
        }
        Traffic.send(gathered.readableBytes + count)
        withGathered { context.write(wrapOutboundOut($0), promise: nil) }
        context.write(wrapOutboundOut(payload), promise: nil)
        hasUnflushed = true
        gathered.writeRepeatingByte(0, count: paddedCount(count) - count)
        // What TLS has been given counts for the channel's limits only when it is flushed.
        if case .tls = protection { flush() } else { written() }
    }

    /// Appends a whole record that was encoded before.
    func write(record: [UInt8]) {
        guard !isClosed else { return }
        makeRoom(record.count + RPC.recordMarkSize)
        gathered.writeInteger(RPC.lastFragment | UInt32(record.count))
        gathered.writeBytes(record)
        written()
    }

    /// Has room for another record.
    private func makeRoom(_ count: Int) {
        if gathered.writableBytes < count { gatherElsewhere(count) }
    }

    /// Gathers in memory that goes round when this connection's own would become too large.
    private func gatherElsewhere(_ count: Int) {
        let bytes = gathered.readableBytes
        guard bytes + count > Self.capacity.kept, gathered.capacity <= Self.capacity.kept else {
            return
        }
        var large = server.spareReplies.take()
        large.reserveCapacity(bytes + count)
        if bytes > 0 { large.writeImmutableBuffer(gathered) }
        swap(&own, &gathered)
        swap(&gathered, &large)
        own.clear()
    }

    /// Replies of one read leave at its end, those of parked calls at the end of the loop's turn.
    private func written() {
        if gathered.readableBytes > Self.smallBytes,
            gathered.readableBytes > Self.gatheredBytesMaximum || server.memory.isTight
        {
            flush()
        } else if !isReading {
            scheduleTurn()
        }
    }

    func flush() {
        guard let context else { return }
        if gathered.readableBytes > 0 {
            hasUnflushed = false
            Traffic.send(gathered.readableBytes)
            // Flushed at once, so that the memory is ours again unless the socket is full.
            withGathered { context.writeAndFlush(wrapOutboundOut($0), promise: nil) }
            countUnsent()
        } else if hasUnflushed {
            hasUnflushed = false
            context.flush()
            countUnsent()
        }
    }

    /// Hands over what has gathered, and begins anew. Writing may have us called again, who must not find it then.
    private func withGathered(_ write: (ByteBuffer) -> Void) {
        let buffer = gathered
        gathered = ByteBuffer()
        write(buffer)
        gathered = buffer
        if gathered.capacity > Self.capacity.kept {
            server.spareReplies.give(gathered)
            gathered = own
            own = ByteBuffer()
        }
        gathered.clear(minimumCapacity: gathered.capacity)
    }

    // MARK: Limits

    /// Bytes that a READ is answered with at most: fewer than it asks for is an answer (RFC 1813 §3.3.6).
    var readBytesMaximum: Int {
        server.memory.isTight ? Self.smallBytes : NFS3.transferSizeMaximum
    }

    /// Whether there are calls whose answers are still to come.
    var hasParkedCalls: Bool { parkedCalls > 0 }

    /// A call waits for something.
    func parked(_ call: RPCCall.Parking) {
        parkedCalls += 1
        parkedBytes += call.bytes
        server.memory.parked(call.bytes)
    }

    func unparked(_ call: RPCCall.Parking) {
        parkedCalls -= 1
        parkedBytes -= call.bytes
        if server.memory.unparked(call.bytes) { server.resume() }
        resume()
    }

    /// Looks at what has arrived if that may be done again.
    func resume() {
        if receiver.hasBytes || isPaused { scheduleTurn() }
    }

    /// Whether another call may be looked at now.
    private var mayServe: Bool {
        guard !isClosed, let context, parkedCalls < Self.parkedCallsMaximum,
            parkedBytes < Self.parkedBytesMaximum, server.memory.mayPark(behind: parkedBytes)
        else { return false }
        if !context.channel.isWritable { flush() }
        return context.channel.isWritable
            || (!server.memory.isTight && unsentBytes < Self.unsentBytesMaximum)
    }

    /// Bytes of replies that the client has not taken; 0 when they are few.
    private var unsentBytes: Int {
        guard !isWritable, let options = context?.channel.syncOptions else { return 0 }
        return (try? options.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Counts it when not all that was written is on its way.
    private func countUnsent() {
        guard leftBytes > 0 || !isWritable else { return }
        countLeft()
    }

    private var isWritable: Bool { context?.channel.isWritable ?? true }

    /// Counts what the client leaves with us.
    private func countLeft() {
        let bytes = isClosed ? 0 : (isUnfinished ? receiver.bytesHeld : 0) + unsentBytes
        guard bytes != leftBytes else { return }
        let more = bytes - leftBytes
        leftBytes = bytes
        server.memory.changed(self, by: more)
    }

    /// Has the rest of this turn's work done once the loop is through with what it does now.
    private func scheduleTurn() {
        guard !isTurnScheduled, let context else { return }
        isTurnScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.isTurnScheduled = false
            self.times.begin(self)
            self.process()
            self.flush()
            self.server.turnEnded()
        }
    }

    /// Reads the socket only while calls may be looked at; takes up what was left when they may again.
    private func updateReading() {
        guard !isClosed, let context else { return }
        let shouldPause = !mayServe
        if !shouldPause, isPaused, receiver.hasBytes { scheduleTurn() }
        guard shouldPause != isPaused else { return }
        isPaused = shouldPause
        _ = context.channel.setOption(.autoRead, value: !shouldPause)
    }
}

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
    /// Bytes of replies gathered before they are written without waiting for the end of the read.
    private static let gatheredBytesMaximum = 512 << 10
    /// Capacity of the gathering buffer at first, and the most that it keeps. Between them it is what the
    /// replies of this connection need: there may be a thousand of them.
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
    private let server: RPCServer
    private var context: ChannelHandlerContext?
    let receiver: RecordReceiver
    /// Of all connections.
    var times: CallTimes { server.times }
    private var gathered: ByteBuffer
    private var parkedCalls = 0
    private var parkedBytes = 0
    private var isReading = false
    private var isProcessing = false
    private var isTurnScheduled = false
    private var hasUnflushed = false
    private var isPaused = false

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
        server.opened(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isClosed = true
        receiver.reset()
        self.context = nil
        server.closed(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        // What has arrived and has not begun is the client's to send again.
        isClosed = true
        receiver.reset()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosed else { return }
        isReading = true
        times.begin(self)
        Traffic.receive(receiver.receive(unwrapInboundIn(data)))
        process()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        server.turnEnded()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        updateReading()
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Closes the connection once what has been answered is on its way.
    func close() {
        flush()
        end()
    }

    private func end() {
        isClosed = true
        receiver.reset()
        context?.close(promise: nil)
    }

    /// The stream cannot be followed any further.
    private func fail(_ reason: String) {
        server.event("closed a connection from \(client): \(reason)")
        close()
    }

    // MARK: Records

    private func process() {
        guard !isProcessing else { return }
        isProcessing = true
        while mayServe, let record = nextRecord() { serve(record) }
        isProcessing = false
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
            server.serve(RPCCall(header: header, record: record, origin: self))
        case .reject(let xid, let rejection):
            write(size: rejection.encodedSize) { output in
                RPC.encode(error: rejection, xid: xid, into: &output)
            }
        case .notACall:
            fail("it sent something else than a call")
        }
    }

    // MARK: Replies

    /// Appends a record of `size` bytes.
    func write(size: Int, _ encode: (inout OutputRawSpan) -> Void) {
        guard !isClosed else { return }
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
        gathered.writeWithOutputRawSpan(minimumWritableBytes: headSize + RPC.recordMarkSize) {
            output in
            output.encode(RPC.lastFragment | UInt32(size))
            head(&output)
        }
        Traffic.send(gathered.readableBytes + count)
        context.write(wrapOutboundOut(gathered), promise: nil)
        clearGathered()
        context.write(wrapOutboundOut(payload), promise: nil)
        hasUnflushed = true
        gathered.writeRepeatingByte(0, count: paddedCount(count) - count)
        written()
    }

    /// Appends a whole record that was encoded before.
    func write(record: [UInt8]) {
        guard !isClosed else { return }
        gathered.writeInteger(RPC.lastFragment | UInt32(record.count))
        gathered.writeBytes(record)
        written()
    }

    /// Replies of one read leave at its end, those of parked calls at the end of the loop's turn.
    private func written() {
        if gathered.readableBytes > Self.gatheredBytesMaximum {
            flush()
        } else if !isReading {
            scheduleTurn()
        }
    }

    private func flush() {
        guard let context else { return }
        if gathered.readableBytes > 0 {
            // Flushed at once, so that the memory is ours again unless the socket is full.
            let buffer = gathered
            gathered = ByteBuffer()
            hasUnflushed = false
            Traffic.send(buffer.readableBytes)
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            gathered = buffer
            clearGathered()
        } else if hasUnflushed {
            hasUnflushed = false
            context.flush()
        }
    }

    private func clearGathered() {
        gathered.clear(minimumCapacity: min(gathered.capacity, Self.capacity.kept))
    }

    // MARK: Limits

    /// A call waits for something.
    func parked(_ call: RPCCall.Parking) {
        parkedCalls += 1
        parkedBytes += call.bytes
    }

    func unparked(_ call: RPCCall.Parking) {
        parkedCalls -= 1
        parkedBytes -= call.bytes
        if receiver.hasBytes || isPaused { scheduleTurn() }
    }

    /// Whether another call may be looked at now.
    private var mayServe: Bool {
        guard !isClosed, let context, parkedCalls < Self.parkedCallsMaximum,
            parkedBytes < Self.parkedBytesMaximum
        else { return false }
        if !context.channel.isWritable { flush() }
        return context.channel.isWritable
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

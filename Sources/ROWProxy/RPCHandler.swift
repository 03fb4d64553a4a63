import NIOCore
import NFSProtocol
import ONCRPC
import XDR

/// One client connection: finds records in what arrives, hands each call to the service, and gathers
/// the replies of one read into one buffer that is written and flushed once.
///
/// Loop-confined, as the service and all behind it.
final class RPCHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Calls that may be parked (waiting for main or for the disk) before reading stops.
    static let parkedMaximum = 128
    /// Bytes of replies gathered before they are written without waiting for the end of the read.
    private static let gatheredBytesMaximum = 512 << 10
    /// Capacity that the gathering buffer keeps.
    private static let keptCapacity = 128 << 10

    /// The client's address without its port; empty for one that is not IP.
    private(set) var clientAddress: [UInt8] = []
    private let server: RPCServer
    private var context: ChannelHandlerContext?
    private var received: ByteBuffer?
    private var scanner = RecordScanner()
    private var gathered: ByteBuffer
    private var parked = 0
    private var isReading = false
    private var hasUnflushed = false
    private var isPaused = false

    init(server: RPCServer, allocator: ByteBufferAllocator) {
        self.server = server
        gathered = allocator.buffer(capacity: Self.keptCapacity)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        clientAddress = Array((context.remoteAddress?.ipAddress ?? "").utf8)
        server.opened(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        server.closed(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isReading = true
        let new = unwrapInboundIn(data)
        if var held = received.take() {
            held.writeImmutableBuffer(new)
            received = held
        } else {
            received = new
        }
        process()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isReading = false
        flush()
        server.turnEnded()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        updatePause()
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Closes the connection once what has been answered is on its way.
    func close() {
        flush()
        context?.close(promise: nil)
    }

    // MARK: Records

    private func process() {
        while var bytes = received.take() {
            let scan: RecordScanner.Scan
            do {
                scan = try scanner.scan(bytes.readableBytesSpan)
            } catch {
                server.event("closed a connection from \(clientText): \(error)")
                context?.close(promise: nil)
                return
            }
            switch scan {
            case .incomplete:
                received = bytes.readableBytes > 0 ? bytes : nil
                return
            case .record(let consumed, let body):
                guard
                    let record = bytes.getSlice(
                        at: bytes.readerIndex + body.lowerBound, length: body.count)
                else { return }
                bytes.moveReaderIndex(forwardBy: consumed)
                keep(bytes)
                serve(record)
            case .fragments(let consumed, let ranges):
                var record = ByteBuffer()
                for range in ranges {
                    record.writeImmutableBuffer(
                        bytes.getSlice(
                            at: bytes.readerIndex + range.lowerBound, length: range.count)
                            ?? ByteBuffer())
                }
                bytes.moveReaderIndex(forwardBy: consumed)
                keep(bytes)
                serve(record)
            }
        }
    }

    private func keep(_ bytes: ByteBuffer) {
        received = bytes.readableBytes > 0 ? bytes : nil
    }

    private func serve(_ record: ByteBuffer) {
        switch RPC.parseCall(record.readableBytesSpan) {
        case .call(let header):
            server.serve(RPCCall(header: header, record: record, connection: self))
        case .reject(let xid, let rejection):
            write(size: rejection.encodedSize) { output in
                RPC.encode(error: rejection, xid: xid, into: &output)
            }
        case .notACall:
            server.event("closed a connection from \(clientText): it sent something else than a call")
            context?.close(promise: nil)
        }
    }

    private var clientText: String { String(decoding: clientAddress, as: UTF8.self) }

    // MARK: Replies

    /// Appends a record of `size` bytes.
    func write(size: Int, _ encode: (inout OutputRawSpan) -> Void) {
        guard context != nil else { return }
        gathered.writeWithOutputRawSpan(minimumWritableBytes: size + RPC.recordMarkSize) { output in
            output.encode(RPC.lastFragment | UInt32(size))
            encode(&output)
        }
        written()
    }

    /// Appends a record whose last `payloadCount` bytes (and padding) `fill` puts in place. When it
    /// answers false nothing is appended.
    func write(
        headSize: Int, payloadCount: Int, head: (inout OutputRawSpan) -> Void,
        fill: (UnsafeMutableRawBufferPointer) -> Bool
    ) -> Bool {
        guard context != nil else { return true }
        let size = headSize + paddedCount(payloadCount)
        var isFilled = false
        gathered.writeWithUnsafeMutableBytes(minimumWritableBytes: size + RPC.recordMarkSize) {
            memory in
            let start = headSize + RPC.recordMarkSize
            isFilled = fill(UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + payloadCount)]))
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
        guard let context else { return }
        let count = payload.readableBytes
        let size = headSize + paddedCount(count)
        gathered.writeWithOutputRawSpan(minimumWritableBytes: headSize + RPC.recordMarkSize) {
            output in
            output.encode(RPC.lastFragment | UInt32(size))
            head(&output)
        }
        handOver(context)
        context.write(wrapOutboundOut(payload), promise: nil)
        hasUnflushed = true
        if paddedCount(count) > count {
            gathered.writeRepeatingByte(0, count: paddedCount(count) - count)
        }
        written()
    }

    /// Appends a whole record that was encoded before.
    func write(record: [UInt8]) {
        guard context != nil else { return }
        gathered.writeInteger(RPC.lastFragment | UInt32(record.count))
        gathered.writeBytes(record)
        written()
    }

    private func written() {
        if !isReading {
            flush()
        } else if gathered.readableBytes > Self.gatheredBytesMaximum, let context {
            handOver(context)
        }
    }

    private func handOver(_ context: ChannelHandlerContext) {
        guard gathered.readableBytes > 0 else { return }
        context.write(wrapOutboundOut(gathered), promise: nil)
        hasUnflushed = true
        gathered.clear(minimumCapacity: Self.keptCapacity)
    }

    private func flush() {
        guard let context else { return }
        if gathered.readableBytes > 0 {
            // Flushed at once, so that the memory is ours again unless the socket is full.
            let buffer = gathered
            gathered = ByteBuffer()
            context.writeAndFlush(wrapOutboundOut(buffer), promise: nil)
            hasUnflushed = false
            gathered = buffer
            gathered.clear(minimumCapacity: Self.keptCapacity)
        } else if hasUnflushed {
            hasUnflushed = false
            context.flush()
        }
    }

    // MARK: Limits

    /// A call waits for something; too many of those stop the reading.
    func park() {
        parked += 1
        updatePause()
    }

    func unpark() {
        parked -= 1
        updatePause()
    }

    private func updatePause() {
        guard let context else { return }
        let shouldPause = parked >= Self.parkedMaximum || !context.channel.isWritable
        guard shouldPause != isPaused else { return }
        isPaused = shouldPause
        _ = context.channel.setOption(.autoRead, value: !shouldPause)
    }
}

/// One call, kept for as long as it is being worked on.
struct RPCCall {
    let header: RPC.CallHeader
    /// The whole record; offsets in ``header`` and in decoded arguments count from its start.
    let record: ByteBuffer
    let connection: RPCHandler

    /// Reads the arguments, which must take up the rest of the record.
    func arguments<T: XDRDecodable>(_: T.Type) throws(XDRError) -> T {
        var decoder = Decoder(record.readableBytesSpan, at: header.argumentsOffset)
        let value = try T(from: &decoder)
        try decoder.finish()
        return value
    }

    /// The same call without a hold on the receive buffer, for parking.
    func detached() -> RPCCall {
        RPCCall(
            header: header, record: ByteBuffer(bytes: record.readableBytesView),
            connection: connection)
    }

    /// Answers with a result of the procedure.
    func reply<T: XDREncodable>(_ result: T) {
        let xid = header.xid
        connection.write(size: RPC.successHeaderSize + result.encodedSize) { output in
            RPC.encodeSuccess(xid: xid, into: &output)
            result.encode(into: &output)
        }
    }

    /// Answers that the call cannot be carried out at all.
    func reject(_ error: RPC.AcceptError) {
        let xid = header.xid
        connection.write(size: error.encodedSize) { output in
            RPC.encode(error: error, xid: xid, into: &output)
        }
    }
}

extension Optional {
    /// Takes the value out, leaving nil: the caller then holds the only reference.
    fileprivate mutating func take() -> Wrapped? {
        let value = self
        self = nil
        return value
    }
}

import NFSClient
import NIOCore
import NIOPosix
import ROWTestKit
import Testing

/// A long line: late by half a round trip each way, at most as fast as its rate, and no slower.
@Suite struct LinkTests {
    @Test func aLineTakesItsRateAndItsDelayFromWhatIsSent() {
        var link = SimulatedLink(roundTrip: .milliseconds(68), bitsPerSecond: 100_000_000)
        let start = NIODeadline.uptimeNanoseconds(5)
        // All at once: the last byte is there after the time that the rate needs, and half a round trip.
        var last = start
        for _ in 0..<1000 {
            let arrival = link.arrival(of: 12_500, sentAt: start)
            #expect(arrival >= last)
            last = arrival
        }
        #expect(last == start + .seconds(1) + .milliseconds(34))
        // A line that was idle has saved nothing up.
        let later = start + .seconds(10)
        #expect(
            link.arrival(of: 12_500, sentAt: later) == later + .milliseconds(1) + .milliseconds(34))
    }

    @Test func manySmallSendsAreNoFasterThanTheLine() {
        var link = SimulatedLink(roundTrip: .zero, bitsPerSecond: 300_000_000)
        let start = NIODeadline.uptimeNanoseconds(0)
        var last = start
        for _ in 0..<300_000 { last = link.arrival(of: 1, sentAt: start) }
        #expect(last >= start + .milliseconds(8))
    }

    @Test func aLineWithoutARateIsOnlyLate() {
        var link = SimulatedLink(roundTrip: .milliseconds(23), bitsPerSecond: nil)
        let start = NIODeadline.uptimeNanoseconds(0)
        #expect(link.arrival(of: 1 << 30, sentAt: start) == start + .microseconds(11_500))
    }

    @Test func whatALineHoldsFitsIntoItsQueue() {
        let link = SimulatedLink(roundTrip: .milliseconds(200), bitsPerSecond: 1_000_000_000)
        #expect(link.queueBytesMaximum >= 12_500_000 + (4 << 20))
    }

    @Test func aCallTakesAtLeastTheRoundTrip() async throws {
        let server = try await SimulatedNFSServer.start()
        let relay = try await FaultyTransport.start(target: server.port)
        try await relay.setLink(roundTrip: .milliseconds(20), bitsPerSecond: nil)
        let client = try await server.client(port: relay.port)
        let start = ContinuousClock.now
        for _ in 0..<10 { try await client.null() }
        #expect(ContinuousClock.now - start >= .milliseconds(200))
        try await relay.removeLink()
        try await client.null()
        await client.close()
        try await relay.stop()
        try await server.stop()
    }

    /// Bytes come whole, in order and no faster than the rate. That they come as fast as it is shown in
    /// virtual time: here that would be a test of the machine.
    @Test func aTransferIsNoFasterThanTheRate() async throws {
        let (size, rate) = (6 << 20, 160_000_000)
        let source = try await Source.start(size: size)
        let relay = try await FaultyTransport.start(target: source.port)
        try await relay.setLink(roundTrip: .milliseconds(30), bitsPerSecond: rate)
        let atBest = Duration.seconds(Double(size * 8) / Double(rate))
        let start = ContinuousClock.now
        let bytes = try await source.fetch(from: relay.port)
        let time = ContinuousClock.now - start
        #expect(bytes == source.bytes)
        #expect(time >= atBest + .milliseconds(15))
        try await relay.stop()
        try await source.stop()
    }

    @Test func connectionsShareTheRate() async throws {
        let (size, rate) = (1 << 20, 160_000_000)
        let source = try await Source.start(size: size)
        let relay = try await FaultyTransport.start(target: source.port)
        try await relay.setLink(roundTrip: .milliseconds(10), bitsPerSecond: rate)
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
            for _ in 0..<4 { group.addTask { try await source.fetch(from: relay.port) } }
            for try await bytes in group { #expect(bytes == source.bytes) }
        }
        #expect(ContinuousClock.now - start >= .seconds(Double(4 * size * 8) / Double(rate)))
        try await relay.stop()
        try await source.stop()
    }

    /// More than the line and its queue hold comes whole too.
    @Test func aSenderThatIsFasterThanTheLineIsHeldUp() async throws {
        let source = try await Source.start(size: 12 << 20)
        let relay = try await FaultyTransport.start(target: source.port)
        try await relay.setLink(roundTrip: .milliseconds(2), bitsPerSecond: 400_000_000)
        #expect(try await source.fetch(from: relay.port) == source.bytes)
        try await relay.stop()
        try await source.stop()
    }
}

/// A server that sends the same bytes to whoever connects, and hangs up.
private struct Source {
    let bytes: ByteBuffer
    let port: Int
    private let listener: any Channel

    static func start(size: Int) async throws -> Source {
        var generator = SystemRandomNumberGenerator()
        var bytes = ByteBuffer()
        for _ in 0..<size / 8 { bytes.writeInteger(generator.next()) }
        let sent = bytes
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Sender(bytes: sent))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Source(bytes: bytes, port: listener.localAddress?.port ?? 0, listener: listener)
    }

    func stop() async throws { try await listener.close().get() }

    /// All that comes through a port until its end.
    func fetch(from port: Int) async throws -> ByteBuffer {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: ByteBuffer.self)
        let capacity = bytes.readableBytes
        do {
            _ = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(
                            Collector(promise, capacity: capacity))
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
        } catch {
            promise.fail(error)
        }
        return try await promise.futureResult.get()
    }
}

private final class Sender: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let bytes: ByteBuffer

    init(bytes: ByteBuffer) { self.bytes = bytes }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        channel.writeAndFlush(bytes).whenComplete { _ in channel.close(promise: nil) }
    }
}

private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let promise: EventLoopPromise<ByteBuffer>
    private var collected: ByteBuffer

    init(_ promise: EventLoopPromise<ByteBuffer>, capacity: Int) {
        self.promise = promise
        collected = ByteBufferAllocator().buffer(capacity: capacity)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        collected.writeImmutableBuffer(unwrapInboundIn(data))
    }

    func channelInactive(context: ChannelHandlerContext) { promise.succeed(collected) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

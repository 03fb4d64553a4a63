import Glibc
import NIOCore
import NIOPosix

/// The state of a ``FaultyTransport``. Loop-confined.
final class Relay {
    let target: Int
    var isRefusing = false
    var isSplitting = false
    private(set) var isStalled = false
    var isPatient = false
    var corruptOffsets: [FaultyTransport.Direction: Int] = [:]
    var connectionsAccepted = 0
    /// Empty when bytes go on at once.
    private var links: [FaultyTransport.Direction: SimulatedLink] = [:]
    private var halves: [ObjectIdentifier: RelayHandler] = [:]

    init(target: Int) { self.target = target }

    func accepted(_ client: any Channel) throws {
        connectionsAccepted += 1
        if isRefusing {
            client.close(promise: nil)
            return
        }
        let toServer = RelayHandler(
            self, .toServer, from: client, corrupting: corruptOffsets[.toServer])
        try client.closeOnExec()
        try client.pipeline.syncOperations.addHandler(toServer)
        // As it is now: it may be another when the target has answered.
        connect(client, toServer, corrupting: corruptOffsets[.toClient])
    }

    private func connect(
        _ client: any Channel, _ toServer: RelayHandler, corrupting offset: Int?
    ) {
        let relay = NIOLoopBound((self, toServer), eventLoop: client.eventLoop)
        ClientBootstrap(group: client.eventLoop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: false)
            .channelInitializer { server in
                server.eventLoop.makeCompletedFuture {
                    try server.closeOnExec()
                    let (owner, toServer) = relay.value
                    let toClient = RelayHandler(
                        owner, .toClient, from: server, corrupting: offset)
                    toClient.peer = client
                    toServer.opposite = toClient
                    toClient.opposite = toServer
                    try server.pipeline.syncOperations.addHandler(toClient)
                }
            }
            .connect(host: "127.0.0.1", port: target)
            .whenComplete { result in
                let (owner, toServer) = relay.value
                switch result {
                case .success(let server):
                    toServer.peer = server
                    owner.carry(toServer, client, server)
                case .failure where owner.isPatient && client.isActive:
                    client.eventLoop.scheduleTask(in: .milliseconds(5)) {
                        let (owner, toServer) = relay.value
                        owner.connect(client, toServer, corrupting: offset)
                    }
                case .failure:
                    client.close(promise: nil)
                }
            }
    }

    private func carry(_ toServer: RelayHandler, _ client: any Channel, _ server: any Channel) {
        for half in [toServer, toServer.opposite].compactMap(\.self) where half.source.isActive {
            halves[ObjectIdentifier(half.source)] = half
            half.updateReading()
        }
        // One end may be gone before the other was there.
        if !client.isActive || !server.isActive {
            client.close(promise: nil)
            server.close(promise: nil)
        }
    }

    func endAll(abortively: Bool) {
        for half in halves.values { end(half.source, abortively: abortively) }
    }

    func end(_ channel: any Channel, abortively: Bool) {
        if abortively, let provider = channel as? any SocketOptionProvider {
            // Closing with pending linger of zero seconds makes the system send RST.
            _ = provider.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        channel.close(promise: nil)
    }

    func closed(_ channel: any Channel) { halves[ObjectIdentifier(channel)] = nil }

    func setStalled(_ isStalled: Bool) {
        self.isStalled = isStalled
        for half in halves.values {
            half.updateReading()
            half.deliver()
        }
    }

    func setLink(_ link: SimulatedLink?) {
        for direction in FaultyTransport.Direction.allCases { links[direction] = link }
        for half in halves.values { half.updateReading() }
    }

    /// When bytes that are sent now arrive; nil for at once.
    func arrival(_ direction: FaultyTransport.Direction, of count: Int) -> NIODeadline? {
        links[direction]?.arrival(of: count, sentAt: .now())
    }

    /// Bytes that one half of a connection may have on their way before it stops reading.
    func queueBytesMaximum(_ direction: FaultyTransport.Direction) -> Int {
        links[direction]?.queueBytesMaximum ?? 1
    }
}

/// One half of a connection: what it reads goes to its peer, by way of the link when there is one.
final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    let source: any Channel
    var peer: (any Channel)?
    /// The other half, which writes to what this one reads from.
    weak var opposite: RelayHandler?
    private let relay: Relay
    private let direction: FaultyTransport.Direction
    private let corruptOffset: Int?
    private var offset = 0
    /// Bytes on their way, in the order of their arrival.
    private var queue = CircularBuffer<(bytes: ByteBuffer, arrival: NIODeadline)>()
    private var queuedBytes = 0
    private var timer: Scheduled<Void>?
    private var isReading = false
    private var isDelivering = false
    /// The source has ended; so does the peer when it has got what is on its way.
    private var hasEnded = false

    init(
        _ relay: Relay, _ direction: FaultyTransport.Direction, from source: any Channel,
        corrupting offset: Int?
    ) {
        self.relay = relay
        self.direction = direction
        self.source = source
        corruptOffset = offset
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if let target = corruptOffset, (offset..<offset + bytes.readableBytes).contains(target) {
            let index = bytes.readerIndex + target - offset
            let byte = bytes.getInteger(at: index, as: UInt8.self) ?? 0
            bytes.setInteger(byte ^ 0xFF, at: index)
        }
        offset += bytes.readableBytes
        let arrival = relay.arrival(direction, of: bytes.readableBytes)
        if arrival == nil, queue.isEmpty {
            send(bytes)
            return
        }
        // Never before what was sent earlier, also when the link has become a shorter one.
        let last = queue.last?.arrival ?? .uptimeNanoseconds(0)
        queue.append((bytes, max(arrival ?? last, last)))
        queuedBytes += bytes.readableBytes
        updateReading()
        if queue.count == 1 { schedule() }
    }

    private func send(_ bytes: ByteBuffer) {
        guard relay.isSplitting else {
            peer?.writeAndFlush(bytes, promise: nil)
            return
        }
        var bytes = bytes
        while let byte = bytes.readSlice(length: 1) { peer?.writeAndFlush(byte, promise: nil) }
    }

    /// Passes on what has arrived, as far as the peer takes it.
    func deliver() {
        guard !relay.isStalled, !isDelivering, let peer else { return }
        guard peer.isActive else {
            endPeer()
            return
        }
        // A peer that takes something says at once that it takes more.
        isDelivering = true
        let now = NIODeadline.now()
        while let first = queue.first, first.arrival <= now, peer.isWritable {
            queue.removeFirst()
            queuedBytes -= first.bytes.readableBytes
            send(first.bytes)
        }
        isDelivering = false
        updateReading()
        if !queue.isEmpty {
            if peer.isWritable { schedule() }
        } else if hasEnded {
            endPeer()
        }
    }

    private func schedule() {
        guard let first = queue.first else { return }
        timer?.cancel()
        let bound = NIOLoopBound(self, eventLoop: source.eventLoop)
        timer = source.eventLoop.scheduleTask(deadline: first.arrival) { bound.value.deliver() }
    }

    /// Reads, unless the relay is stalled or enough is on its way.
    func updateReading() {
        let maximum = relay.queueBytesMaximum(direction)
        // Begins again at half: an option of the channel is not changed for every read.
        let hasRoom = queuedBytes < (isReading ? maximum : max(maximum / 2, 1))
        let mayRead = hasRoom && !relay.isStalled && !hasEnded
        guard mayRead != isReading else { return }
        isReading = mayRead
        let source = source
        source.setOption(.autoRead, value: mayRead).whenFailure { _ in source.close(promise: nil) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { opposite?.deliver() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        hasEnded = true
        if queue.isEmpty || peer?.isActive != true { endPeer() }
    }

    private func endPeer() {
        relay.closed(source)
        timer?.cancel()
        queue.removeAll()
        if let peer {
            if relay.isPatient {
                relay.end(peer, abortively: true)
            } else {
                // Closing at once would drop what the peer has not taken yet.
                peer.writeAndFlush(ByteBuffer()).whenComplete { _ in peer.close(promise: nil) }
            }
        }
        peer = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension Channel {
    /// Keeps the socket from the programs that tests start: one that held it would keep the connection
    /// open when this end closes it.
    func closeOnExec() throws {
        try pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            _ = fcntl($0, F_SETFD, FD_CLOEXEC)
        }
    }
}

import NFSClient
import NFSProtocol
import NIOCore
import NIOPosix
import ONCRPC
import ROWProxy
import ROWTestKit
import Synchronization
import Testing
import XDR

/// The port mapper's questions, answered over UDP and TCP (RFC 1833 §3).
@Suite struct PortmapTests {
    private func serve() async throws -> (Served, Int) {
        let served = try await Served.directory {
            $0.portmap = Proxy.PortmapAddress(port: LoopbackPort.free())
        }
        return (served, try #require(served.proxy.portmapPort))
    }

    private func call(
        _ procedure: UInt32, version: UInt32 = 2, program: UInt32 = Portmap.program,
        _ arguments: [UInt8] = []
    ) -> [UInt8] {
        Message.call(
            xid: 77, program: program, version: version, procedure: procedure, credential: .none,
            arguments)
    }

    private func question(_ program: UInt32, _ version: UInt32, _ transport: Portmap.Transport)
        -> [UInt8]
    {
        Portmap.Mapping(program: program, version: version, transport: transport).encoded()
    }

    /// Asks over TCP and over UDP, which must agree.
    private func ask(_ port: Int, _ message: [UInt8]) async throws -> [UInt8] {
        let raw = try await RawConnection.connect(port: port)
        raw.send(Message.record(message))
        let stream = try #require(try await raw.next())
        let datagrams = try await Datagrams.open()
        try await datagrams.send(message, to: port)
        #expect(try await datagrams.next() == stream)
        try await datagrams.close()
        try await raw.close()
        return stream
    }

    @Test func portsOfWhatIsServedAreTold() async throws {
        let (served, port) = try await serve()
        _ = try await ask(port, call(0))
        let cases: [(UInt32, UInt32, Portmap.Transport, Int)] = [
            (NFS3.program, 3, .tcp, served.port), (Mount.program, 3, .tcp, served.port),
            (Mount.program, 1, .tcp, served.port), (NFS3.program, 3, .udp, 0),
            (100_021, 4, .tcp, 0), (Portmap.program, 2, .udp, port),
        ]
        for (program, version, transport, expected) in cases {
            let reply = try await ask(port, call(3, question(program, version, transport)))
            #expect(
                try reply.results(Portmap.Getport.Result.self).port == UInt32(expected),
                "\(program) \(version)")
        }
        let dump = try await ask(port, call(4)).results(Portmap.Dump.Result.self)
        #expect(
            dump.mappings.contains(
                Portmap.Mapping(
                    program: NFS3.program, version: 3, transport: .tcp, port: UInt32(served.port))))
        try await served.stop()
    }

    @Test func nothingCanBeRegisteredOrForwarded() async throws {
        let (served, port) = try await serve()
        for procedure in [1, 2] as [UInt32] {
            let reply = try await ask(port, call(procedure, question(1, 1, .tcp)))
            #expect(try !reply.results(Portmap.Acceptance.self).accepted)
        }
        let errors: [([UInt8], RPC.AcceptError)] = [
            (call(5, [UInt8](repeating: 0, count: 16)), .procUnavail), (call(9), .procUnavail),
            (call(3), .garbageArgs), (call(3, version: 3), .progMismatch(low: 2, high: 2)),
            (call(3, version: 4), .progMismatch(low: 2, high: 2)),
            (call(0, program: NFS3.program), .progUnavail),
        ]
        for (message, error) in errors {
            let reply = try await ask(port, message)
            #expect(try RPC.parseReply(reply.span.bytes).outcome == .acceptError(error))
        }
        try await served.stop()
    }

    @Test func garbageIsIgnoredOrEndsItsConnection() async throws {
        let seed = Seed()
        var random = seed.makeGenerator()
        let (served, port) = try await serve()
        let datagrams = try await Datagrams.open()
        for _ in 0..<100 {
            let count = Int.random(in: 0...200, using: &random)
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            try await datagrams.send(bytes, to: port)
        }
        try await datagrams.send(call(0), to: port)
        let reply = try await datagrams.next()
        #expect(try RPC.parseReply(reply.span.bytes).xid == 77, "\(seed)")
        try await datagrams.close()
        for bytes in [[0x7F, 0xFF, 0xFF, 0xFF], Message.record([1, 2, 3])] as [[UInt8]] {
            let raw = try await RawConnection.connect(port: port)
            raw.send(bytes)
            #expect(try await raw.next() == nil)
        }
        _ = try await ask(port, call(0))
        try await served.stop()
    }

    @Test func aClientWithoutPortsFindsItsWay() async throws {
        let (served, port) = try await serve()
        var options = NFSClient.Options()
        options.portmapPort = port
        let client = try await NFSClient.connect(NFSURL("nfs://127.0.0.1/s"), options: options)
        #expect(client.rootHandle == served.root)
        #expect(try await client.getattr(client.rootHandle).status == .ok)
        await client.close()
        try await served.stop()
    }
}

/// A UDP socket on loopback.
private final class Datagrams: Sendable {
    private let channel: any Channel
    private let received: Received

    static func open() async throws -> Datagrams {
        let received = Received()
        let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Handler(received))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return Datagrams(channel, received)
    }

    private init(_ channel: any Channel, _ received: Received) {
        self.channel = channel
        self.received = received
    }

    func send(_ bytes: [UInt8], to port: Int) async throws {
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
        try await channel.writeAndFlush(
            AddressedEnvelope(remoteAddress: address, data: ByteBuffer(bytes: bytes)))
    }

    func next() async throws -> [UInt8] {
        try await poll(for: "datagram", within: .seconds(20)) {
            received.list.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        }
    }

    func close() async throws { try await channel.close() }

    final class Received: Sendable {
        let list = Mutex<[[UInt8]]>([])
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>

        private let received: Received

        init(_ received: Received) { self.received = received }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = Array(unwrapInboundIn(data).data.readableBytesView)
            received.list.withLock { $0.append(bytes) }
        }
    }
}

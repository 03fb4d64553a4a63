import Glibc
public import NFSProtocol
public import NIOCore
import NIOPosix
import ONCRPC
import Synchronization
import XDR

/// An NFSv3 server in this process, over an in-memory tree, that misbehaves on request. It is read-only
/// unless told otherwise; then it forgets UNSTABLE WRITEs when it is rebooted.
///
/// One port on 127.0.0.1 serves NFS, MOUNT and the port mapper. It counts calls, and its replies can
/// be dropped, held back, doubled or damaged. Every method may be called from any task.
public final class SimulatedNFSServer: Sendable {
    /// What happens to a reply.
    public enum Fault: Sendable {
        case drop
        /// Kept until ``release()``.
        case hold
        /// Sent twice.
        case duplicate
        /// The byte at this offset of the record is inverted.
        case corrupt(at: Int)
        /// Only this many bytes of the record are sent, as a record of their own.
        case truncate(to: Int)
        /// The connection is closed in its place.
        case disconnect
        /// Not done, and refused with this status and without attributes.
        case refuse(NFS3.Status)
        /// A WRITE takes only this many bytes.
        case shorten(to: Int)
        /// The server is rebooted in place of it, see ``reboot(losingWrites:changingHandles:)``.
        case reboot
    }

    public let port: Int
    /// The port as both NFS's and MOUNT's, and the path of the tree's root.
    public var export: NFSExport { NFSExport(port: port, mountPort: port, path: "/export") }

    private let core: Core
    private let listener: any Channel

    /// Starts a server.
    /// - Parameter port: where to listen; 0 for any free port.
    /// - Parameter handleTag: begins every handle, so that replicas have different ones.
    /// - Parameter fileidOffset: is added to every fileid, for the same reason.
    public static func start(
        _ tree: SimulatedTree.Item = SimulatedTree.sample, port: Int = 0, handleTag: UInt32 = 0x53,
        fileidOffset: UInt64 = 0, isWritable: Bool = false
    ) async throws -> SimulatedNFSServer {
        let core = Core(
            tree: SimulatedTree(tree, fileidOffset: fileidOffset), handleTag: handleTag,
            isWritable: isWritable)
        let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.closeOnExec()
                    try channel.pipeline.syncOperations.addHandler(SimulatedConnection(core: core))
                }
            }
        // Below the range of outgoing connections, so that it can come back at the same one; and a
        // program that another test starts may hold a listener for the moment before its own begin.
        let listener = try await poll(for: "port to listen on", within: .seconds(20)) {
            do {
                let port = port == 0 ? LoopbackPort.free() : port
                return try await bootstrap.bind(host: "127.0.0.1", port: port).get()
            } catch let error as IOError where error.errnoCode == EADDRINUSE {
                return nil as (any Channel)?
            }
        }
        return SimulatedNFSServer(core: core, listener: listener)
    }

    private init(core: Core, listener: any Channel) {
        self.core = core
        self.listener = listener
        port = listener.localAddress?.port ?? 0
        core.state.withLock { $0.port = UInt32(port) }
    }

    /// Stops listening and closes every connection.
    public func stop() async throws {
        try await listener.close().get()
        disconnectAll()
    }

    /// Closes every connection; new ones are taken.
    public func disconnectAll() {
        for channel in core.state.withLock({ $0.connections.values.map(\.self) }) {
            channel.close(promise: nil)
        }
    }

    /// LOOKUPs of `.rowfs`: each process that serves an image looks for its manifest once. They are in no other
    /// count, and have no faults.
    public var manifestSearches: Int { core.state.withLock { $0.manifestSearches } }

    /// Calls of an NFS procedure that arrived, retransmitted ones counted again.
    public func calls(_ procedure: NFS3.Procedure) -> Int {
        core.state.withLock { $0.calls[procedure, default: 0] }
    }

    /// The same, each counted once however often it was sent.
    public func distinctCalls(_ procedure: NFS3.Procedure) -> Int {
        core.state.withLock { $0.xids[procedure, default: []].count }
    }

    /// Connections that were made so far.
    public var connectionsAccepted: Int { core.state.withLock { $0.connectionsAccepted } }

    /// Replies that wait for ``release()``.
    public var repliesHeld: Int { core.state.withLock { $0.held.count } }

    /// The local port of the client of each open connection.
    public var clientPorts: [Int] {
        core.state.withLock { $0.connections.values.compactMap(\.remoteAddress?.port) }
    }

    /// Applies `fault` to the next `times` replies of an NFS procedure, after the first `skipping`.
    public func inject(
        _ fault: Fault, on procedure: NFS3.Procedure, times: Int = 1, skipping: Int = 0
    ) {
        core.state.withLock {
            $0.rules.append(
                Rule(procedure: procedure, fault: fault, skipping: skipping, remaining: times))
        }
    }

    /// Ends all faults that were injected.
    public func clearFaults() { core.state.withLock { $0.rules = [] } }

    /// Sends the replies that are held, the oldest first, and holds no more because of earlier rules.
    public func release() {
        let held = core.state.withLock { state in
            state.rules.removeAll { if case .hold = $0.fault { true } else { false } }
            defer { state.held = [] }
            return state.held
        }
        for (channel, reply) in held { channel.writeAndFlush(reply, promise: nil) }
    }

    /// Whether calls are read but none is answered or counted.
    public func setSilent(_ isSilent: Bool) { core.state.withLock { $0.isSilent = isSilent } }

    /// Has calls of NFS procedures answered by a program of the test from now on, except where it has no answer.
    /// - Parameter script: what goes onto the connection, record marks and all; it may be nothing. It is called
    ///   on the connections' threads.
    public func setScript(_ script: (@Sendable (Exchange) -> [UInt8]?)?) {
        core.state.withLock { $0.script = script }
    }

    /// How long every reply from now on waits, as over a long way.
    public func setDelay(_ delay: TimeAmount) { core.state.withLock { $0.delay = delay } }

    /// Calls of all NFS procedures but NULL that arrived.
    public var callsOfAnyKind: Int {
        core.state.withLock { state in
            state.calls.reduce(0) { $0 + ($1.key == .null ? 0 : $1.value) }
        }
    }

    /// Ends every connection and begins anew, with another write verifier.
    /// - Parameter losingWrites: undoes the WRITEs that no COMMIT covered.
    /// - Parameter changingHandles: whether it knows its earlier handles no more.
    public func reboot(losingWrites: Bool = true, changingHandles: Bool = false) {
        core.reboot(losingWrites: losingWrites)
        if changingHandles { core.handleTag.add(1, ordering: .relaxed) }
        disconnectAll()
    }

    /// What is in the file at a path; nil when there is none.
    public func contents(_ path: String) -> [UInt8]? {
        core.state.withLock { state in
            state.tree.id(at: path.utf8).flatMap { state.tree.bytes(of: $0) }
        }
    }

    /// The names in the directory at a path, sorted, and the mode of each; nil when there is none.
    public func listing(_ path: String) -> [(name: String, mode: UInt32)]? {
        core.state.withLock { state in
            guard let id = state.tree.id(at: path.utf8),
                case .directory(let entries, _)? = state.tree.objects[id]?.content
            else { return nil }
            return entries.map { name, id in
                (
                    String(decoding: name, as: UTF8.self),
                    state.tree.objects[id]?.attributes.mode ?? 0
                )
            }.sorted { $0.name < $1.name }
        }
    }

    /// Puts other bytes into the file at a path such as "directory/file1".
    public func changeFile(_ path: String, to bytes: [UInt8]) {
        core.state.withLock { state in
            guard let id = state.tree.id(at: path.utf8) else { return }
            state.tree.change(id, to: bytes)
        }
    }

    /// Puts other bytes into the file at a path, of which its attributes do not tell.
    public func damageFile(_ path: String, to bytes: [UInt8]) {
        core.state.withLock { state in
            guard let id = state.tree.id(at: path.utf8) else { return }
            state.tree.damage(id, to: bytes)
        }
    }

    /// Changes the ctime of the object at a path, and nothing else.
    public func touch(_ path: String) {
        core.state.withLock { state in
            guard let id = state.tree.id(at: path.utf8) else { return }
            state.tree.touch(id)
        }
    }

    /// Makes the handles of the object at a path stale.
    public func forget(_ path: String) {
        core.state.withLock { state in
            guard let id = state.tree.id(at: path.utf8) else { return }
            state.tree.forget(id)
        }
    }

    /// The handle of the object at a path; nil when there is none.
    public func handle(_ path: String) -> NFS3.FileHandle? {
        core.state.withLock { state in state.tree.id(at: path.utf8) }.map { core.handle(of: $0) }
    }
}

extension SimulatedNFSServer {
    /// A call, and what a server that means well answers.
    public struct Exchange: Sendable {
        public let procedure: NFS3.Procedure
        public let xid: UInt32
        public let arguments: [UInt8]
        /// Without its record mark.
        public let reply: [UInt8]

        /// What comes behind the reply's header.
        public var results: [UInt8] { Array(reply.dropFirst(RPC.successHeaderSize)) }

        /// Other results as a whole record.
        /// - Parameter xid: of another call, perhaps.
        public func record(_ results: [UInt8], xid: UInt32? = nil) -> [UInt8] {
            Message.record(
                Message.encoded(RPC.successHeaderSize) {
                    RPC.encodeSuccess(xid: xid ?? self.xid, into: &$0)
                } + results)
        }
    }

    struct Rule {
        let procedure: NFS3.Procedure
        let fault: Fault
        var skipping: Int
        var remaining: Int
    }

    struct State {
        var tree: SimulatedTree
        var port: UInt32 = 0
        var calls: [NFS3.Procedure: Int] = [:]
        var manifestSearches = 0
        var xids: [NFS3.Procedure: Set<UInt32>] = [:]
        var rules: [Rule] = []
        var isSilent = false
        var script: (@Sendable (Exchange) -> [UInt8]?)?
        var delay = TimeAmount.zero
        var held: [(channel: any Channel, reply: ByteBuffer)] = []
        var connections: [ObjectIdentifier: any Channel] = [:]
        var connectionsAccepted = 0
        var verifier: UInt64 = 0x5645_5200
        /// The contents of files before the WRITEs that no COMMIT has covered yet.
        var committed: [UInt64: [UInt8]] = [:]

        /// The fault for the next reply of `procedure`; the first rule that applies is used up.
        mutating func takeFault(for procedure: NFS3.Procedure) -> Fault? {
            for index in rules.indices where rules[index].procedure == procedure {
                if rules[index].skipping > 0 {
                    rules[index].skipping -= 1
                } else if rules[index].remaining > 0 {
                    rules[index].remaining -= 1
                    return rules[index].fault
                }
            }
            return nil
        }
    }

    /// What the connections share.
    final class Core: Sendable {
        let state: Mutex<State>
        let handleTag: Atomic<UInt32>
        let isWritable: Bool

        init(tree: SimulatedTree, handleTag: UInt32, isWritable: Bool) {
            state = Mutex(State(tree: tree))
            self.handleTag = Atomic(handleTag)
            self.isWritable = isWritable
        }

        func reboot(losingWrites: Bool) {
            state.withLock { state in
                state.verifier += 1
                if losingWrites {
                    for (id, bytes) in state.committed { state.tree.change(id, to: bytes) }
                }
                state.committed = [:]
            }
        }
    }
}

/// One connection: records in, replies out.
private final class SimulatedConnection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let core: SimulatedNFSServer.Core
    private var scanner = RecordScanner()
    private var received: [UInt8] = []

    init(core: SimulatedNFSServer.Core) { self.core = core }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        core.state.withLock {
            $0.connections[ObjectIdentifier(channel)] = channel
            $0.connectionsAccepted += 1
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let id = ObjectIdentifier(context.channel)
        core.state.withLock { _ = $0.connections.removeValue(forKey: id) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received += unwrapInboundIn(data).readableBytesView
        while let record = nextRecord(context) {
            answer(record, context)
        }
        context.flush()
    }

    /// Whether a LOOKUP, whose last argument is the name, is for a manifest.
    private static func isManifestSearch(_ record: [UInt8]) -> Bool {
        record.suffix(12) == [0, 0, 0, 6] + Array(".rowfs".utf8) + [0, 0]
    }

    private func nextRecord(_ context: ChannelHandlerContext) -> [UInt8]? {
        do throws(RecordError) {
            let record: [UInt8]
            let bytes = received
            switch try scanner.scan(bytes.span.bytes) {
            case .record(let consumed, let body):
                record = Array(received[body])
                received.removeFirst(consumed)
            case .fragments(let consumed, let ranges):
                record = ranges.flatMap { received[$0] }
                received.removeFirst(consumed)
            case .incomplete: return nil
            }
            return record
        } catch {
            context.close(promise: nil)
            return nil
        }
    }

    private func answer(_ record: [UInt8], _ context: ChannelHandlerContext) {
        if core.state.withLock({ $0.isSilent }) { return }
        let call: RPC.CallHeader
        switch RPC.parseCall(record.span.bytes) {
        case .call(let header): call = header
        case .reject(let xid, let rejection):
            send(
                encoded(rejection.encodedSize) {
                    RPC.encode(error: rejection, xid: xid, into: &$0)
                }, context)
            return
        case .notACall:
            context.close(promise: nil)
            return
        }
        guard call.program == NFS3.program,
            let procedure = NFS3.Procedure(rawValue: call.procedure)
        else {
            send(core.reply(to: call, record: record), context)
            return
        }
        let isSearch = procedure == .lookup && Self.isManifestSearch(record)
        let fault = core.state.withLock { state in
            if isSearch {
                state.manifestSearches += 1
                return SimulatedNFSServer.Fault?.none
            }
            state.calls[procedure, default: 0] += 1
            state.xids[procedure, default: []].insert(call.xid)
            return state.takeFault(for: procedure)
        }
        if case .refuse(let status) = fault {
            let head = encoded(RPC.successHeaderSize) {
                RPC.encodeSuccess(xid: call.xid, into: &$0)
            }
            send(head + Self.refusal(of: procedure, status), context)
            return
        }
        if case .reboot = fault {
            core.reboot(losingWrites: true)
            context.close(promise: nil)
            return
        }
        var limit = Int.max
        if case .shorten(let count) = fault { limit = count }
        let reply = core.reply(to: call, record: record, writeLimit: limit)
        if let script = core.state.withLock(\.script),
            let bytes = script(
                SimulatedNFSServer.Exchange(
                    procedure: procedure, xid: call.xid,
                    arguments: Array(record[call.argumentsOffset...]), reply: reply))
        {
            context.write(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            return
        }
        switch fault {
        case nil, .shorten, .refuse, .reboot: send(reply, context)
        case .drop: break
        case .hold:
            let held = (channel: context.channel, reply: framed(reply))
            core.state.withLock { $0.held.append(held) }
        case .duplicate:
            send(reply, context)
            send(reply, context)
        case .corrupt(let offset):
            var damaged = reply
            if damaged.indices.contains(offset) { damaged[offset] ^= 0xFF }
            send(damaged, context)
        case .truncate(let count): send(Array(reply.prefix(count)), context)
        case .disconnect: context.close(promise: nil)
        }
    }

    private static func refusal(of procedure: NFS3.Procedure, _ status: NFS3.Status) -> [UInt8] {
        switch procedure {
        case .setattr, .write, .commit, .create, .mkdir, .symlink, .mknod, .remove, .rmdir:
            NFS3.Commit.Result.failure(status, .init(wcc: NFS3.WCCData())).encoded()
        default: NFS3.Readdirplus.Result.failure(status, .init(nil)).encoded()
        }
    }

    private func send(_ reply: [UInt8], _ context: ChannelHandlerContext) {
        let delay = core.state.withLock { $0.delay }
        if delay > .zero {
            let (channel, reply) = (context.channel, framed(reply))
            context.eventLoop.scheduleTask(in: delay) {
                channel.writeAndFlush(reply, promise: nil)
            }
            return
        }
        context.write(wrapOutboundOut(framed(reply)), promise: nil)
    }

    private func framed(_ reply: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer(integer: RPC.lastFragment | UInt32(reply.count))
        buffer.writeBytes(reply)
        return buffer
    }
}

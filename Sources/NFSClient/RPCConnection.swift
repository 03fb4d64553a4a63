public import NIOCore
import NIOSSL
public import ONCRPC
import XDR

/// A pipelined connection to one ONC RPC server over TCP (RFC 5531), driven by callbacks.
///
/// Loop-confined: it belongs to one event loop, and everything here, completions too, runs on it.
/// That is why it takes no locks and allocates no promise per call, and why it is not `Sendable`.
/// Calls made in one turn of the loop leave in one flush.
///
/// A connection is made when the first call needs it, and again while calls wait (see
/// ``Options/reconnection``). ``close()`` must be called in the end; the loop must outlive it.
public final class RPCConnection {
    /// Names a call, for ``cancel(_:)``.
    public struct CallID: Hashable, Sendable {
        let number: UInt64
    }

    public typealias Completion = (Result<RPCReply, NFSClientError>) -> Void

    /// A call from ``call`` to its completion. Its xid is that of its slot.
    struct PendingCall {
        let id: CallID
        /// The call from behind the xid to the end of its arguments.
        let message: ByteBuffer
        let payload: ByteBuffer?
        let summary: Summary
        let deadline: UInt64
        let completion: Completion
        /// When it took its slot: the connection it was first sent over, 0 for none yet, and how many
        /// replies had arrived by then.
        var connectionNumber: UInt64 = 0
        var repliesBefore: UInt64 = 0

        var sentBytes: Int { message.readableBytes + (payload?.readableBytes ?? 0) }
    }

    /// What an error says about the call it ends.
    struct Summary {
        let program: UInt32
        let procedure: UInt32
        let timeout: TimeAmount
    }

    public let eventLoop: any EventLoop
    public let host: String
    public let port: Int
    public let options: Options
    public internal(set) var statistics = Statistics()
    /// Why the last connection ended or could not be made. Stays when the next one is made.
    public internal(set) var lastError: NFSClientError?
    /// Told when a connection that was made has ended, before the calls that it takes along fail. Not
    /// told of ``close()``.
    public var onDisconnect: ((NFSClientError) -> Void)?

    var transport = Transport.idle
    var localPorts: LocalPorts
    /// What the next handshake is made with.
    var tlsContext: NIOSSLContext?
    /// Connections made so far.
    var connectionsMade: UInt64 = 0
    /// Complete replies so far, over all connections.
    var repliesReceived: UInt64 = 0
    /// Failed attempts and lost connections since the last reply.
    var failuresInSequence = 0
    var connectWaiters: [(Result<Void, NFSClientError>) -> Void] = []
    var isReading = false
    var sender = RecordSender()

    private var calls: CallTable<PendingCall>
    private var waiting = CircularBuffer<PendingCall>()
    private var bytesInFlight = 0
    private var nextCallNumber: UInt64 = 0
    private var isFlushScheduled = false
    private var deadlineTimer: (deadline: UInt64, task: Scheduled<Void>)?

    /// - Parameter host: a name or an address without brackets.
    /// - Parameter eventLoop: where it lives; the caller is on it.
    public init(host: String, port: Int, options: Options = Options(), eventLoop: any EventLoop) {
        eventLoop.preconditionInEventLoop()
        precondition(options.callsInFlightMaximum > 0)
        self.eventLoop = eventLoop
        self.host = host
        self.port = port
        self.options = options
        localPorts = LocalPorts(options.reservedPort)
        calls = CallTable(
            capacity: options.callsInFlightMaximum, firstGeneration: .random(in: 0 ... .max))
    }

    public var isConnected: Bool {
        if case .connected = transport { true } else { false }
    }

    /// Calls that were sent, or will be once there is a connection, and are not answered.
    public var callsInFlight: Int { calls.count }
    /// Calls that wait for a place among those in flight.
    public var callsWaiting: Int { waiting.count }

    /// Makes the connection now rather than with the first call.
    /// - Parameter completion: told how the next attempt ends. Calls may be made before.
    public func connect(_ completion: @escaping (Result<Void, NFSClientError>) -> Void) {
        eventLoop.preconditionInEventLoop()
        switch transport {
        case .closed:
            later { completion(.failure(self.closedError)) }
        case .connected:
            later { completion(.success(())) }
        case .idle, .connecting, .pausing:
            connectWaiters.append(completion)
            startTransport()
        }
    }

    /// Makes a call.
    /// - Parameter credential: who makes it.
    /// - Parameter argumentsSize: the bytes that `encode` appends, exactly.
    /// - Parameter encode: writes the arguments. Called once, before this method returns.
    /// - Parameter payload: opaque data that ends the arguments; its padding is added here.
    /// - Parameter timeout: from now to when the call fails with
    ///   ``NFSClientError/Code/timedOut``, however often it was sent.
    /// - Parameter completion: called once, after this method has returned.
    @discardableResult
    public func call(
        program: UInt32, version: UInt32, procedure: UInt32, credential: RPC.Credential,
        argumentsSize: Int, encode: (inout OutputRawSpan) -> Void, payload: ByteBuffer? = nil,
        timeout: TimeAmount, completion: @escaping Completion
    ) -> CallID {
        eventLoop.preconditionInEventLoop()
        let id = CallID(number: nextCallNumber)
        nextCallNumber += 1
        if Int(procedure) < statistics.callsByProcedure.count {
            statistics.callsByProcedure[Int(procedure)] += 1
        }
        if case .closed = transport {
            later { completion(.failure(self.closedError)) }
            return id
        }

        let size = RPC.callHeaderSize(credential) + argumentsSize
        var message = ByteBufferAllocator().buffer(capacity: size)
        message.writeWithOutputRawSpan(minimumWritableBytes: size) { output in
            RPC.encodeCall(
                xid: 0, program: program, version: version, procedure: procedure,
                credential: credential, into: &output)
            encode(&output)
        }
        precondition(message.readableBytes == size, "encode did not write argumentsSize bytes")
        // The xid is known only when the call takes its slot, and is written then.
        message.moveReaderIndex(forwardBy: 4)

        let pending = PendingCall(
            id: id, message: message, payload: payload,
            summary: Summary(program: program, procedure: procedure, timeout: timeout),
            deadline: (NIODeadline.now() + timeout).uptimeNanoseconds, completion: completion)
        if waiting.isEmpty && hasRoom(for: pending) {
            begin(pending)
        } else if waiting.count < options.callsWaitingMaximum {
            waiting.append(pending)
        } else {
            later { completion(.failure(self.queueFullError)) }
            return id
        }
        armDeadlineTimer(for: pending.deadline)
        startTransport()
        return id
    }

    /// Gives up on a call: it fails with ``NFSClientError/Code/cancelled``, unless it has ended. The
    /// server may or may not carry it out.
    public func cancel(_ id: CallID) {
        eventLoop.preconditionInEventLoop()
        var found: PendingCall?
        if let index = waiting.firstIndex(where: { $0.id == id }) {
            found = waiting.remove(at: index)
        } else if let xid = calls.xidsInOrder.first(where: { calls.context(of: $0)?.id == id }) {
            found = takeOut(xid: xid)
        }
        guard let found else { return }
        beginWaiting()
        let what = describe(found.summary)
        later { found.completion(.failure(NFSClientError(.cancelled, "\(what) was cancelled"))) }
    }

    /// Ends the connection to the server, if there is one: calls in flight are sent again over the next,
    /// with the xids that they had. For calls that a server which answers others seems to have lost.
    public func reconnect() {
        eventLoop.preconditionInEventLoop()
        dropTransport(lostCallError)
    }

    /// Fails every call with ``NFSClientError/Code/closed`` and ends the connection for good.
    public func close() {
        eventLoop.preconditionInEventLoop()
        if case .closed = transport { return }
        stopTransport()
        failAll(with: closedError)
    }
}

// MARK: - The life of a call

extension RPCConnection {
    private func hasRoom(for call: PendingCall) -> Bool {
        guard calls.count < options.callsInFlightMaximum else { return false }
        return calls.isEmpty || bytesInFlight + call.sentBytes <= options.bytesInFlightMaximum
    }

    /// - Precondition: there is room for it.
    private func begin(_ call: PendingCall) {
        var call = call
        call.repliesBefore = repliesReceived
        if isConnected { call.connectionNumber = connectionsMade }
        guard let xid = calls.begin(call, deadline: call.deadline) else {
            preconditionFailure("the table has callsInFlightMaximum slots")
        }
        bytesInFlight += call.sentBytes
        if isConnected { transmit(call, xid: xid) }
    }

    private func beginWaiting() {
        while let first = waiting.first, hasRoom(for: first) {
            begin(waiting.removeFirst())
        }
    }

    private func takeOut(xid: UInt32) -> PendingCall? {
        guard case .complete(let call) = calls.received(xid: xid) else { return nil }
        bytesInFlight -= call.sentBytes
        return call
    }

    private func transmit(_ call: PendingCall, xid: UInt32) {
        guard case .connected(let context) = transport else { return }
        let payloadBytes = call.payload.map { ($0.readableBytes + 3) & ~3 } ?? 0
        let size = 4 + call.message.readableBytes + payloadBytes
        Traffic.send(RPC.recordMarkSize + size)
        sender.append(
            mark: RPC.lastFragment | UInt32(size), xid: xid, message: call.message,
            payload: call.payload
        ) { context.write(NIOAny($0), promise: nil) }
        // While a read is delivered, its end flushes.
        if !isReading { scheduleFlush() }
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        later {
            self.isFlushScheduled = false
            self.flush()
        }
    }

    func flush() {
        guard case .connected(let context) = transport else { return }
        if sender.finish(write: { context.write(NIOAny($0), promise: nil) }) { context.flush() }
    }

    /// Sends everything in flight over a connection that was just made.
    func transmitAll() {
        for xid in calls.xidsInOrder {
            guard let call = calls.context(of: xid) else { continue }
            if call.connectionNumber != 0 { statistics.retransmissions += 1 }
            transmit(call, xid: xid)
        }
        flush()
    }

    /// A whole record arrived.
    func receive(_ record: ByteBuffer) {
        repliesReceived += 1
        failuresInSequence = 0
        let result: Result<RPCReply, NFSClientError>
        let xid: UInt32
        do throws(XDRError) {
            let reply = try RPC.parseReply(record.readableBytesSpan)
            xid = reply.xid
            switch reply.outcome {
            case .success(let offset):
                result = .success(RPCReply(buffer: record, resultsOffset: offset))
            case .acceptError(let error):
                result = .failure(failedError(error))
            case .rejection(let rejection):
                result = .failure(rejectedError(rejection))
            }
        } catch {
            // The framing is intact, so only the call it answers suffers.
            guard let first = record.getInteger(at: record.readerIndex, as: UInt32.self) else {
                statistics.unexpectedReplies += 1
                return
            }
            xid = first
            result = .failure(malformedError(error))
        }
        guard let call = takeOut(xid: xid) else {
            statistics.unexpectedReplies += 1
            return
        }
        beginWaiting()
        call.completion(result)
    }

    /// Whether the connection is of use to somebody.
    var hasCalls: Bool { !calls.isEmpty || !waiting.isEmpty }

    func failAll(with error: NFSClientError) {
        let ended = calls.removeAll().map(\.context) + waiting
        waiting.removeAll()
        bytesInFlight = 0
        deadlineTimer?.task.cancel()
        deadlineTimer = nil
        let waiters = connectWaiters
        connectWaiters = []
        later {
            for waiter in waiters { waiter(.failure(error)) }
            for call in ended { call.completion(.failure(error)) }
        }
    }

    /// Runs `action` in the next turn of the loop.
    private func later(_ action: @escaping () -> Void) {
        eventLoop.assumeIsolated().execute(action)
    }
}

// MARK: - Deadlines

extension RPCConnection {
    /// One timer serves all calls: it is set to the earliest deadline it was told of, and looks for
    /// the next one when it fires. Calls that are answered in time never touch it again.
    private func armDeadlineTimer(for deadline: UInt64) {
        if let timer = deadlineTimer {
            guard deadline < timer.deadline else { return }
            timer.task.cancel()
        }
        let task = eventLoop.assumeIsolated().scheduleTask(
            deadline: .uptimeNanoseconds(deadline)
        ) {
            self.deadlineTimer = nil
            self.expireCalls()
        }
        deadlineTimer = (deadline, task)
    }

    private func expireCalls() {
        let now = NIODeadline.now().uptimeNanoseconds
        let inFlight = calls.expire(now: now).map(\.context)
        for call in inFlight { bytesInFlight -= call.sentBytes }
        let queued = waiting.filter { $0.deadline <= now }
        if !queued.isEmpty { waiting.removeAll { $0.deadline <= now } }
        statistics.timeouts += UInt64(inFlight.count + queued.count)

        let next = [calls.nextDeadline, waiting.map(\.deadline).min()].compactMap(\.self).min()
        if let next { armDeadlineTimer(for: next) }

        // A connection without one reply while a call ran out of time may be dead without telling;
        // what else is in flight deserves a new one.
        let isSilent = inFlight.contains { call in
            call.connectionNumber == connectionsMade && call.repliesBefore == repliesReceived
        }
        if isSilent { dropTransport(silentError) }
        beginWaiting()
        for call in inFlight + queued { call.completion(.failure(timedOutError(call.summary))) }
    }
}

import CLinux
import Glibc
import NIOCore
import NIOPosix

/// Keeps an event loop awake for some microseconds after it answered, while the next call is likely to
/// come within them (``PollingRhythm``).
///
/// A client with one call in flight waits each time for the server to wake up, which takes longer than
/// the call itself. As long as it is quick to ask again, the loop asks the kernel for events without
/// sleeping.
///
/// Loop-confined. NIO has no other way to look for events without waiting for them than a descriptor
/// that always has some: an event counter (eventfd(2)) from which one is taken at a time.
final class IdlePolling {
    private let channel: any Channel
    private var rhythm = PollingRhythm()

    private init(_ channel: any Channel) { self.channel = channel }

    /// On this loop.
    /// - Parameter then: gets nil where there is one processor, which the client needs, or no
    ///   descriptor to be had.
    static func make(on loop: any EventLoop, then: @escaping (IdlePolling?) -> Void) {
        guard sysconf(Int32(_SC_NPROCESSORS_ONLN)) > 1 else { return then(nil) }
        let counter = clinux_endless_events()
        guard counter >= 0 else { return then(nil) }
        NIOPipeBootstrap(group: loop)
            .channelOption(.autoRead, value: false)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 64))
            .takingOwnershipOfDescriptor(input: counter)
            .assumeIsolated().whenComplete { result in
                guard let channel = try? result.get() else { return then(nil) }
                let polling = IdlePolling(channel)
                try? channel.pipeline.syncOperations.addHandler(IdlePollingHandler(polling))
                then(polling)
            }
    }

    /// Something has arrived and was looked at, or an answer left.
    func turnEnded() {
        if rhythm.turnEnded(at: .now()) { setPolling(true) }
    }

    /// The loop has looked for events.
    fileprivate func looked() {
        let now = NIODeadline.now()
        // Whoever else wants the processor gets it.
        sched_yield()
        if !rhythm.looked(from: now, to: .now()) { setPolling(false) }
    }

    private func setPolling(_ isOn: Bool) { _ = channel.setOption(.autoRead, value: isOn) }

    func close() { channel.close(promise: nil) }
}

private final class IdlePollingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let polling: IdlePolling

    init(_ polling: IdlePolling) { self.polling = polling }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { polling.looked() }
}

/// When a loop should look for events without sleeping: after turns that followed each other quickly,
/// until nothing comes in time or somebody else wants the processor; and the oftener that happens, the
/// more such turns it takes.
struct PollingRhythm {
    private(set) var isPolling = false
    private var lastTurn: NIODeadline?
    /// Turns that must follow each other quickly before polling begins.
    private var wanted = PollingRhythm.wantedMinimum
    /// How many did.
    private var quickTurns = 0

    /// How long is waited.
    static let window = TimeAmount.microseconds(100)
    /// A loop that has slept was late to wake up.
    static let windowWithSleep = TimeAmount.microseconds(200)
    static let wantedMinimum = 4
    static let wantedMaximum = 1024

    /// - Returns: whether to begin.
    mutating func turnEnded(at now: NIODeadline) -> Bool {
        let isQuick = lastTurn.map { now - $0 < Self.windowWithSleep } ?? false
        lastTurn = now
        if isPolling {
            wanted = max(Self.wantedMinimum, wanted / 2)
            return false
        }
        quickTurns = isQuick ? quickTurns + 1 : 0
        isPolling = quickTurns >= wanted
        return isPolling
    }

    /// Events were looked for, and the processor was offered to others.
    /// - Parameter end: when we got it back.
    /// - Returns: whether to go on.
    mutating func looked(from start: NIODeadline, to end: NIODeadline) -> Bool {
        guard isPolling else { return false }
        let isInTime = lastTurn.map { start - $0 < Self.window } ?? false
        // A client on this processor asks again at once; whoever has it for longer needs it.
        if isInTime, end - start < Self.window { return true }
        isPolling = false
        quickTurns = 0
        wanted = min(wanted * 2, Self.wantedMaximum)
        return false
    }
}

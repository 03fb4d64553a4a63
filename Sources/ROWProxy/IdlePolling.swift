import CLinux
import Glibc
import NIOCore
import NIOPosix

/// Keeps an event loop awake for some microseconds after it answered, while the next call is likely to
/// come within them.
///
/// A client with one call in flight waits each time for the server to wake up, which takes longer than
/// the call itself. As long as it is quick to ask again, the loop asks the kernel for events without
/// sleeping. When nothing comes in time, or somebody else wants the processor, the loop sleeps, and the
/// oftener that happens the longer it takes until it tries again.
///
/// Loop-confined. NIO has no other way to look for events without waiting for them than a descriptor
/// that always has some: an event counter (eventfd(2)) from which one is taken at a time.
final class IdlePolling {
    private let channel: any Channel
    private var isPolling = false
    private var lastTurn = NIODeadline.uptimeNanoseconds(0)
    /// When polling ends unless something comes.
    private var deadline = NIODeadline.uptimeNanoseconds(0)
    /// Turns that must follow each other quickly before polling begins.
    private var wanted = IdlePolling.wantedMinimum
    /// How many did.
    private var quickTurns = 0

    /// How long is waited.
    private static let window = TimeAmount.microseconds(100)
    /// A loop that has slept was late to wake up.
    private static let windowWithSleep = TimeAmount.microseconds(200)
    private static let wantedMinimum = 4
    private static let wantedMaximum = 1024

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
                let handler = IdlePollingHandler(polling)
                try? channel.pipeline.syncOperations.addHandler(handler)
                then(polling)
            }
    }

    /// Something has arrived and was looked at, or an answer left.
    func turnEnded() {
        let now = NIODeadline.now()
        let isQuick = now - lastTurn < Self.windowWithSleep
        lastTurn = now
        deadline = now + Self.window
        if isPolling {
            wanted = max(Self.wantedMinimum, wanted / 2)
            return
        }
        quickTurns = isQuick ? quickTurns + 1 : 0
        if quickTurns >= wanted { setPolling(true) }
    }

    /// The loop has looked for events.
    fileprivate func looked() {
        let now = NIODeadline.now()
        if now < deadline {
            sched_yield()
            // A client on this processor asks again at once; whoever takes it for longer needs it.
            if NIODeadline.now() - now < Self.window { return }
        }
        guard isPolling else { return }
        quickTurns = 0
        wanted = min(wanted * 2, Self.wantedMaximum)
        setPolling(false)
    }

    private func setPolling(_ isOn: Bool) {
        isPolling = isOn
        _ = channel.setOption(.autoRead, value: isOn)
    }

    func close() { channel.close(promise: nil) }
}

private final class IdlePollingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let polling: IdlePolling

    init(_ polling: IdlePolling) { self.polling = polling }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { polling.looked() }
}

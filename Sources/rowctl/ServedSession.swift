import Foundation
import ROWProxy
import ROWStatus
import Synchronization

/// A session that is served until somebody asks it to end: in this process, or in the one that serves the
/// image already for as long as that runs, and then here, where its clients know it to be.
final class ServedSession: Sendable {
    private enum Event {
        case askedToEnd
        case hostEnded
        case timeToTry
    }

    private let events: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation
    private let hosted = Mutex<Proxy?>(nil)
    private let using = Mutex<ApplianceImage.Use?>(nil)
    private let asked = Mutex(false)
    private let served = Mutex(false)

    private static let pause = Duration.seconds(1)

    init() { (events, continuation) = AsyncStream.makeStream() }

    /// The proxy, while it is in this process.
    var proxy: Proxy? { hosted.withLock(\.self) }

    /// What it has a lease on, while it is served.
    var lease: LeaseStatus? { using.withLock(\.self)?.leaseStatus }

    /// Whether there may be something of it that is to be made durable.
    var isServed: Bool { served.withLock(\.self) }

    /// Once it is, it is not served again.
    var isAskedToEnd: Bool { asked.withLock(\.self) }

    func askToEnd() {
        asked.withLock { $0 = true }
        continuation.yield(.askedToEnd)
    }

    /// - Parameter announce: is told each time the session is served, by which command it is mounted.
    /// - Throws: why it cannot be served at first; later that is told, and tried again.
    func run(
        _ configuration: Proxy.Configuration, _ use: ApplianceImage.Use?,
        announce: (String) -> Void, complain: (String) -> Void
    ) async throws {
        using.withLock { $0 = use }
        defer { using.withLock { $0 = nil } }
        var next = events.makeAsyncIterator()
        var configuration = configuration
        // It may have taken long to come here.
        guard !isAskedToEnd else { return }
        var serving: Proxy.Serving? = try await Proxy.serve(configuration)
        var complaint = ""
        defer { served.withLock { $0 = false } }
        while true {
            served.withLock { $0 = serving != nil }
            switch serving {
            case .host(let proxy):
                use?.attach(proxy)
                hosted.withLock { $0 = proxy }
                announce(proxy.mountCommand)
                while let event = await next.next(), event != .askedToEnd {}
                use?.detach()
                hosted.withLock { $0 = nil }
                try await proxy.stop()
                return
            case .guest(let membership):
                announce(membership.mountCommand)
                Task {
                    await membership.ended()
                    continuation.yield(.hostEnded)
                }
                if await next.next() == .askedToEnd {
                    try await membership.leave()
                    return
                }
                configuration.succeed(membership)
                serving = nil
            case nil:
                // Clients wait for this session: whatever is in the way, such as a main that is away,
                // is no reason to give up.
                do {
                    serving = try await Proxy.serve(configuration)
                } catch {
                    if "\(error)" != complaint {
                        complaint = "\(error)"
                        complain(complaint)
                    }
                    if await isAskedToEndInPause() { return }
                }
            }
        }
    }

    /// Waits a moment before something is tried again.
    /// - Returns: true when it is not to be tried any more.
    func isAskedToEndInPause() async -> Bool {
        let timer = Task {
            try await Task.sleep(for: Self.pause)
            continuation.yield(.timeToTry)
        }
        defer { timer.cancel() }
        for await event in events where event != .hostEnded { return event == .askedToEnd }
        return true
    }
}

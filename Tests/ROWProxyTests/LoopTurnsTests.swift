import Dispatch
import NIOCore
import NIOPosix
import ROWTestKit
import Synchronization
import Testing

@testable import ROWProxy

/// Whether an event loop goes round.
@Suite struct LoopTurnsTests {
    @Test func aLoopThatIsFreeAnswers() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        await LoopTurns().next(of: group.next())
        try await group.shutdownGracefully()
    }

    @Test func aLoopThatIsHeldUpAnswersAfterwards() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (turns, loop) = (LoopTurns(), group.next())
        let isFree = Mutex(false)
        let hold = DispatchSemaphore(value: 0)
        loop.execute { hold.wait() }
        let answer = Task {
            await turns.next(of: loop)
            let wasFree = isFree.withLock { $0 }
            #expect(wasFree)
        }
        // It has been asked once it counts.
        try await poll(for: "somebody who waits", within: .seconds(30)) { turns.isAsked ? () : nil }
        isFree.withLock { $0 = true }
        hold.signal()
        await answer.value
        try await group.shutdownGracefully()
    }

    @Test func aProxyThatIsStoppedOrBeingStoppedDoesNotHang() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let (turns, loop) = (LoopTurns(), group.next())
        let hold = DispatchSemaphore(value: 0)
        loop.execute { hold.wait() }
        let answer = Task { await turns.next(of: loop) }
        try await poll(for: "somebody who waits", within: .seconds(30)) { turns.isAsked ? () : nil }
        turns.end()
        await answer.value
        hold.signal()
        try await group.shutdownGracefully()
        await turns.next(of: loop)

        let served = try await Served.directory()
        let proxy = served.proxy
        await proxy.answers()
        try await served.stop()
        await proxy.answers()
    }
}

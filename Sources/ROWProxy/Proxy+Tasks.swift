import NIOCore
import NIOPosix
import ROWCore

extension Proxy {
    static let nothingKept =
        "nothing is kept of this image: it is a directory of this machine, or served with "
        + "--cache-size 0"

    /// Carries a task out: in the process that serves the image, or here where nobody does.
    /// - Parameter configuration: its session is of no account.
    /// - Parameter report: called while it is at work, and at last with what it came to.
    /// - Throws: `StateError`, `NFSClientError`.
    public static func carryOut(
        _ task: ImageTask, _ configuration: Configuration,
        report: @escaping @Sendable (ImageReport) -> Void
    ) async throws {
        try configuration.state.layout.checkRights()
        var configuration = configuration
        configuration.isPassing = true
        // What only looks, or gives up what it is told to, is no reason to give up anything else.
        if !task.fills { configuration.cacheSize = ByteSize(bytes: .max) }
        let directory = configuration.state.image(configuration.image.canonicalName)
        switch try ControlSocket.ask(
            .task(task), imageDirectory: directory, patience: 60, onReport: report)
        {
        case .done?: return
        case .refused(let reason)?: throw StateError(.io, reason)
        case .status?, .joined?, .notServed?, .report?, .machines?:
            throw StateError(.io, "an answer to another question")
        case nil: break
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        do {
            try await carryOut(task, configuration, group.next(), pool, report)
        } catch {
            try? await pool.shutdownGracefully()
            try? await group.shutdownGracefully()
            throw error
        }
        try await pool.shutdownGracefully()
        try await group.shutdownGracefully()
    }

    private static func carryOut(
        _ task: ImageTask, _ configuration: Configuration, _ loop: any EventLoop,
        _ pool: NIOThreadPool, _ report: @escaping @Sendable (ImageReport) -> Void
    ) async throws {
        let main = try await open(configuration, on: loop)
        let imageLoop = try await loop.submit {
            NIOLoopBound(
                try ImageLoop(configuration: configuration, main: main, loop: loop, pool: pool),
                eventLoop: loop)
        }.get()
        let done = loop.makePromise(of: Void.self)
        loop.execute {
            let run = ImageTaskRun(
                main: imageLoop.value.main, loop: loop, report: report,
                then: { error in
                    if let error { done.fail(error) } else { done.succeed() }
                })
            if let run { run.start(task) } else { done.fail(StateError(.notFound, nothingKept)) }
        }
        do {
            try await done.futureResult.get()
        } catch {
            try? await loop.flatSubmit { close(imageLoop.value) }.get()
            throw error
        }
        try await loop.flatSubmit { close(imageLoop.value) }.get()
    }
}

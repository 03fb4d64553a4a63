import Foundation
import NIOCore
import NIOPosix
import ROWCore

/// Part in a process that serves the same image already: it serves the session as long as this lasts.
public final class Membership: Sendable {
    /// The other process's.
    public let mountCommand: String
    public let host: String
    public let port: Int
    public let processID: Int32
    private let channel: any Channel

    fileprivate init(_ joined: ControlAnswer.Joined, _ channel: any Channel) {
        mountCommand = joined.mountCommand
        host = joined.host
        port = joined.port
        processID = joined.processID
        self.channel = channel
    }

    /// Returns when the other process has ended, or after ``leave()``.
    public func ended() async { try? await channel.closeFuture.get() }

    /// Has the session made durable and let go of.
    public func leave() async {
        // The other side closes when it is done.
        try? await channel.close(mode: .output).get()
        await ended()
    }

    /// Asks the process that serves the image to serve a session too.
    /// - Returns: nil when nobody answers at the image's control socket.
    /// - Throws: `StateError` with what the other process says against it.
    static func join(_ configuration: Proxy.Configuration) async throws -> Membership? {
        let image = configuration.state.image(configuration.image.canonicalName)
        let request = ControlRequest.join(
            configuration.sessionOptions, ControlRequest.Network(configuration))
        let line = try JSONEncoder().encode(request) + Data("\n".utf8)
        let answers = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        let channel: any Channel
        do {
            let opened = try ControlSocket.OpenedDirectory(image)
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.closeOnExec()
                        try channel.pipeline.syncOperations.addHandler(
                            LineHandler(answers.continuation))
                    }
                }
                .connect(unixDomainSocketPath: opened.path(of: ControlSocket.name)).get()
        } catch {
            return nil
        }
        do {
            try await channel.writeAndFlush(ByteBuffer(bytes: line)).get()
            for try await answer in answers.stream {
                let decoded = try JSONDecoder().decode(
                    ControlAnswer.self, from: Data(answer.readableBytesView))
                switch decoded {
                case .joined(let joined): return Membership(joined, channel)
                case .refused(let message): throw StateError(.locked, message)
                case .status: throw StateError(.io, "an answer to another question")
                }
            }
            return nil
        } catch let error as StateError {
            try? await channel.close()
            throw error
        } catch {
            try? await channel.close()
            return nil
        }
    }
}

/// Hands on the first line that arrives.
private final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var received = ByteBuffer()
    private let lines: AsyncThrowingStream<ByteBuffer, any Error>.Continuation

    init(_ lines: AsyncThrowingStream<ByteBuffer, any Error>.Continuation) { self.lines = lines }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        guard received.readableBytesView.last == UInt8(ascii: "\n") else { return }
        lines.yield(received)
        lines.finish()
    }

    func channelInactive(context: ChannelHandlerContext) { lines.finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        lines.finish(throwing: error)
        context.close(promise: nil)
    }
}

extension Proxy {
    /// Serves a session: by a process of its own, or in the one that serves the image already.
    public enum Serving: Sendable {
        case host(Proxy)
        case guest(Membership)
    }

    /// Starts a proxy, or joins the process that serves the image under the same state directory.
    public static func serve(_ configuration: Configuration) async throws -> Serving {
        let clock = ContinuousClock()
        let deadline = clock.now + joinTimeout
        while true {
            let refusal: StateError
            do {
                return .host(try await start(configuration))
            } catch let error as StateError where error.code == .imageInUse {
                refusal = error
            }
            if let membership = try await Membership.join(configuration) {
                return .guest(membership)
            }
            // Whoever has the lock is about to begin, or about to end.
            guard clock.now < deadline else { throw refusal }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private static let joinTimeout = Duration.seconds(10)
}

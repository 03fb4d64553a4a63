import Foundation
import NIOCore
import NIOPosix
import ROWCore

/// Part in a process that serves the same image already: it serves the session as long as this lasts.
public final class Membership: Sendable {
    /// The other process's.
    public let mountCommand: String
    public let processID: Int32
    let settings: Proxy.SharedSettings
    private let channel: any Channel
    /// What the other process had to say at the end, if anything.
    private let farewell: EventLoopFuture<ByteBuffer?>

    /// How long a process may take to answer, or to make a session durable.
    private static let answerTimeout = TimeAmount.seconds(10)
    private static let leaveTimeout = TimeAmount.seconds(60)

    fileprivate init(
        _ joined: ControlAnswer.Joined, _ channel: any Channel,
        _ farewell: EventLoopFuture<ByteBuffer?>
    ) {
        mountCommand = joined.mountCommand
        processID = joined.processID
        settings = joined.settings
        self.channel = channel
        self.farewell = farewell
    }

    public var port: Int { settings.port }

    /// Returns when the other process has ended, or after ``leave()``.
    public func ended() async { try? await channel.closeFuture.get() }

    /// Has the session made durable and let go of.
    /// - Throws: `StateError` when that failed, or when the other process does not answer.
    public func leave() async throws {
        // The other side closes when it is done.
        try? await channel.close(mode: .output).get()
        let ended = channel.eventLoop.makePromise(of: Void.self)
        channel.closeFuture.cascade(to: ended)
        let timeout = channel.eventLoop.scheduleTask(in: Self.leaveTimeout) { [processID] in
            ended.fail(
                StateError(
                    .io, "process \(processID), which serves the session, does not let go of it"))
        }
        defer { timeout.cancel() }
        try await ended.futureResult.get()
        guard let line = try? await farewell.get(),
            case .refused(let reason) = try? JSONDecoder().decode(
                ControlAnswer.self, from: Data(line.readableBytesView))
        else { return }
        throw StateError(.io, reason)
    }

    /// Asks the process that serves the image to serve a session too.
    /// - Returns: nil when nobody answers at the image's control socket.
    /// - Throws: `StateError` with what the other process says against it.
    static func join(_ configuration: Proxy.Configuration) async throws -> Membership? {
        let image = configuration.state.image(configuration.image.canonicalName)
        let request = ControlRequest.join(
            configuration.sessionOptions, Proxy.SharedSettings(configuration))
        let line = try JSONEncoder().encode(request) + Data("\n".utf8)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: ByteBuffer?.self)
        let farewell = loop.makePromise(of: ByteBuffer?.self)
        let channel: any Channel
        do {
            let opened = try ControlSocket.OpenedDirectory(image)
            channel = try await ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.closeOnExec()
                        try channel.pipeline.syncOperations.addHandler(
                            LineHandler(answer: answer, farewell: farewell))
                    }
                }
                .connect(unixDomainSocketPath: opened.path(of: ControlSocket.name)).get()
            opened.close()
        } catch {
            answer.succeed(nil)
            farewell.succeed(nil)
            return nil
        }
        let timeout = loop.scheduleTask(in: answerTimeout) {
            answer.fail(
                StateError(
                    .io,
                    "the process that serves \(configuration.image.canonicalName) does not answer "
                        + "on its control socket (in \(image)); stop it, or wait"))
        }
        defer { timeout.cancel() }
        do {
            try await channel.writeAndFlush(ByteBuffer(bytes: line)).get()
            guard let line = try await answer.futureResult.get() else { return nil }
            switch try JSONDecoder().decode(
                ControlAnswer.self, from: Data(line.readableBytesView))
            {
            case .joined(let joined):
                return Membership(joined, channel, farewell.futureResult)
            case .refused(let message): throw StateError(.locked, message)
            case .status, .done, .notServed, .report, .machines:
                throw StateError(.io, "an answer to another question")
            }
        } catch let error as StateError {
            channel.close(promise: nil)
            throw error
        } catch {
            channel.close(promise: nil)
            return nil
        }
    }
}

/// Hands the first line on, and what came after it when the connection ends.
///
/// Loop-confined.
private final class LineHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var received = ByteBuffer()
    private var answer: EventLoopPromise<ByteBuffer?>?
    private let farewell: EventLoopPromise<ByteBuffer?>

    init(answer: EventLoopPromise<ByteBuffer?>, farewell: EventLoopPromise<ByteBuffer?>) {
        self.answer = answer
        self.farewell = farewell
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.writeImmutableBuffer(unwrapInboundIn(data))
        guard let answer,
            let end = received.readableBytesView.firstIndex(of: UInt8(ascii: "\n"))
        else { return }
        self.answer = nil
        answer.succeed(received.readSlice(length: end + 1 - received.readerIndex))
    }

    func channelInactive(context: ChannelHandlerContext) {
        answer?.succeed(nil)
        answer = nil
        farewell.succeed(received.readableBytes > 0 ? received : nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension Proxy {
    /// Serves a session: by a process of its own, or in the one that serves the image already.
    public enum Serving: Sendable {
        case host(Proxy)
        case guest(Membership)
    }

    /// Joins the process that serves the image under the same state directory, or starts a proxy where
    /// there is none. A running process is found without asking main, which may be away.
    public static func serve(_ configuration: Configuration) async throws -> Serving {
        try configuration.check()
        try configuration.state.layout.checkRights()
        let clock = ContinuousClock()
        let deadline = clock.now + joinTimeout
        while true {
            if let membership = try await Membership.join(configuration) {
                return .guest(membership)
            }
            do {
                return .host(try await start(configuration))
            } catch let error as StateError where error.code == .imageInUse {
                // Whoever has the image is about to begin, or about to end.
                guard clock.now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    private static let joinTimeout = Duration.seconds(10)
}

extension Proxy.Serving {
    /// Where programs on this machine find a session.
    public func url(of session: String) -> String {
        let (host, port) =
            switch self {
            case .host(let proxy): (proxy.configuration.host, proxy.port)
            case .guest(let membership): (membership.settings.host, membership.settings.port)
            }
        let name =
            switch host {
            case "0.0.0.0": "127.0.0.1"
            case "::": "[::1]"
            default: host.contains(":") ? "[\(host)]" : host
            }
        return "nfs://\(name):\(port)/\(session)?mountport=\(port)"
    }
}

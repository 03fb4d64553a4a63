import NIOCore
import NIOHTTP1

/// Reads requests and has each of them answered, one after the other.
///
/// Loop-confined.
final class BootRequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answerer: BootAnswerer
    private let connections: BootConnections
    private var request: HTTPRequestHead?
    private var hasBody = false

    init(_ answerer: BootAnswerer, _ connections: BootConnections) {
        self.answerer = answerer
        self.connections = connections
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            request = head
            hasBody = false
        case .body: hasBody = true
        case .end:
            guard let request else { return }
            let channel = context.channel
            let answer = BootAnswer(
                channel: channel, request: request, hasBody: hasBody,
                address: channel.remoteAddress?.ipAddress ?? "")
            connections.answer(on: channel) { [answerer] in await answerer.carryOut(answer) }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// A request, and where its answer goes.
struct BootAnswer: Sendable {
    let channel: any Channel
    let request: HTTPRequestHead
    let hasBody: Bool
    /// The client's.
    let address: String

    /// Each part waits until the socket has taken it: nothing piles up.
    func write(_ part: HTTPServerResponsePart) async throws {
        try await channel.writeAndFlush(part).get()
    }

    func writeHead(_ status: HTTPResponseStatus, bytes: UInt64, type: String) async throws {
        var headers = HTTPHeaders()
        headers.add(name: "Content-Length", value: String(bytes))
        headers.add(name: "Content-Type", value: type)
        headers.add(name: "Connection", value: request.isKeepAlive ? "keep-alive" : "close")
        if status == .methodNotAllowed { headers.add(name: "Allow", value: "GET, HEAD") }
        try await write(
            .head(HTTPResponseHead(version: request.version, status: status, headers: headers)))
    }

    var wantsBody: Bool { request.method != .HEAD }

    func end() async throws {
        try await write(.end(nil))
        if !request.isKeepAlive { try await channel.close() }
    }
}

/// What is answered.
struct BootAnswerer: Sendable {
    let documents: [String: ByteBuffer]
    let files: any BootFiles
    let onRequest: @Sendable (_ path: String, _ address: String) -> Void

    func carryOut(_ answer: BootAnswer) async {
        do {
            try await send(answer)
        } catch {
            // Whatever was promised does not come: the client must see that.
            answer.channel.close(promise: nil)
        }
    }

    private func send(_ answer: BootAnswer) async throws {
        guard [.GET, .HEAD].contains(answer.request.method) else {
            return try await refuse(.methodNotAllowed, "only GET and HEAD are answered", answer)
        }
        guard !answer.hasBody, let path = RequestPath.path(of: answer.request.uri) else {
            return try await refuse(.badRequest, "that does not name a file", answer)
        }
        if let document = documents[path] {
            onRequest(path, answer.address)
            return try await send(document, type: "application/octet-stream", .ok, answer)
        }
        let file: (any BootFile)?
        do {
            file = try await files.open(path, for: answer.address)
        } catch {
            return try await refuse(
                .serviceUnavailable, "the file cannot be read now; try again", answer)
        }
        guard let file else {
            return try await refuse(.notFound, "the image has no such file", answer)
        }
        onRequest(path, answer.address)
        do {
            try await send(file, answer)
        } catch {
            await file.close()
            throw error
        }
        await file.close()
    }

    private func send(_ file: any BootFile, _ answer: BootAnswer) async throws {
        try await answer.writeHead(.ok, bytes: file.size, type: "application/octet-stream")
        if answer.wantsBody {
            try await BootFileReading.pieces(of: file) { piece in
                try await answer.write(.body(.byteBuffer(piece)))
            }
        }
        try await answer.end()
    }

    private func refuse(
        _ status: HTTPResponseStatus, _ reason: String, _ answer: BootAnswer
    ) async throws {
        try await send(
            ByteBuffer(string: reason + "\n"), type: "text/plain; charset=utf-8", status, answer)
    }

    private func send(
        _ body: ByteBuffer, type: String, _ status: HTTPResponseStatus, _ answer: BootAnswer
    ) async throws {
        try await answer.writeHead(status, bytes: UInt64(body.readableBytes), type: type)
        if answer.wantsBody { try await answer.write(.body(.byteBuffer(body))) }
        try await answer.end()
    }
}

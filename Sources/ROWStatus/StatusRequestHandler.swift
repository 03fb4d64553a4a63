import NIOCore
import NIOHTTP1

/// Reads requests and answers each of them, one after the other.
///
/// Loop-confined.
final class StatusRequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let source: StatusSource
    private let timeout: TimeAmount
    private var request: HTTPRequestHead?
    private var timer: Scheduled<Void>?
    private var isOnLoopback = false

    init(_ source: StatusSource, _ timeout: TimeAmount) {
        self.source = source
        self.timeout = timeout
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { startTimer(context) }

    func handlerRemoved(context: ChannelHandlerContext) { timer?.cancel() }

    func channelActive(context: ChannelHandlerContext) {
        isOnLoopback = context.localAddress?.isLoopback ?? false
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): request = head
        case .body: break
        case .end:
            guard let head = request else { return }
            request = nil
            answer(head, context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Ends the connection unless an answer has gone out by then.
    private func startTimer(_ context: ChannelHandlerContext) {
        timer?.cancel()
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
    }

    // MARK: Answers

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        if let refusal = refusal(of: head) {
            send(refusal, head, context)
            return
        }
        let path = head.uri.prefix { $0 != "?" }
        let document = StatusDocument(path: path)
        guard document != nil || path == "/healthz" else {
            send(
                .text(.notFound, "there are /, /status.json, /metrics and /healthz"), head, context)
            return
        }
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        let source = source
        Task {
            let response: Response
            if let document {
                let found = await source.document(document)
                response = Response(
                    status: .ok, type: document.contentType, body: found.text)
            } else {
                let silent = await source.status().silentImages
                response =
                    silent == 0
                    ? .text(.ok, "ok")
                    : .text(.serviceUnavailable, "\(silent) images do not answer")
            }
            loop.execute { bound.value.handler.send(response, head, bound.value.context) }
        }
    }

    private struct Response: Sendable {
        let status: HTTPResponseStatus
        let type: String
        let body: ByteBuffer

        static func text(_ status: HTTPResponseStatus, _ text: String) -> Response {
            Response(
                status: status, type: "text/plain; charset=utf-8",
                body: ByteBuffer(string: text + "\n"))
        }
    }

    /// What is said to requests that are not answered, if this is one.
    private func refusal(of head: HTTPRequestHead) -> Response? {
        guard [.GET, .HEAD].contains(head.method) else {
            return .text(.methodNotAllowed, "only GET and HEAD are answered")
        }
        guard !Self.hasBody(head) else {
            return .text(.badRequest, "a request with a body is not answered")
        }
        guard !isOnLoopback || RequestHost.isOfThisMachine(head.headers["host"]) else {
            return .text(
                .misdirectedRequest,
                "only requests to localhost or a loopback address are answered here")
        }
        return nil
    }

    private static func hasBody(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "transfer-encoding")
            || head.headers["content-length"].contains { $0 != "0" }
    }

    private func send(
        _ response: Response, _ request: HTTPRequestHead, _ context: ChannelHandlerContext
    ) {
        guard context.channel.isActive else { return }
        let isLast = !request.isKeepAlive || Self.hasBody(request)
        var headers = HTTPHeaders(Self.headers)
        headers.add(name: "Content-Type", value: response.type)
        headers.add(name: "Content-Length", value: "\(response.body.readableBytes)")
        headers.add(name: "Connection", value: isLast ? "close" : "keep-alive")
        if response.status == .methodNotAllowed { headers.add(name: "Allow", value: "GET, HEAD") }
        let head = HTTPResponseHead(
            version: request.version, status: response.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(response.body))), promise: nil)
        }
        let bound = NIOLoopBound((handler: self, context: context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            let (handler, context) = bound.value
            if isLast {
                context.close(promise: nil)
            } else if context.channel.isActive {
                handler.startTimer(context)
            }
        }
    }

    /// The page has all that it needs, and nobody else may use it.
    private static let headers = [
        ("Content-Security-Policy", StatusPage.policy),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ]
}

/// Whom a request is meant for. A page of somebody else's can have its own name mean this machine, and its
/// visitor's browser would then show it what is here: so only names that nobody else has are answered.
enum RequestHost {
    /// - Parameter values: of the header `Host`.
    static func isOfThisMachine(_ values: [String]) -> Bool {
        guard values.count == 1, var host = values.first?.lowercased()[...] else { return false }
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            guard UInt16(host[host.index(after: colon)...]) != nil else { return false }
            host = host[..<colon]
        }
        if host == "localhost" { return true }
        if host.hasPrefix("[") && host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return (try? SocketAddress(ipAddress: String(host), port: 0))?.isLoopback ?? false
    }
}

extension SocketAddress {
    /// Whether only this machine has it.
    fileprivate var isLoopback: Bool {
        switch self {
        case .v4: ipAddress?.hasPrefix("127.") ?? false
        // Of a socket for both, 127.0.0.1 is a part of IPv6.
        case .v6: ipAddress == "::1" || ipAddress?.hasPrefix("::ffff:127.") ?? false
        case .unixDomainSocket: false
        }
    }
}

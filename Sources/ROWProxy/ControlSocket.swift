import Foundation
import Glibc
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// The socket by which `rowctl` asks a running session: one line in, one JSON document out. It lies in
/// the session's directory and is reached without touching the mount, so asking cannot hang on it.
enum ControlSocket {
    static let name = "control.sock"

    static func listen(
        in directory: FilePath, _ imageLoop: NIOLoopBound<ImageLoop>, on loop: any EventLoop
    ) async throws -> any Channel {
        let opened = try OpenedDirectory(directory)
        let session = directory.lastComponent?.string ?? ""
        // The session is ours (it is locked), so a socket that is there already is a dead one's.
        unlink(directory.appending(name).string)
        do {
            let channel = try await ServerBootstrap(group: loop)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.closeOnExec() }
                }
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.closeOnExec()
                        try channel.pipeline.syncOperations.addHandler(
                            ControlHandler(imageLoop: imageLoop.value, session: session))
                    }
                }
                .bind(unixDomainSocketPath: opened.path(of: name)).get()
            chmod(directory.appending(name).string, 0o600)
            return channel
        } catch {
            throw StateError(.io, "cannot make the control socket in \(directory): \(error)")
        }
    }

    /// Asks a running session.
    /// - Returns: nil when nobody runs it.
    static func ask(_ request: String, sessionDirectory: FilePath) throws -> Data? {
        let opened = try OpenedDirectory(sessionDirectory)
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        defer { close(descriptor) }
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(opened.path(of: name).utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard code == 0 else { return nil }
        let line = Array((request + "\n").utf8)
        guard send(descriptor, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
            return nil
        }
        var answer = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { return answer }
            guard count > 0 else {
                throw StateError(
                    .io, "the session's process does not answer on its control socket")
            }
            answer.append(contentsOf: buffer[0..<count])
        }
    }

    /// A directory held open, so that a path to a socket in it is short however deep it lies (a
    /// socket's path has at most 107 bytes).
    private struct OpenedDirectory: ~Copyable {
        private let descriptor: SystemPackage.FileDescriptor

        init(_ path: FilePath) throws {
            descriptor = try SystemPackage.FileDescriptor.open(
                path, .readOnly, options: [.directory, .closeOnExec])
        }

        deinit { try? descriptor.close() }

        func path(of name: String) -> String { "/proc/self/fd/\(descriptor.rawValue)/\(name)" }
    }
}

/// Answers one request, then closes.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let imageLoop: ImageLoop
    private let session: String
    private var request = ByteBuffer()
    private static let requestBytesMaximum = 4096

    init(imageLoop: ImageLoop, session: String) {
        self.imageLoop = imageLoop
        self.session = session
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        request.writeImmutableBuffer(unwrapInboundIn(data))
        let text = String(buffer: request)
        guard text.hasSuffix("\n") else {
            if request.readableBytes > Self.requestBytesMaximum { context.close(promise: nil) }
            return
        }
        var answer = context.channel.allocator.buffer(capacity: 4096)
        if text == "stat\n", let session = imageLoop.sessions[session],
            let json = try? JSONEncoder().encode(imageLoop.status(of: session))
        {
            answer.writeBytes(json)
        } else {
            answer.writeString("{\"error\":\"unknown request\"}")
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(answer)).whenComplete { _ in
            channel.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension SessionStatus {
    /// The status of a session: from its process, or from disk when nobody runs it.
    /// - Throws: `StateError` when there is no such session.
    public static func read(_ name: String, in state: StateDirectory) throws -> SessionStatus {
        try StateDirectory.checkSessionName(name)
        let directory = state.session(name)
        guard FileManager.default.fileExists(atPath: directory.appending("session.sqlite").string)
        else {
            throw StateError(
                .notFound,
                "there is no session '\(name)' in \(state.path); `rowctl ls` lists those that exist"
            )
        }
        let decoder = JSONDecoder()
        if let answer = try ControlSocket.ask("stat", sessionDirectory: directory) {
            return try decoder.decode(SessionStatus.self, from: answer)
        }
        let stored = try StoredSession.read(directory)
        let file = directory.appending("status.json").string
        let kept = (try? Data(contentsOf: URL(filePath: file))).flatMap {
            try? decoder.decode(SessionStatus.self, from: $0)
        }
        var status =
            kept
            ?? SessionStatus(
                session: name, image: stored.image, state: "stopped", durability: "unknown",
                uptimeSeconds: 0, calls: Calls(client: [:], main: [:], shadow: [:]),
                bytes: Bytes(fromMain: 0, toClient: 0, fromClient: 0, shadowStored: 0, cacheHit: 0),
                changed: Changed(files: 0, blocks: 0), handles: 0,
                main: [Main(server: stored.image, state: "unknown", lastError: nil)], events: [])
        status.state = "stopped"
        status.bytes.shadowStored = Int(stored.allocated)
        status.changed = Changed(files: Int(stored.files), blocks: Int(stored.blocks))
        return status
    }
}

import Foundation
import Glibc
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// The socket by which `rowctl` asks the process that serves an image: one line of JSON in, one out. It
/// lies in the image's directory and is reached without touching any mount, so asking cannot hang on one.
enum ControlSocket {
    static let name = "control.sock"

    static func listen(
        in directory: FilePath, _ imageLoop: NIOLoopBound<ImageLoop>,
        _ answerer: ControlAnswerer, on loop: any EventLoop
    ) async throws -> any Channel {
        do {
            return try await ServerBootstrap(group: loop)
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.closeOnExec()
                        try checkPeer(of: channel)
                        try channel.pipeline.syncOperations.addHandler(
                            ControlHandler(imageLoop: imageLoop.value, answerer))
                    }
                }
                .withBoundSocket(bind(in: directory)).get()
        } catch {
            throw StateError(.io, "cannot make the control socket in \(directory): \(error)")
        }
    }

    /// A socket at its place. Not one that NIO binds: that would remove whatever has the path when it closes,
    /// and the path that we have is good only until the directory is closed.
    static func bind(in directory: FilePath) throws -> CInt {
        let opened = try OpenedDirectory(directory)
        // The image is ours (it is locked), so a socket that is there already is a dead one's.
        remove(from: directory)
        let descriptor = try newSocket()
        // Linux gives the name the socket's own rights, so that there is no moment with others.
        fchmod(descriptor, 0o600)
        var address = address(opened.path(of: name))
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        let failure = Errno(rawValue: errno)
        opened.close()
        guard code == 0 else {
            close(descriptor)
            throw failure
        }
        return descriptor
    }

    /// Refuses users other than this process's own and root, whatever the rights of the name have become.
    private static func checkPeer(of channel: any Channel) throws {
        try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { descriptor in
            // struct ucred of unix(7), which Swift does not import.
            var peer = (process: Int32(0), user: UInt32.max, group: UInt32.max)
            var size = socklen_t(MemoryLayout.size(ofValue: peer))
            guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0,
                peer.user == 0 || peer.user == geteuid()
            else { throw Errno.permissionDenied }
        }
    }

    private static func newSocket() throws -> CInt {
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Errno(rawValue: errno) }
        return descriptor
    }

    private static func address(_ path: String) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }

    /// Takes the name away, while the image is still ours. Should a program that was started here hold the
    /// socket open by mistake, nobody waits for it to answer.
    static func remove(from directory: FilePath) {
        unlink(directory.appending(name).string)
    }

    /// Asks the process that serves an image.
    /// - Returns: nil when nobody does.
    /// - Parameter patience: seconds in which it must answer.
    static func ask(
        _ request: ControlRequest, imageDirectory: FilePath, patience: Int = 10,
        onReport: (ImageReport) -> Void = { _ in }
    ) throws -> ControlAnswer? {
        guard let opened = try? OpenedDirectory(imageDirectory) else { return nil }
        let descriptor = try newSocket()
        defer { close(descriptor) }
        var timeout = timeval(tv_sec: patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                descriptor, SOL_SOCKET, option, &timeout, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = address(opened.path(of: name))
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        opened.close()
        guard code == 0 else { return nil }
        let line = Array(try JSONEncoder().encode(request)) + [UInt8(ascii: "\n")]
        guard send(descriptor, line, line.count, Int32(MSG_NOSIGNAL)) == line.count else {
            return nil
        }
        var answer = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            while let end = answer.firstIndex(of: UInt8(ascii: "\n")) {
                let line = try JSONDecoder().decode(
                    ControlAnswer.self, from: answer[answer.startIndex...end])
                guard case .report(let report) = line else { return line }
                onReport(report)
                answer = Data(answer[(end + 1)...])
            }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            // It ended while it was asked.
            if count == 0 { return nil }
            guard count > 0 else {
                throw StateError(
                    .io, "the process that serves the image does not answer on its control socket")
            }
            answer.append(contentsOf: buffer[0..<count])
        }
    }

    /// A directory held open, so that a path to a socket in it is short however deep it lies (a
    /// socket's path has at most 107 bytes).
    struct OpenedDirectory: ~Copyable {
        private let descriptor: SystemPackage.FileDescriptor

        init(_ path: FilePath) throws {
            descriptor = try SystemPackage.FileDescriptor.open(
                path, .readOnly, options: [.directory, .closeOnExec])
        }

        deinit { try? descriptor.close() }

        /// Says until when it must be open: a path to it means something else afterwards.
        consuming func close() {}

        /// Good until ``close()``.
        func path(of name: String) -> String { "/proc/self/fd/\(descriptor.rawValue)/\(name)" }
    }
}

/// What the answers to requests need to know of the process.
struct ControlAnswerer: Sendable {
    let settings: Proxy.SharedSettings
    /// Where it listens, as a number.
    let address: String

    func joined(_ session: String) -> ControlAnswer.Joined {
        ControlAnswer.Joined(
            mountCommand: Proxy.mountCommand(
                address: address, port: settings.port, session: session),
            processID: getpid(), settings: settings)
    }

    /// Why a session with these settings cannot be served here, if so.
    func refusal(of wanted: Proxy.SharedSettings) -> String? {
        let process =
            "the image is served by process \(getpid()) on \(settings.host):\(settings.port) already"
        if let conflict = settings.conflict(with: wanted) {
            return "\(process), without \(conflict): leave that out to join it, or stop it first"
        }
        if settings.opens(wanted) {
            let ranges = settings.allow.map { "--allow \($0)" }.joined(separator: " ")
            return
                "\(process), and open to other machines: give \(ranges) to let them in here too, or "
                + "stop it first"
        }
        return nil
    }
}

/// Answers one request. A session that joined stays until the connection ends.
///
/// Loop-confined.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let imageLoop: ImageLoop
    private let answerer: ControlAnswerer
    private var request = ByteBuffer()
    private var isAnswered = false
    private var guest: ServedSession?
    private var task: ImageTaskRun?
    private static let requestBytesMaximum = 16_384

    init(imageLoop: ImageLoop, _ answerer: ControlAnswerer) {
        self.imageLoop = imageLoop
        self.answerer = answerer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAnswered else { return }
        request.writeImmutableBuffer(unwrapInboundIn(data))
        guard request.readableBytesView.last == UInt8(ascii: "\n") else {
            if request.readableBytes > Self.requestBytesMaximum { context.close(promise: nil) }
            return
        }
        isAnswered = true
        let channel = context.channel
        guard
            let decoded = try? JSONDecoder().decode(
                ControlRequest.self, from: Data(request.readableBytesView))
        else {
            answer(.refused("that is not a request of this version of rowctl"), on: channel)
            return
        }
        switch decoded {
        case .status(let name):
            guard let session = imageLoop.sessions[name] else {
                answer(.refused("the session \(name) is not served"), on: channel)
                return
            }
            answer(.status(imageLoop.status(of: session)), on: channel)
        case .join(let options, let wanted): join(options, wanted, on: channel)
        case .task(let task): carryOut(task, on: channel)
        case .change(let name, let change):
            guard let session = imageLoop.sessions[name] else {
                answer(.notServed, on: channel)
                return
            }
            imageLoop.carryOut(change, on: session) { error in
                self.answer(error.map { .refused($0.message) } ?? .done, on: channel)
            }
        case .mark(let name, let text):
            guard let session = imageLoop.sessions[name] else {
                answer(.notServed, on: channel)
                return
            }
            if let refusal = HistoryMark.refusal(of: text) {
                answer(.refused(refusal), on: channel)
                return
            }
            imageLoop.sampler.mark(session, text)
            imageLoop.sampler.finish(session) { self.answer(.done, on: channel) }
        case .letGo(let name):
            guard let session = imageLoop.sessions[name], let machines = imageLoop.machines
            else {
                answer(.notServed, on: channel)
                return
            }
            machines.letGo(session) { refusal in
                self.answer(refusal.map { .refused($0) } ?? .done, on: channel)
            }
        case .machines:
            answer(.machines(imageLoop.machines?.withoutSession ?? []), on: channel)
        case .saveHistory(let name):
            guard let session = imageLoop.sessions[name] else {
                answer(.notServed, on: channel)
                return
            }
            imageLoop.sampler.finish(session) { self.answer(.done, on: channel) }
        }
    }

    private func carryOut(_ task: ImageTask, on channel: any Channel) {
        let run = ImageTaskRun(
            main: imageLoop.main, loop: channel.eventLoop,
            report: { self.answer(.report($0), on: channel) },
            then: { error in
                self.task = nil
                self.answer(error.map { .refused($0.message) } ?? .done, on: channel)
            })
        guard let run else {
            answer(.refused(Proxy.nothingKept), on: channel)
            return
        }
        self.task = run
        run.start(task)
    }

    private func join(
        _ options: Proxy.SessionOptions, _ wanted: Proxy.SharedSettings, on channel: any Channel
    ) {
        if let refusal = answerer.refusal(of: wanted) {
            answer(.refused(refusal), on: channel)
            return
        }
        imageLoop.add(options) { result in
            switch result {
            // It is ending: whoever asks takes the image over.
            case .failure(let error as StateError) where error.code == .imageInUse:
                channel.close(promise: nil)
            case .failure(let error): self.answer(.refused("\(error)"), on: channel)
            case .success(let session):
                self.guest = session
                guard channel.isActive else {
                    self.leave(channel)
                    return
                }
                self.answer(.joined(self.answerer.joined(options.name)), on: channel)
            }
        }
    }

    private func answer(_ answer: ControlAnswer, on channel: any Channel) {
        guard let json = try? JSONEncoder().encode(answer) else {
            channel.close(promise: nil)
            return
        }
        channel.writeAndFlush(ByteBuffer(bytes: json + Data("\n".utf8)), promise: nil)
        // Those who asked for nothing that lasts close by themselves, having read a whole line.
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event { leave(context.channel) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        task?.cancel()
        leave(context.channel)
        context.fireChannelInactive()
    }

    /// Lets go of the guest, then closes: whoever waits for the end knows that all is safe.
    private func leave(_ channel: any Channel) {
        guard let session = guest else {
            channel.close(promise: nil)
            return
        }
        guest = nil
        imageLoop.remove(session) { failure in
            if let failure { self.answer(.refused(failure.message), on: channel) }
            channel.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

extension SessionStatus {
    /// The status of a session: from its process, or from disk when nobody serves it.
    /// - Throws: `StateError` when there is no such session.
    public static func read(_ name: String, in state: StateDirectory) throws -> SessionStatus {
        let directory = try state.existingSession(name)
        let stored = try StoredSession.read(directory)
        let question = ControlRequest.status(session: name)
        if case .status(let status)? = try ControlSocket.ask(
            question, imageDirectory: state.image(stored.image))
        {
            return status
        }
        var kept = SmallFile.read(directory.appending("status.json")).flatMap {
            try? JSONDecoder().decode(SessionStatus.self, from: $0)
        }
        // An upgrade has put it onto another image since.
        if kept?.image != stored.image { kept = nil }
        var status =
            kept
            ?? SessionStatus(
                session: name, image: stored.image, state: "stopped", durability: "unknown",
                uptimeSeconds: 0, calls: Calls(client: [:], main: [:], shadow: [:]),
                bytes: Bytes(fromMain: 0, toClient: 0, fromClient: 0, shadowStored: 0, cacheHit: 0),
                changed: Changed(files: 0, blocks: 0), handles: 0,
                main: [Main(server: stored.image, state: "unknown", lastError: nil)], events: [])
        status.shadow = stored.shadow.map {
            Main(server: "\($0.url) in \($0.directory)", state: "unknown", lastError: nil)
        }
        status.state = "stopped"
        status.bytes.shadowStored = Int(stored.allocated)
        status.changed = Changed(files: Int(stored.files), blocks: Int(stored.blocks))
        return status
    }
}

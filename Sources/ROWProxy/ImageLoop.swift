import Foundation
import NFSClient
import NFSProtocol
import NIOCore
import NIOPosix
import ROWCore
import SystemPackage

/// All that serves one image, on one event loop: the image store, its sessions, main, and the RPC
/// service in front of them.
///
/// Loop-confined.
final class ImageLoop {
    let loop: any EventLoop
    let image: ImageStore
    let sessions = SessionTable()
    let counters = Counters()
    let main: MainSource
    let server: RPCServer
    private let configuration: Proxy.Configuration
    private let events = EventLog()
    private let replies = ReplyCache()
    private let started = Date()
    private var timer: RepeatedTask?
    private var isClosed = false

    /// How often unrecorded writes are made durable unasked, and the status file written.
    private static let flushInterval = TimeAmount.seconds(30)

    init(
        configuration: Proxy.Configuration, main address: Proxy.OpenedMain, loop: any EventLoop,
        pool: NIOThreadPool
    ) throws {
        self.configuration = configuration
        self.loop = loop
        let executor: LoopExecutor = { work in loop.execute(work) }
        let isDurable = configuration.durability == .strict
        let events = events
        let state = configuration.state
        let source = configuration.image.canonicalName
        let kind: MainSource.Kind
        switch address {
        case .directory(let path):
            let directory = try DirectoryImage(path: path)
            image = try ImageStore(
                directory: state.image(source), source: source, root: try directory.rootEntry(),
                isDurable: isDurable, loop: executor)
            kind = .directory(directory)
        case .server(let client, let root):
            image = try ImageStore(
                directory: state.image(source), source: source, root: root,
                isDurable: isDurable, loop: executor)
            kind = .remote(
                RemoteImage(
                    client: client, image: image, counters: counters,
                    credential: configuration.mainCredential,
                    timeout: configuration.mainTimeout, onEvent: { events.add($0) }))
        }
        image.onEvent = { events.add($0) }
        main = MainSource(kind: kind, image: image, counters: counters, loop: loop, pool: pool)
        let session = try SessionState(
            name: configuration.session, directory: state.session(configuration.session),
            image: image, isDurable: isDurable, isReadOnly: configuration.isReadOnly,
            loop: executor)
        session.onEvent = { events.add($0) }
        sessions.add(session)
        replies.load(try session.storedReplies())
        let nfs = NFSService(
            sessions: sessions, main: main, counters: counters, replies: replies,
            budget: DirtyBudget(
                isDurable ? .commit(sessions.flushAll) : .pages,
                holdBytes: configuration.unstableBytesMaximum, loop: loop, pool: pool),
            options: NFSService.Options(
                squashesRoot: configuration.squashesRoot,
                groups: configuration.managesGroups
                    ? GroupDirectory(loop: loop, pool: pool) : nil))
        server = RPCServer(
            nfs: nfs,
            mount: MountService(sessions: sessions, main: main, allow: configuration.allow),
            admission: Admission(configuration.allow), onEvent: { events.add($0) })
        let bound = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleRepeatedTask(
            initialDelay: Self.flushInterval, delay: Self.flushInterval
        ) { _ in bound.value.flush() }
    }

    /// Gives back their ids to what the session changed, when the image database was lost.
    func recover(then: @escaping @Sendable ((any Error)?) -> Void) {
        guard let session = sessions.all.first(where: { !$0.lostPaths.isEmpty }) else {
            then(nil)
            return
        }
        events.add(
            "the image database is not the one that \(session.name) was made on: recovering ids")
        recover(session, session.lostPaths[...], then)
    }

    private func recover(
        _ session: SessionState, _ paths: ArraySlice<[UInt8]>,
        _ then: @escaping @Sendable ((any Error)?) -> Void
    ) {
        var paths = paths
        while let path = paths.first {
            do throws(Interrupt) {
                try session.recover(path)
                paths.removeFirst()
            } catch {
                guard case .need(let fetch) = error else {
                    then(StateError(.io, "cannot recover the session \(session.name): \(error)"))
                    return
                }
                let remaining = paths
                main.fetch(fetch) { status in
                    if let status {
                        let text = String(decoding: remaining.first ?? [], as: UTF8.self)
                        then(
                            StateError(
                                .io,
                                "the image database was lost, and main answers \(status) "
                                    + "for \(text), which the session \(session.name) changed; "
                                    + "start again when main can be reached"
                            ))
                    } else {
                        self.recover(session, remaining, then)
                    }
                }
                return
            }
        }
        do {
            try session.recovered()
            recover(then: then)
        } catch {
            then(error)
        }
    }

    private func flush() {
        sessions.flushAll {}
        writeStatusFiles(state: "stopped")
    }

    // MARK: Status

    func status(of session: SessionState, state: String = "running") -> SessionStatus {
        let totals = session.totals()
        let shadow = session.shadowCalls
        let shadowCalls = [
            "READ": shadow.reads, "WRITE": shadow.writes, "COMMIT": shadow.syncs,
            "SETATTR": shadow.truncates, "CREATE": shadow.creates, "REMOVE": shadow.removes,
        ]
        return SessionStatus(
            session: session.name, image: image.source, state: state,
            durability: configuration.durability.rawValue,
            uptimeSeconds: Date().timeIntervalSince(started),
            calls: SessionStatus.Calls(
                client: Counters.byName(counters.client), main: Counters.byName(counters.main),
                shadow: shadowCalls.filter { $0.value > 0 }),
            bytes: SessionStatus.Bytes(
                fromMain: counters.bytesFromMain, toClient: counters.bytesToClient,
                fromClient: counters.bytesFromClient, shadowStored: Int(totals.allocated),
                cacheHit: 0),
            changed: SessionStatus.Changed(files: Int(totals.files), blocks: Int(totals.blocks)),
            handles: session.nodeCount, main: [mainStatus], events: events.all)
    }

    private var mainStatus: SessionStatus.Main {
        switch main.kind {
        case .directory:
            SessionStatus.Main(server: image.source, state: "local", lastError: nil)
        case .remote(let remote):
            SessionStatus.Main(
                server: image.source,
                state: remote.connection.isConnected ? "connected" : "disconnected",
                lastError: remote.connection.lastError?.description)
        }
    }

    /// What `stat-session` shows when nobody runs the session.
    private func writeStatusFiles(state: String) {
        for session in sessions.all {
            let path = configuration.state.session(session.name).appending("status.json")
            if let data = try? JSONEncoder().encode(status(of: session, state: state)) {
                try? data.write(to: URL(filePath: path.string), options: .atomic)
            }
        }
    }

    // MARK: Closing

    /// Makes everything durable, closes connections and databases. The listeners are closed already.
    func close(then: @escaping @Sendable ((any Error)?) -> Void) {
        guard !isClosed else {
            then(nil)
            return
        }
        isClosed = true
        timer?.cancel()
        var remaining = sessions.all.count
        var failure: (any Error)?
        for session in sessions.all {
            session.flush { status in
                if let status {
                    failure = StateError(
                        .io, "writing the session \(session.name) back failed: \(status)")
                }
                remaining -= 1
                if remaining == 0 { self.finishClosing(failure, then) }
            }
        }
    }

    private func finishClosing(_ failure: (any Error)?, _ then: (@Sendable ((any Error)?) -> Void))
    {
        writeStatusFiles(state: "stopped")
        server.closeAll()
        if case .remote(let remote) = main.kind { remote.connection.close() }
        for session in sessions.all { session.close() }
        image.close()
        then(failure)
    }
}

/// The last events, for operators.
final class EventLog {
    private var events: [SessionStatus.Event] = []
    private static let countMaximum = 100

    /// Adds an event. One that only repeats the last moves it to now.
    func add(_ message: String) {
        if events.last?.message == message { events.removeLast() }
        if events.count >= Self.countMaximum { events.removeFirst(Self.countMaximum / 2) }
        events.append(
            SessionStatus.Event(time: Date().timeIntervalSince1970, message: message))
    }

    var all: [SessionStatus.Event] { events }
}

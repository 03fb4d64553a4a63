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
    let sampler: Sampler
    let configuration: Proxy.Configuration
    let pool: NIOThreadPool
    private(set) var machines: MachineSessions?
    let events: EventLog
    private let replies = ReplyCache()
    let started = Date()
    /// Of sessions that are no longer served; what their clients did is in ``counters``.
    private(set) var endedShadowCalls: [String: Int] = [:]
    private var timer: RepeatedTask?
    private var isClosed = false
    /// Sessions that are being made durable and let go of.
    private var removals: (count: Int, whenDone: (() -> Void)?) = (0, nil)
    /// Sessions that somebody waits for.
    private var awaited: (names: Set<String>, whenThere: (() -> Void)?) = ([], nil)
    /// What sessions changed in the image when its database was another: to be looked up before
    /// anything else is, so that the objects get back the ids that they had, by whatever name.
    private var lostPaths: [[UInt8]] = []

    /// How often unrecorded writes are made durable unasked, and the status file written.
    private static let flushInterval = TimeAmount.seconds(30)

    init(
        configuration: Proxy.Configuration, main address: Proxy.OpenedMain, loop: any EventLoop,
        pool: NIOThreadPool
    ) throws {
        self.configuration = configuration
        self.loop = loop
        self.pool = pool
        events = EventLog(session: nil, onEvent: configuration.onEvent)
        let executor: LoopExecutor = { work in loop.execute(work) }
        let isDurable = configuration.imageDurability == .strict
        let events = events
        let state = configuration.state
        let source = configuration.image.canonicalName
        SessionState.makeRoom(in: state.session(configuration.session))
        let kind: MainSource.Kind
        switch address {
        case .directory(let path):
            let directory = try DirectoryImage(path: path)
            image = try ImageStore(
                directory: state.image(source), source: source, root: try directory.rootEntry(),
                isDurable: isDurable, loop: executor)
            kind = .directory(directory)
        case .servers(let urls, let options, let first):
            image = try Self.openStore(configuration, urls, first, isDurable, executor)
            let remote = RemoteImage(
                servers: urls, first: first,
                settings: ReplicaSettings(
                    options: options, timeout: configuration.mainTimeout,
                    timing: configuration.replicaTiming, image: image, counters: counters,
                    loop: loop, events: events))
            kind = .remote(remote, reads: try Self.openCache(of: remote, configuration, pool))
        }
        image.onEvent = { events.add($0) }
        for name in state.sessionNames() {
            guard let learned = image.learn(session: state.session(name)) else { continue }
            if let tag = learned.tag { sessions.expect(name, tag: tag) }
            lostPaths += learned.lostPaths
        }
        main = MainSource(
            kind: kind, image: image, sessions: sessions, counters: counters, loop: loop,
            pool: pool)
        if case .remote(let remote, _) = kind {
            remote.manifest?.start()
            main.namesAhead = try NamesAhead(image) { [unowned main] in main.fetch($0, then: $1) }
        }
        let nfs = NFSService(
            sessions: sessions, main: main, counters: counters, replies: replies,
            budget: DirtyBudget(
                commit: sessions.flushAll,
                holdBytes: configuration.unstableBytesMaximum, loop: loop, pool: pool),
            options: NFSService.Options(
                squashesRoot: configuration.squashesRoot,
                groups: configuration.managesGroups
                    ? GroupDirectory(loop: loop, pool: pool) : nil))
        let sampler = Sampler(sessions: sessions, counters: counters, loop: loop, pool: pool)
        self.sampler = sampler
        let mount = MountService(
            sessions: sessions, main: main, allow: configuration.allow,
            onMount: { sampler.mark($0, "mount by \($1)", isMount: true) })
        server = RPCServer(
            nfs: nfs, mount: mount, admission: Admission(configuration.allow),
            tls: try ServerTLS(configuration),
            connectionsOfOneMaximum: configuration.machines?.connectionsMaximum
                ?? configuration.connectionsOfOneMaximum,
            connectionBytesMaximum: configuration.connectionBytesMaximum,
            onEvent: { events.add($0) })
        IdlePolling.make(on: loop) { [server] in server.polling = $0 }
        replies.onForget = { [sessions] owner in
            sessions[tag: owner.session]?.state.forgetReplies(of: owner.client)
        }
        if let settings = configuration.machines {
            let machines = MachineSessions(settings, imageLoop: self)
            self.machines = machines
            nfs.machines = machines
            mount.machines = machines
        }
        let bound = NIOLoopBound(self, eventLoop: loop)
        timer = loop.scheduleRepeatedTask(
            initialDelay: Self.flushInterval, delay: Self.flushInterval
        ) { _ in bound.value.flush() }
    }

    /// How much of the image may be kept; nil where nothing can be.
    var cacheSize: UInt64? {
        guard case .remote = main.kind else { return nil }
        return main.cache?.wishedLimit ?? 0
    }

    // MARK: Sessions

    /// Opens or makes a session, gives back their ids to what it changed when the image database was
    /// lost, and serves it.
    func add(
        _ options: Proxy.SessionOptions,
        then: @escaping (Result<ServedSession, any Error>) -> Void
    ) {
        guard !isClosed else {
            then(.failure(StateError(.imageInUse, "the process that serves the image is ending")))
            return
        }
        if !lostPaths.isEmpty {
            events.add("the image database was lost or is an older copy: recovering ids")
        }
        let image = image
        let find = { (path: [UInt8]) throws(Interrupt) in _ = try image.find(path) }
        lookUp(lostPaths[...], by: find) { error in
            if let error {
                then(.failure(error))
            } else {
                self.lostPaths = []
                self.addSession(options, then)
            }
        }
    }

    private func addSession(
        _ options: Proxy.SessionOptions,
        _ then: @escaping (Result<ServedSession, any Error>) -> Void
    ) {
        reachShadow(of: options) { result in
            do {
                try self.addSession(options, result.get(), then)
            } catch {
                then(.failure(error))
            }
        }
    }

    /// Connects to the server that keeps a session's sparse files, if one does.
    private func reachShadow(
        of options: Proxy.SessionOptions,
        _ then: @escaping (Result<RemoteShadow?, any Error>) -> Void
    ) {
        let url: NFSURL
        do {
            let directory = configuration.state.session(options.name)
            // What cannot be read, opening the session complains about.
            let stored = try? StoredSession.read(directory)
            guard let text = options.shadow ?? stored?.shadow?.url else {
                return then(.success(nil))
            }
            url = try NFSURL(text)
        } catch {
            then(.failure(error))
            return
        }
        let promise = loop.makePromise(of: RemoteShadow.Opened.self)
        var client = NFSClient.Options()
        client.connection.congestionControl = configuration.congestionControl
        client.connection.credentials = configuration.tlsCredentials
        client.credential = configuration.mainCredential
        let (loop, clientOptions) = (loop, client)
        promise.completeWithTask {
            try await RemoteShadow.connect(url, options: clientOptions, on: loop)
        }
        promise.futureResult.assumeIsolated().whenComplete { result in
            then(
                result.map { opened in
                    RemoteShadow(
                        opened, credential: self.configuration.mainCredential,
                        timeout: self.configuration.mainTimeout)
                })
        }
    }

    private func addSession(
        _ options: Proxy.SessionOptions, _ shadow: RemoteShadow?,
        _ then: @escaping (Result<ServedSession, any Error>) -> Void
    ) throws {
        let session: ServedSession
        do {
            if isClosed { throw StateError(.imageInUse, "the process is ending") }
            let profile = try options.profile.map { try Profile(file: $0) }
            let state = try open(options, shadow)
            let directory = configuration.state.session(options.name)
            session = ServedSession(
                state, options, shadow, sampler.open(directory), onEvent: configuration.onEvent)
            try record(session)
            if let profile { fetchAhead(profile, of: session) }
        } catch {
            shadow?.close()
            throw error
        }
        let state = session.state
        let recover = { (path: [UInt8]) throws(Interrupt) in try state.recover(path) }
        lookUp(state.lostPaths[...], by: recover) { error in
            do {
                if let error { throw error }
                if !state.lostPaths.isEmpty { try state.recovered() }
                if self.isClosed { throw StateError(.imageInUse, "the process is ending") }
                state.tidyShadowServer { error in
                    do {
                        if let error { throw error }
                        if self.isClosed {
                            throw StateError(.imageInUse, "the process is ending")
                        }
                        self.replies.load(
                            try state.storedReplies(), session: state.handles.tag)
                        self.sessions.add(session)
                        self.awaited.names.remove(session.state.name)
                        if self.awaited.names.isEmpty { self.stopWaiting() }
                        then(.success(session))
                    } catch {
                        session.close()
                        then(.failure(error))
                    }
                }
            } catch {
                session.close()
                then(.failure(error))
            }
        }
    }

    /// Does something once sessions are served, or when they have not come for a while.
    func whenServed(_ names: Set<String>, _ whenThere: @escaping () -> Void) {
        awaited = (names.filter { sessions[$0] == nil }, whenThere)
        guard !awaited.names.isEmpty else { return stopWaiting() }
        loop.assumeIsolated().scheduleTask(in: .seconds(5)) { self.stopWaiting() }
    }

    private func stopWaiting() { awaited.whenThere.take()?() }

    /// Begins to write down what the clients of a session touch, if that is wanted.
    private func record(_ session: ServedSession) throws {
        guard let path = session.options.record else { return }
        do {
            session.recorder = try ProfileRecorder(
                path: path, image: image, onEvent: { [events = session.events] in events.add($0) })
        } catch {
            session.close()
            throw error
        }
    }

    /// Fetches what a profile names, where that is not here already.
    private func fetchAhead(_ profile: Profile, of session: ServedSession) {
        let events = session.events
        guard let prefetcher = main.prefetcher else {
            events.add("the profile is of no use: nothing of this image is kept here")
            return
        }
        let replay = ProfileReplay(profile, image: image) { events.add($0, .notice) }
        prefetcher.start(replay.run())
    }

    private func open(
        _ options: Proxy.SessionOptions, _ shadow: RemoteShadow?
    ) throws -> SessionState {
        do {
            try StateLayout.check(sessionName: options.name)
        } catch {
            throw ConfigurationError(message: error.message)
        }
        let isDurable = options.durability == .strict
        guard !isDurable || configuration.imageDurability == .strict else {
            throw StateError(
                .locked,
                "the image is served with --durability relaxed already, which promises less than "
                    + "strict: give --durability relaxed too, or stop it first")
        }
        let loop = loop
        return try SessionState(
            name: options.name, directory: configuration.state.session(options.name),
            image: image, isDurable: isDurable, isReadOnly: options.isReadOnly, shadow: shadow,
            loop: { work in loop.execute(work) })
    }

    /// Makes a session durable and lets go of it; its clients are told to wait.
    /// - Parameter then: hears what could not be made durable, if anything.
    func remove(_ session: ServedSession, then: @escaping (StateError?) -> Void) {
        // When all of it is closed, so is the session.
        guard !isClosed else {
            then(nil)
            return
        }
        sessions.remove(session)
        counters.keep(session.counters)
        for (name, count) in session.state.shadowCalls.byName {
            endedShadowCalls[name, default: 0] += count
        }
        removals.count += 1
        session.state.flush { status in
            let failure = status.map { Self.notWritten(session, $0) }
            if let failure { self.events.add(failure.message) }
            self.writeStatusFile(of: session)
            self.sampler.finish(session) {
                session.close()
                then(failure)
                self.removals.count -= 1
                // What is done then has this loop, which must not have that for ever.
                if self.removals.count == 0 { self.removals.whenDone.take()?() }
            }
        }
    }

    /// Does something to a session as a whole, while its clients go on.
    func carryOut(
        _ change: SessionChange, on session: ServedSession,
        then: @escaping (StateError?) -> Void
    ) {
        let told: (String) -> (StateError?) -> Void = { what in
            { error in
                if error == nil { session.events.add(what, .notice) }
                then(error)
            }
        }
        switch change {
        case .takeSnapshot(let tag):
            session.state.takeSnapshot(tag, then: told("took the snapshot '\(tag)'"))
        case .rollBack(let tag):
            session.state.rollBack(to: tag, then: told("rolled back to the snapshot '\(tag)'"))
        case .clone(let name, let tag):
            session.state.clone(
                to: configuration.state.session(name), from: tag, then: told("cloned to '\(name)'"))
        }
    }

    private static func notWritten(_ session: ServedSession, _ status: NFS3.Status) -> StateError {
        StateError(
            .io,
            "the last unstable writes to the session \(session.state.name) are lost: writing "
                + "them back failed (\(status))")
    }

    /// Looks paths in the image up, asking main for what is not known.
    private func lookUp(
        _ paths: ArraySlice<[UInt8]>, by find: @escaping ([UInt8]) throws(Interrupt) -> Void,
        _ then: @escaping (StateError?) -> Void
    ) {
        var paths = paths
        while let path = paths.first {
            let text = String(decoding: path, as: UTF8.self)
            do throws(Interrupt) {
                try find(path)
                paths.removeFirst()
            } catch {
                guard case .need(let fetch) = error else {
                    then(
                        StateError(
                            .io,
                            "the image database was lost, and \(text), which a session changed, has "
                                + "another number in the new one (\(error)); put the old one back"))
                    return
                }
                let remaining = paths
                main.fetch(fetch) { status in
                    if let status {
                        then(
                            StateError(
                                .io,
                                "the image database was lost, and main answers \(status) for "
                                    + "\(text), which a session changed; start again when main can "
                                    + "be reached"))
                    } else {
                        self.lookUp(remaining, by: find, then)
                    }
                }
                return
            }
        }
        then(nil)
    }

    private func flush() {
        sessions.flushAll {}
        for session in sessions.all {
            writeStatusFile(of: session)
            session.recorder?.flush()
        }
        let existing = configuration.state
        sessions.expectOnly { (try? existing.existingSession($0)) != nil }
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
        awaited.whenThere = nil
        sampler.close()
        // Those that are on their way out are to be durable, too.
        if removals.count == 0 { return closeAll(then) }
        removals.whenDone = { self.closeAll(then) }
    }

    private func closeAll(_ then: @escaping @Sendable ((any Error)?) -> Void) {
        var failure: (any Error)?
        var remaining = sessions.all.count
        guard remaining > 0 else {
            finishClosing(nil, then)
            return
        }
        for session in sessions.all {
            session.state.flush { status in
                if let status { failure = Self.notWritten(session, status) }
                remaining -= 1
                if remaining == 0 { self.finishHistories { self.finishClosing(failure, then) } }
            }
        }
    }

    private func finishHistories(then: @escaping () -> Void) {
        var remaining = sessions.all.count
        for session in sessions.all {
            sampler.finish(session) {
                remaining -= 1
                if remaining == 0 { then() }
            }
        }
    }

    private func finishClosing(
        _ failure: (any Error)?, _ then: @escaping @Sendable ((any Error)?) -> Void
    ) {
        for session in sessions.all { writeStatusFile(of: session) }
        server.closeAll()
        main.namesAhead?.close()
        main.prefetcher?.close()
        let finish = {
            // Calls were carried out as long as there were connections, and what main has just said may be on its way
            // into the database.
            self.sessions.flushAll { self.image.commit { _ in self.closeDatabases(failure, then) } }
        }
        guard case .remote(let remote, _) = main.kind else { return finish() }
        let closeRemote = { remote.close(then: finish) }
        if let manifest = remote.manifest {
            manifest.close(then: closeRemote)
        } else {
            closeRemote()
        }
    }

    private func closeDatabases(
        _ failure: (any Error)?, _ then: @escaping @Sendable ((any Error)?) -> Void
    ) {
        for session in sessions.all { session.close() }
        let image = image
        // With the image's lock goes the right to change cache files.
        guard let cache = main.cache else {
            image.close()
            return then(failure)
        }
        cache.close {
            image.close()
            then(failure)
        }
    }
}

import NFSProtocol

/// An image that is open in this process: what sessions stand on.
///
/// Everything of an image and its sessions runs on one serial executor of its own, so operations of
/// different images run side by side. What the source tells is kept under the state directory for all
/// sessions and for the next time.
public actor Image {
    /// How an image and its sessions are opened.
    public struct Options: Sendable {
        /// What acknowledged changes survive.
        public enum Durability: Sendable {
            /// A power failure.
            case strict
            /// The end of the process.
            case relaxed
        }

        public var durability = Durability.strict
        /// Told what an operator should know; called from a thread of the image's.
        public var onEvent: @Sendable (String) -> Void = { _ in }

        public init() {}
    }

    /// The source's name.
    public nonisolated let name: String
    /// Where the image and its sessions are kept.
    public nonisolated let state: StateLayout

    nonisolated let executor: QueueExecutor
    nonisolated let options: Options
    private let source: any ImageSource
    private var store: ImageStore?
    /// Fetches under way and who waits for them: equal ones are made once.
    private var fetches: [Fetch: [CheckedContinuation<ROWError?, Never>]] = [:]
    private var sessions: [OpenSession] = []
    /// Calls of the store's that have not ended.
    private var callsUnderWay = 0
    private var isClosing = false
    /// What sessions changed in the image when its database was another.
    private var lostPaths: [[UInt8]] = []
    /// Those that close it while another does.
    private var whenClosed: [CheckedContinuation<Void, Never>] = []
    private var whenIdle: [CheckedContinuation<Void, Never>] = []

    private struct OpenSession {
        weak var session: Session?
    }

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        executor.asUnownedSerialExecutor()
    }

    // MARK: Opening and closing

    /// Opens an image, making what is to be kept of it when it is seen for the first time.
    ///
    /// A source that does not answer is no obstacle when the image has been open before: what is
    /// known of it can be used.
    /// - Throws: ``ROWError``; its code is `.state(.imageInUse)` when another process has the image open.
    public static func open(
        _ source: any ImageSource, state: StateLayout, options: Options = Options()
    ) async throws(ROWError) -> Image {
        let image = Image(source, state, options)
        let root: Result<MainEntry, ROWError>
        do { root = .success(try await source.rootEntry()) } catch { root = .failure(error) }
        try await image.openStore(root)
        return image
    }

    private init(_ source: any ImageSource, _ state: StateLayout, _ options: Options) {
        self.source = source
        self.state = state
        self.options = options
        name = source.name
        executor = QueueExecutor(label: "rowfs.image")
    }

    private func openStore(_ root: Result<MainEntry, ROWError>) throws(ROWError) {
        do {
            try state.checkRights()
            let store = try ImageStore(
                directory: state.image(name), source: name, root: try? root.get(),
                servers: source.server.map { [$0] } ?? [],
                isDurable: options.durability == .strict, loop: executor.loop)
            store.onEvent = options.onEvent
            for session in state.sessionNames() {
                lostPaths += store.learn(session: state.session(session))?.lostPaths ?? []
            }
            self.store = store
        } catch {
            if error.code == .notFound, case .failure(let reason) = root { throw reason }
            throw ROWError(error)
        }
    }

    /// Opens a session, or makes one.
    /// - Parameter name: see ``StateLayout/check(sessionName:)``.
    /// - Throws: ``ROWError``; its code is `.state(.locked)` when another process has the session
    ///   open, `.state(.imageMismatch)` when it was made on another image.
    public func openSession(
        _ name: String, options: Session.Options = Session.Options()
    ) async throws(ROWError) -> Session {
        try await recover()
        let session = try Session(name, on: self, options)
        try await session.start(Confined(value: try openStore()))
        guard !isClosing else {
            // Closed while the session was looking for what it had changed.
            try await session.close()
            throw closed
        }
        sessions.removeAll { $0.session == nil }
        sessions.append(OpenSession(session: session))
        return session
    }

    /// Makes everything of its sessions durable, closes them, and lets go of the image.
    ///
    /// Without it what was acknowledged is as safe, but the image stays locked while anything refers
    /// to it.
    /// - Throws: ``ROWError`` when unstable writes could not be made durable; all is closed even so.
    public func close() async throws(ROWError) {
        guard !isClosing else {
            if store != nil { await withCheckedContinuation { whenClosed.append($0) } }
            return
        }
        isClosing = true
        defer {
            for waiter in whenClosed { waiter.resume() }
            whenClosed = []
        }
        var failure: ROWError?
        for open in sessions {
            do { try await open.session?.close() } catch { failure = failure ?? error }
        }
        sessions = []
        guard let store else { return }
        self.store = nil
        if callsUnderWay > 0 { await withCheckedContinuation { whenIdle.append($0) } }
        store.close()
        await source.release(image: store.epoch)
        if let failure { throw failure }
    }

    private func openStore() throws(ROWError) -> ImageStore {
        guard let store, !isClosing else { throw closed }
        return store
    }

    /// Gives back their ids to the objects that sessions changed, before anything else is looked up.
    private func recover() async throws(ROWError) {
        while let path = lostPaths.last {
            do throws(Interrupt) {
                guard let store, !isClosing else { return }
                _ = try store.find(path)
                lostPaths.removeAll { $0 == path }
            } catch {
                guard case .need(let fetch) = error else { throw ROWError(.io) }
                try await self.fetch(fetch)
            }
        }
    }

    private var closed: ROWError {
        ROWError(.closed, "the image \(name) has been closed; open it again")
    }

    // MARK: Asking the source

    /// Asks the store, getting what it needs for an answer from the source.
    func ask<T: Sendable>(
        _ question: @Sendable (ImageStore) throws(Interrupt) -> T
    ) async throws(ROWError) -> T {
        try await recover()
        while true {
            let store = try openStore()
            do throws(Interrupt) {
                return try question(store)
            } catch {
                switch error {
                case .status(let status): throw ROWError(status)
                case .need(let fetch): try await self.fetch(fetch)
                case .wait, .busy: throw ROWError(.serverFault)
                }
            }
        }
    }

    /// Gets what an operation needs into the store.
    func fetch(_ fetch: Fetch) async throws(ROWError) {
        let failure: ROWError?
        if fetches[fetch] != nil {
            failure = await withCheckedContinuation { fetches[fetch]?.append($0) }
        } else {
            fetches[fetch] = []
            failure = await perform(fetch)
            for waiter in fetches.removeValue(forKey: fetch) ?? [] {
                waiter.resume(returning: failure)
            }
        }
        if let failure { throw failure }
    }

    private func perform(_ fetch: Fetch) async -> ROWError? {
        do {
            let store = try openStore()
            begin()
            defer { end() }
            let object = try object(fetch.subject, store)
            // A task of its own: whoever else waits for the answer is not cancelled with the first.
            let result = await Task { [source] in await source.perform(fetch, on: object) }.value
            try feed(fetch, result, store)
            let status = await withCheckedContinuation { done in
                store.commit { done.resume(returning: $0) }
            }
            return status.map { ROWError($0) }
        } catch {
            return error
        }
    }

    private func feed(
        _ fetch: Fetch, _ result: FetchResult, _ store: ImageStore
    ) throws(ROWError) {
        do throws(Interrupt) {
            try store.feed(fetch, result, replica: store.replicas.first ?? 0)
        } catch {
            guard case .status(let status) = error else { throw ROWError(.serverFault) }
            throw ROWError(status)
        }
    }

    /// Reads data of a file of the image.
    /// - Parameter range: bytes, below the file's size; not empty.
    func read(_ id: NodeID, _ range: Range<UInt64>) async throws(ROWError) -> [UInt8] {
        let store = try openStore()
        begin()
        defer { end() }
        let object = try object(id, store)
        let read = await Task { [source] () -> Result<[UInt8], ROWError> in
            do throws(ROWError) {
                return .success(try await source.read(object, range))
            } catch {
                return .failure(error)
            }
        }.value
        let bytes = try read.get()
        guard bytes.count == range.count else {
            throw ROWError(
                .status(.io), "\(name) sent \(bytes.count) bytes where \(range.count) were due")
        }
        return bytes
    }

    private func object(_ id: NodeID, _ store: ImageStore) throws(ROWError) -> ImageObject {
        guard let path = store.path(of: id), let attributes = store.attributes(of: id) else {
            throw ROWError(.stale)
        }
        return ImageObject(
            image: store.epoch, id: id, path: path, attributes: attributes,
            handle: store.handle(of: id, replica: store.replicas.first ?? 0))
    }

    private func begin() { callsUnderWay += 1 }

    private func end() {
        callsUnderWay -= 1
        guard callsUnderWay == 0 else { return }
        for waiter in whenIdle { waiter.resume() }
        whenIdle = []
    }
}

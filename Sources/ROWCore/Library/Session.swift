import NFSProtocol
import SystemPackage

/// One set of private changes on an ``Image``, by path: reads show the image with the changes, writes
/// go to the session's own storage, and the image is never touched.
///
/// Paths start at the image's root, with or without a leading slash. Symbolic links are not followed,
/// neither inside a path nor at its end. Names are bytes. Permissions are checked for
/// ``Options/credential``.
///
/// A change is durable when its method returns. Changes that are made at the same time by several
/// tasks share transactions. An operation of a cancelled task is carried out to its end.
public actor Session {
    /// How a session is opened.
    public struct Options: Sendable {
        /// Who works on the session.
        public var credential = Credential.root
        /// Refuses every change with ROFS.
        public var isReadOnly = false
        /// Bytes in a block, a power of two in 512...1048576. Only a new session takes it.
        public var blockSize: UInt64 = 4096

        public init() {}
    }

    public nonisolated let name: String
    public nonisolated let image: Image
    nonisolated let options: Options
    private var state: SessionState?
    private var isClosing = false

    /// Files with writes that nothing has made durable yet, at most; each is kept in memory.
    private static let unstableFilesMaximum = 1024

    public nonisolated var unownedExecutor: UnownedSerialExecutor { image.unownedExecutor }

    // MARK: Opening and closing

    init(_ name: String, on image: Image, _ options: Options) throws(ROWError) {
        do { try StateLayout.check(sessionName: name) } catch { throw ROWError(error) }
        guard LayerMap.isValid(blockSize: options.blockSize) else {
            throw ROWError(
                .status(.inval),
                "a block of \(options.blockSize) bytes: choose a power of two in 512...1048576")
        }
        self.name = name
        self.image = image
        self.options = options
    }

    /// - Parameter store: of the image, whose executor is also this actor's.
    func start(_ store: Confined<ImageStore>) async throws(ROWError) {
        let state: SessionState
        do {
            state = try SessionState(
                name: name, directory: image.state.session(name), image: store.value,
                blockSize: options.blockSize, isDurable: image.options.durability == .strict,
                isReadOnly: options.isReadOnly, loop: image.executor.loop)
        } catch { throw ROWError(error) }
        state.onEvent = image.options.onEvent
        self.state = state
        for path in state.lostPaths {
            try await run(FilePath(bytes: path)) { state throws(Interrupt) in
                try state.recover(path)
            }
        }
        guard !state.lostPaths.isEmpty else { return }
        do { try state.recovered() } catch { throw ROWError(error) }
    }

    /// Makes everything durable and lets go of the session. Operations that have not ended are refused.
    /// - Throws: ``ROWError`` when unstable writes could not be made durable; they are lost then, and
    ///   the session is closed even so.
    public func close() async throws(ROWError) {
        guard let state, !isClosing else { return }
        isClosing = true
        var failure: NFS3.Status?
        repeat {
            failure = await outcome { state.flush(then: $0) } ?? failure
        } while state.hasWork
        self.state = nil
        state.close()
        if let failure { throw ROWError(failure) }
    }

    // MARK: Running operations

    /// Runs an operation until it answers, getting what it needs from the image.
    /// - Parameter path: for the error.
    func run<T>(
        _ path: FilePath?, _ body: (SessionState) throws(Interrupt) -> T
    ) async throws(ROWError) -> T {
        while true {
            let state = try openState()
            do throws(Interrupt) {
                let answer = try body(state)
                state.trim()
                return answer
            } catch {
                switch error {
                case .status(let status): throw ROWError(status, path: path)
                case .need(let fetch): try await image.fetch(fetch)
                case .wait: try await commit(path)
                // Only where there is a shadow server, which this has none of.
                case .busy: throw ROWError(.serverFault, path: path)
                }
            }
        }
    }

    /// Runs an operation and makes what it changed durable.
    func change<T: Sendable>(
        _ path: FilePath?, _ body: (SessionState) throws(Interrupt) -> T
    ) async throws(ROWError) -> T {
        let answer = try await run(path, body)
        try await commit(path)
        return answer
    }

    /// Makes durable what was promised to be.
    func commit(_ path: FilePath?) async throws(ROWError) {
        let state = try openState()
        if let status = await outcome({ state.commit(then: $0) }) {
            throw ROWError(status, path: path)
        }
        state.trim()
    }

    /// Makes every change durable, unstable writes included.
    public func sync() async throws(ROWError) {
        let state = try openState()
        if let status = await outcome({ state.flush(then: $0) }) { throw ROWError(status) }
        state.trim()
    }

    /// What this session changed, unstable writes included, which it makes durable.
    /// - Returns: sorted by path, directories before what they hold; see ``SessionDiff``.
    public func diff() async throws(ROWError) -> [Change] {
        try await sync()
        let session = image.state.session(name)
        let image = image.state.image(image.name)
        do {
            return try await Self.readDiff(session, image)
        } catch {
            throw ROWError(error)
        }
    }

    /// Elsewhere than on the actor, which others may want meanwhile.
    @concurrent
    private static func readDiff(
        _ session: FilePath, _ image: FilePath
    ) async throws(StateError) -> [Change] {
        try SessionDiff.read(session: session, image: image)
    }

    /// Bounds what unstable writes keep in memory.
    func syncWhenManyAreUnstable() async throws(ROWError) {
        guard try openState().dirtyFiles.count > Self.unstableFilesMaximum else { return }
        try await sync()
    }

    private func outcome(
        _ begin: (@escaping (NFS3.Status?) -> Void) -> Void
    ) async -> NFS3.Status? {
        await withCheckedContinuation { done in begin { done.resume(returning: $0) } }
    }

    private func openState() throws(ROWError) -> SessionState {
        guard let state, !isClosing else {
            throw ROWError(.closed, "the session \(name) has been closed; open it again")
        }
        return state
    }
}

extension SessionState {
    /// Whether a commit is under way or due, or a write unrecorded.
    var hasWork: Bool { inFlight != nil || !batch.isEmpty || !dirtyFiles.isEmpty }
}

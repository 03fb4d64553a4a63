/// What is under way on a session's files at the shadow server, and which of their writes it may still
/// lose. A file of which there is nothing to tell is not here.
///
/// Loop-confined.
final class RemoteFiles {
    let server: any ShadowServer
    private var files: [LayerID: File] = [:]
    private var bytesInFlight = 0
    private var isFull = false
    private var lastWait: UInt64 = 0
    /// The server lost writes while a batch was on its way: what was gathered since is to be forgotten.
    var hasLostWrites = false

    /// Bytes of WRITEs under way, those included of which clients have been told to try again later.
    private static let bytesInFlightMaximum = 64 << 20

    init(_ server: any ShadowServer) { self.server = server }

    private final class File {
        /// Whole blocks that WRITEs under way touch.
        var writing: [Range<UInt64>] = []
        /// Something is under way that nothing else may be beside.
        var isTaken = false
        /// The verifier of writes that no COMMIT was sent for.
        var unstable: UInt64?
        /// Operations that wait, in the order in which they came.
        var waiting: [(number: UInt64, run: () -> Void)] = []
        /// Runs when nothing is under way any more.
        var whenIdle: [() -> Void] = []

        var isIdle: Bool { writing.isEmpty && !isTaken }
        var isForgettable: Bool {
            isIdle && unstable == nil && waiting.isEmpty && whenIdle.isEmpty
        }
    }

    private func file(_ id: LayerID) -> File {
        if let file = files[id] { return file }
        let file = File()
        files[id] = file
        return file
    }

    // MARK: What may go on beside what

    /// Whether any write into these blocks is under way.
    func isWriting(_ id: LayerID, _ blocks: Range<UInt64>) -> Bool {
        guard let file = files[id] else { return false }
        return file.writing.contains { $0.overlaps(blocks) }
    }

    /// Whether a write may begin now. Those who wait come first, or they would wait for ever.
    func maySend(_ id: LayerID, _ blocks: Range<UInt64>, count: Int) -> Bool {
        if bytesInFlight > 0, bytesInFlight + count > Self.bytesInFlightMaximum {
            isFull = true
            return false
        }
        guard let file = files[id] else { return true }
        return !file.isTaken && file.waiting.isEmpty && !isWriting(id, blocks)
    }

    /// Whether nothing is under way on the file.
    func isIdle(_ id: LayerID) -> Bool { files[id]?.isIdle ?? true }

    func beginWrite(_ id: LayerID, _ blocks: Range<UInt64>, count: Int) {
        bytesInFlight += count
        file(id).writing.append(blocks)
    }

    /// - Returns: what to call once the write's effect is known to all.
    func endWrite(_ id: LayerID, _ blocks: Range<UInt64>, count: Int) -> () -> Void {
        bytesInFlight -= count
        let file = file(id)
        if let index = file.writing.firstIndex(of: blocks) { file.writing.remove(at: index) }
        return {
            if self.isFull {
                self.isFull = false
                self.wakeAll()
            }
            self.settled(id)
        }
    }

    /// Keeps everything else off the file until ``release(_:)``.
    func take(_ id: LayerID) { file(id).isTaken = true }

    func release(_ id: LayerID) {
        file(id).isTaken = false
        settled(id)
    }

    private func settled(_ id: LayerID) {
        guard let file = files[id] else { return }
        if file.isIdle {
            let idle = file.whenIdle
            file.whenIdle = []
            for run in idle { run() }
        }
        wake(file)
        prune(id, file)
    }

    private func prune(_ id: LayerID, _ file: File) {
        if file.isForgettable, files[id] === file { files[id] = nil }
    }

    private func wake(_ file: File) {
        let waiting = file.waiting
        file.waiting = []
        for (_, run) in waiting { run() }
    }

    func wakeAll() {
        for (id, file) in files {
            wake(file)
            prune(id, file)
        }
    }

    /// Runs `then` when something has changed for those who wait for the file.
    /// - Returns: by what the wait is given up.
    func wait(for id: LayerID, then: @escaping () -> Void) -> UInt64 {
        lastWait += 1
        file(id).waiting.append((lastWait, then))
        return lastWait
    }

    func giveUp(_ wait: UInt64, for id: LayerID) {
        guard let file = files[id] else { return }
        file.waiting.removeAll { $0.number == wait }
        prune(id, file)
    }

    // MARK: What the server may lose

    /// Notes the verifiers that came with a write.
    /// - Returns: false when the server has lost writes of this file.
    func note(_ verifiers: [UInt64], of id: LayerID) -> Bool {
        var isIntact = true
        for verifier in verifiers {
            let file = file(id)
            if let known = file.unstable, known != verifier { isIntact = false }
            file.unstable = verifier
        }
        return isIntact
    }

    /// The verifier that a COMMIT sent now must answer; nil when there is nothing to commit. What is
    /// written from now on is the next one's.
    func takeUnstable(_ id: LayerID) -> UInt64? {
        guard let file = files[id], let verifier = file.unstable else { return nil }
        file.unstable = nil
        prune(id, file)
        return verifier
    }

    /// Nobody claims any more that these writes were made.
    func forgetUnstable() {
        hasLostWrites = false
        for (id, file) in files {
            file.unstable = nil
            prune(id, file)
        }
    }

    // MARK: Removal

    /// Removes a file once nothing is under way on it.
    func remove(_ id: LayerID) {
        let remove = { self.server.remove(id) { _ in } }
        guard let file = files[id] else { return remove() }
        file.unstable = nil
        if file.isIdle { remove() } else { file.whenIdle.append(remove) }
        prune(id, file)
    }
}

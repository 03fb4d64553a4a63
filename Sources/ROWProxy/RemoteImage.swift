import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore

/// An NFS server, or several with the same tree, as an image: what is asked goes to the one that suits
/// best, and to the next when that does not answer or has something else.
///
/// All calls only read, so each may be made again elsewhere. Loop-confined.
final class RemoteImage {
    typealias ReadCompletion = (Result<ByteBuffer, MainSource.ReadFailure>) -> Void

    /// Bytes of a file that are kept on this machine, with which a server is compared; nil when they are
    /// not.
    var cachedBytes: (NodeID, Range<UInt64>, @escaping (ByteBuffer?) -> Void) -> Void = {
        _, _, then in then(nil)
    }
    let settings: ReplicaSettings
    /// What the image must be, if it has a manifest.
    var manifest: ImageManifest?
    /// Whether bytes are compared with a manifest: servers need not agree about times then.
    var hasManifest = false
    private(set) var replicas: [Replica] = []
    private var servers: ReplicaSet
    /// Who was asked first when somebody was.
    private var lastActive: Int?
    /// What waits for a server to be ready.
    private var parked: [Errand] = []
    private var parkedTimer: (deadline: NIODeadline, task: Scheduled<Void>)?
    private var gatheredReads = GatheredReads()
    private var probes: Scheduled<Void>?
    private(set) var isClosed = false
    /// Files that no server had as they were known, until when they are stale without being asked for.
    private var changed: [NodeID: NIODeadline] = [:]
    private var settling: [Suspicion: [(Settled) -> Void]] = [:]
    /// Whether all servers have other names in the root than are on record.
    private(set) var isRootChanged = false
    /// Looks from time to time whether the image has changed.
    private var changes: ImageChanges?

    private struct Suspicion: Hashable {
        let id: NodeID
        let accused: Int
    }

    /// Who is wrong about a node.
    enum Settled {
        /// The server that was accused.
        case refused
        /// Nobody has the node as it was.
        case changed
        /// One that would have to be asked did not answer.
        case unknown
    }

    private static let parkedMaximum = 4096
    private static let changedMaximum = 4096
    /// Of directories; deeper ones are not gone through.
    private static let depthMaximum = 4096

    /// Something that is asked, at one server after another until one has an answer.
    final class Errand {
        let deadline: Deadline
        /// Asks a server; answers by itself, or tells why there is no answer.
        let ask: (Replica, @escaping (Replica.Failure) -> Void) -> Void
        let giveUp: (NFS3.Status) -> Void
        var tried: Set<Int> = []
        /// What the first that had an answer would not do.
        var status: NFS3.Status?

        init(
            by deadline: Deadline, giveUp: @escaping (NFS3.Status) -> Void,
            ask: @escaping (Replica, @escaping (Replica.Failure) -> Void) -> Void
        ) {
            self.deadline = deadline
            self.giveUp = giveUp
            self.ask = ask
        }
    }

    /// - Parameter urls: as the image store was told of them.
    /// - Parameter first: one that has just been asked for the root that the image store was made with.
    init(
        servers urls: [NFSURL], first: (index: Int, opened: Replica.Opened)?,
        settings: ReplicaSettings
    ) {
        self.settings = settings
        self.servers = ReplicaSet(count: urls.count)
        replicas = urls.enumerated().map { index, url in
            Replica(
                index: index, number: settings.image.replicas[index], url: url,
                settings: settings, owner: self)
        }
        for replica in replicas {
            replica.begin(first?.index == replica.index ? first?.opened : nil)
        }
        if !isAlone { probeLater() }
        changes = ImageChanges(of: self)
    }

    /// Takes up one more server, which is checked before it is used.
    /// - Returns: whether it was not known.
    func add(_ url: NFSURL) throws(StateError) -> Bool {
        let name = Proxy.canonicalName(of: url)
        guard !isClosed, !replicas.contains(where: { $0.name == name }) else { return false }
        let number = try settings.image.addServer(name)
        let wasAlone = isAlone
        let replica = Replica(
            index: replicas.count, number: number, url: url, settings: settings, owner: self)
        replicas.append(replica)
        servers.add()
        replica.begin(nil)
        if wasAlone { probeLater() }
        settings.onEvent("the image has one more server: \(name)", .notice)
        return true
    }

    /// Whether there is only one server, which is used whatever it has.
    var isAlone: Bool { replicas.count <= 1 }

    /// The one that is asked first now.
    var active: Replica? { servers.active.map { replicas[$0] } }

    func hasReady(besides replica: Replica) -> Bool {
        !isAlone && servers.hasReady(besides: replica.index)
    }

    /// The best of the others.
    func ready(besides replica: Replica) -> Replica? {
        servers.choose(excluding: [replica.index]).map { replicas[$0] }
    }

    // MARK: What is asked

    /// Answers a fetch.
    /// - Parameter then: told the answer, and the number of the server that it is from.
    func perform(_ fetch: Fetch, then: @escaping (FetchResult, _ replica: Int) -> Void) {
        let deadline = Deadline.after(settings.timeout)
        let number = replicas[0].number
        run(
            Errand(by: deadline, giveUp: { then(.failed($0), number) }) { replica, fail in
                replica.perform(fetch, by: deadline) { result in
                    switch result {
                    case .success(let answer): then(answer, replica.number)
                    case .failure(let failure): fail(failure)
                    }
                }
            })
    }

    /// The longest range that is worth one call.
    var readBytesMaximum: Int { gatheredReads.bytesMaximum }

    /// READs a range at the end of this turn of the loop, together with what adjoins.
    func read(_ id: NodeID, _ range: Range<UInt64>, then: @escaping ReadCompletion) {
        if gatheredReads.isEmpty {
            settings.loop.assumeIsolated().execute {
                for run in self.gatheredReads.takeAll() { self.read(run) }
            }
        }
        gatheredReads.add(id, range, then: then)
    }

    private func read(_ gathered: GatheredReads.Run) {
        func fail(_ status: NFS3.Status) {
            gathered.finish(.failure(MainSource.ReadFailure(status: status)))
        }
        let now = NIODeadline.now()
        if let end = changed[gathered.id] {
            if now < end { return fail(.stale) }
            changed[gathered.id] = nil
        }
        let deadline = Deadline(time: now + settings.timeout)
        run(
            Errand(by: deadline, giveUp: fail) { replica, fail in
                replica.read(gathered.id, gathered.range, by: deadline) { result in
                    switch result {
                    case .success(let data):
                        self.verify(gathered.id, gathered.range, data, from: replica) { failure in
                            if let failure {
                                fail(failure)
                            } else {
                                gathered.finish(.success(data))
                            }
                        }
                    case .failure(let failure): fail(failure)
                    }
                }
            })
    }

    /// A server answers READs with so many bytes at most. What is less than a block was an exception.
    func answeredShort(_ count: Int) {
        gatheredReads.limit(to: max(count, Int(CacheLayout.blockBytes)))
    }

    func run(_ errand: Errand) {
        guard !isClosed, NIODeadline.now() < errand.deadline.time else {
            return errand.giveUp(errand.status ?? .jukebox)
        }
        if let index = servers.choose(excluding: errand.tried) {
            let replica = replicas[index]
            let life = replica.life
            errand.ask(replica) { failure in
                // One that was lost may have come back: it is asked again.
                if replica.life == life { errand.tried.insert(index) }
                self.failed(errand, at: replica, failure)
            }
        } else if servers.active == nil, errand.status == nil {
            park(errand)
        } else {
            errand.giveUp(errand.status ?? .jukebox)
        }
    }

    private func failed(_ errand: Errand, at replica: Replica, _ failure: Replica.Failure) {
        switch failure {
        case .away: run(errand)
        case .status(let status):
            errand.status = errand.status ?? status
            run(errand)
        case .differs(let id):
            settle(id, accused: replica) { settled in
                switch settled {
                case .refused: self.run(errand)
                case .changed: errand.giveUp(.stale)
                case .unknown: errand.giveUp(.jukebox)
                }
            }
        }
    }

    // MARK: Waiting for a server

    private func park(_ errand: Errand) {
        guard parked.count < Self.parkedMaximum else { return errand.giveUp(.jukebox) }
        parked.append(errand)
        armParkedTimer(for: errand.deadline.time)
    }

    private func armParkedTimer(for deadline: NIODeadline) {
        if let timer = parkedTimer {
            guard deadline < timer.deadline else { return }
            timer.task.cancel()
        }
        let task = settings.loop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.parkedTimer = nil
            self.resumeParked { $0.deadline.time <= .now() }
            if let next = self.parked.map(\.deadline.time).min() { self.armParkedTimer(for: next) }
        }
        parkedTimer = (deadline, task)
    }

    private func resumeParked(_ isDue: (Errand) -> Bool) {
        let due = parked.filter(isDue)
        parked.removeAll(where: isDue)
        for errand in due { run(errand) }
    }

    // MARK: What becomes of servers

    /// Its state is another.
    func changed(_ replica: Replica) {
        servers.set(replica.state, of: replica.index)
        followActive()
        if replica.state == .ready { resumeParked { _ in true } }
        if replica.state == .refused {
            settings.loop.assumeIsolated().execute { self.settleIfAllAgree() }
        }
    }

    private func followActive() {
        guard let active = servers.active, active != lastActive else { return }
        if let lastActive {
            settings.onEvent(
                "main is \(replicas[active].name) now, was \(replicas[lastActive].name)")
        }
        lastActive = active
    }

    private func probeLater() {
        probes = settings.loop.assumeIsolated().scheduleTask(in: settings.timing.probe) {
            self.servers.endRound()
            self.followActive()
            for replica in self.replicas where replica.state == .ready { self.probe(replica) }
            self.probeLater()
        }
    }

    /// Measures the way to a server, and finds out whether it still answers.
    func probe(_ replica: Replica) {
        guard !isAlone else { return }
        replica.ping(by: .after(settings.timeout, isCheck: true))
    }

    func measured(_ time: TimeAmount, at replica: Replica, isBusy: Bool) {
        servers.measured(time.nanoseconds, at: replica.index, isBusy: isBusy)
    }

    // MARK: Differences

    /// A server has something else at a node's place than the image is known to have: asks the others
    /// who is wrong. When one of them has it as it was, the server is refused; otherwise the image was
    /// changed.
    func settle(_ id: NodeID, accused: Replica, then: @escaping (Settled) -> Void) {
        guard accused.state == .ready else { return then(.refused) }
        let suspicion = Suspicion(id: id, accused: accused.index)
        guard settling[suspicion] == nil else {
            settling[suspicion]?.append(then)
            return
        }
        settling[suspicion] = [then]
        func finish(_ settled: Settled) {
            for then in settling.removeValue(forKey: suspicion) ?? [] { then(settled) }
        }
        var isUnknown = false
        let deadline = Deadline.after(settings.callMaximum, isCheck: true)
        func ask(excluding asked: Set<Int>) {
            guard accused.state == .ready else { return finish(.refused) }
            guard let index = servers.choose(excluding: asked) else {
                if isUnknown { return finish(.unknown) }
                changedUnderUs(id)
                return finish(.changed)
            }
            replicas[index].look(at: id, by: deadline) { found in
                switch found {
                case .success where accused.state == .ready:
                    accused.refuse(
                        Replica.Difference(
                            id: id, text: "\(self.pathText(id)) is not what the image has there"))
                case .success, .failure(.differs): break
                case .failure(.away), .failure(.status): isUnknown = true
                }
                ask(excluding: asked.union([index]))
            }
        }
        ask(excluding: [accused.index])
    }

    /// No server has a node as it was known.
    func changedUnderUs(_ id: NodeID) {
        settings.onEvent("the image changed under us: \(pathText(id))")
        if changed.count >= Self.changedMaximum { changed.removeAll(keepingCapacity: true) }
        changed[id] = .now() + settings.timing.stale
    }

    /// Whether it is known that no server has it, or a directory above it, as it was.
    func isChanged(_ id: NodeID) -> Bool {
        guard !changed.isEmpty else { return false }
        var current = id
        for _ in 0..<Self.depthMaximum {
            if changed[current] != nil { return true }
            guard current != .root, let parent = settings.image.location(of: current)?.parent
            else { return false }
            current = parent
        }
        return false
    }

    /// When all servers that can be reached, several of them, have the same other thing at one place, it is
    /// not a server that is wrong: the image was changed while nobody looked. All are checked again
    /// without that place.
    private func settleIfAllAgree() {
        guard servers.active == nil else { return }
        let states = replicas.map(\.state)
        guard !states.contains(.connecting), !states.contains(.checking) else { return }
        let refused = replicas.filter { $0.state == .refused }
        guard refused.count > 1, let difference = refused[0].difference,
            refused.allSatisfy({ $0.difference == difference })
        else { return }
        if let id = difference.id {
            changedUnderUs(id)
        } else {
            settings.onEvent("the image changed under us: \(difference.text)")
            isRootChanged = true
        }
        for replica in refused { replica.checkAgain() }
    }

    func pathText(_ id: NodeID) -> String {
        "/" + String(decoding: settings.image.path(of: id) ?? [], as: UTF8.self)
    }

    // MARK: Status and end

    var status: [SessionStatus.Main] {
        replicas.map { replica in
            SessionStatus.Main(
                server: replica.name, state: replica.state.text, lastError: replica.lastError,
                isActive: servers.active == replica.index,
                roundTripMS: servers.members[replica.index].roundTrip.map { Double($0) / 1e6 })
        }
    }

    /// Ends all connections; what waits is told to try again later.
    /// - Parameter then: told when nothing is under way any more.
    func close(then: @escaping () -> Void) {
        isClosed = true
        manifest = nil
        probes?.cancel()
        parkedTimer?.task.cancel()
        changes?.close()
        resumeParked { _ in true }
        var remaining = replicas.count
        for replica in replicas {
            replica.close {
                remaining -= 1
                if remaining == 0 { then() }
            }
        }
    }
}

extension ReplicaSet.State {
    /// As `stat-session` has it.
    fileprivate var text: String {
        switch self {
        case .disconnected: "disconnected"
        case .connecting: "connecting"
        case .checking: "checking"
        case .ready: "connected"
        case .refused: "refused"
        }
    }
}

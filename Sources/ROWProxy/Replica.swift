import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// One of the servers that have an image: connected to again and again, checked before it is used, and
/// asked. Handles, fileids and the progress of listings are each server's own.
///
/// Loop-confined.
final class Replica {
    /// Why it has no answer.
    enum Failure: Error {
        /// It did not answer, or not to be used any more.
        case away
        /// It answered with this status.
        case status(NFS3.Status)
        /// It has not what the image is known to have there.
        case differs(NodeID)
    }

    /// What a server has that is not the image's.
    struct Difference: Equatable {
        /// nil when it is the listing of the root.
        let id: NodeID?
        let text: String
    }

    typealias HandleCompletion = (Result<NFS3.FileHandle, Failure>) -> Void

    /// Its place in the list that was given.
    let index: Int
    /// Its number in the image database.
    let number: Int
    let url: NFSURL
    let settings: ReplicaSettings
    unowned let owner: RemoteImage
    /// How far the listing of a directory has come. Soft: lost with the connection, the import starts
    /// again and known names keep their cookies.
    var imports: [NodeID: Import] = [:]
    private(set) var lastError: String?
    /// Another whenever answers to what was asked before must not be used any more.
    private(set) var life = 0

    /// Keeps the connection.
    private var client: NFSClient?
    private var phase = ReplicaSet.State.disconnected
    /// Why it is refused.
    private(set) var difference: Difference?
    /// Bytes for which it was refused.
    private var disputed: (id: NodeID, range: Range<UInt64>)?
    /// Where it was found last, by which it is connected to without MOUNT.
    private var known: Known?
    private var connecting: Task<Void, Never>?
    private var retry: Scheduled<Void>?
    private var recheck: Scheduled<Void>?
    private var failures = 0
    private var readySince = NIODeadline.now()
    private var toldError: String?
    private var isClosed = false
    private var whenClosed: (() -> Void)?
    /// Calls that it has not answered, when they or bytes from it came last, and the timer for that.
    private var outstanding = 0
    private var progress = NIODeadline.now()
    private var bytesSeen: UInt64 = 0
    private var watchdog: Scheduled<Void>?
    private var objects: [NodeID: Object] = [:]

    /// What is needed to ask about an object and to check the answer.
    private struct Object {
        let handle: NFS3.FileHandle
        let attributes: NFS3.Attributes?
    }

    /// Objects whose handles are in memory; all are in the image database.
    private static let objectsMaximum = 1024
    /// One that lived so long has a first attempt to connect to it at once.
    private static let livesLong = TimeAmount.seconds(5)

    init(index: Int, number: Int, url: NFSURL, settings: ReplicaSettings, owner: RemoteImage) {
        self.index = index
        self.number = number
        self.url = url
        self.settings = settings
        self.owner = owner
    }

    var image: ImageStore { settings.image }
    var name: String { Proxy.canonicalName(of: url) }
    /// What events call it.
    var title: String { owner.isAlone ? "main" : "main \(name)" }
    var state: ReplicaSet.State { difference == nil ? phase : .refused }
    var connection: RPCConnection? { client?.loopConfinedConnection }
    var rootHandle: NFS3.FileHandle? { client?.rootHandle }

    func onEvent(_ message: String, _ level: Proxy.Event.Level = .warning) {
        settings.onEvent("\(title)\(message)", level)
    }

    // MARK: Connecting

    /// - Parameter opened: what it was found to be, when that has been asked just now: then the image
    ///   is what it says.
    func begin(_ opened: Opened?) {
        if let opened { take(opened, isTrusted: true) } else { connect() }
    }

    private func connect() {
        guard !isClosed, connecting == nil else { return }
        retry = nil
        enter(lastError == nil ? .connecting : .disconnected)
        let promise = settings.loop.makePromise(of: Opened.self)
        let (url, options, known, loop) = (url, settings.options, known, settings.loop)
        connecting = promise.completeWithTask {
            try await Self.open(url, options, known: known, on: loop)
        }
        promise.futureResult.assumeIsolated().whenComplete { result in
            self.connecting = nil
            if self.isClosed {
                if case .success(let opened) = result {
                    opened.client.loopConfinedConnection.close()
                }
                self.whenClosed?()
                return
            }
            switch result {
            case .success(let opened): self.take(opened, isTrusted: false)
            case .failure(let error): self.attemptFailed("\(error)")
            }
        }
    }

    private func take(_ opened: Opened, isTrusted: Bool) {
        let connection = opened.client.loopConfinedConnection
        guard connection.isConnected else {
            connection.close()
            attemptFailed(connection.lastError?.description ?? "the connection was lost at once")
            return
        }
        if let known, known.root != opened.client.rootHandle {
            onEvent(" was mounted again: it had forgotten the root's handle", .notice)
        }
        client = opened.client
        known = Known(port: connection.port, root: opened.client.rootHandle)
        connection.onDisconnect = { self.lost("\($0)") }
        life += 1
        if isTrusted || owner.isAlone {
            becomeReady()
        } else {
            check()
        }
    }

    private func attemptFailed(_ error: String) {
        failures += 1
        lastError = difference?.text ?? error
        if toldError != error {
            toldError = error
            onEvent(": \(error)")
        }
        enter(.disconnected)
        retryLater()
    }

    private func retryLater() {
        guard !isClosed, retry == nil else { return }
        retry = settings.loop.assumeIsolated().scheduleTask(in: Self.pause(failures: failures)) {
            self.connect()
        }
    }

    /// Doubles from 0.1 to 10 s, with up to half of it taken off, so that those who lost the same server
    /// do not all come back at once.
    static func pause(failures: Int) -> TimeAmount {
        guard failures > 0 else { return .zero }
        let whole = min(0.1 * Double(1 << min(failures - 1, 20)), 10)
        return .nanoseconds(Int64(whole * 1e9 * Double.random(in: 0.5...1)))
    }

    /// It is of no use until it has been connected to again.
    func lost(_ error: String, forgetsRoot: Bool = false) {
        guard let connection else { return }
        connection.onDisconnect = nil
        client = nil
        if forgetsRoot { known = known.map { Known(port: nil, root: $0.root) } }
        endLife()
        connection.close()
        lastError = difference?.text ?? error
        toldError = error
        onEvent(": \(error)")
        let wasReady = phase == .ready
        failures = wasReady && NIODeadline.now() - readySince >= Self.livesLong ? 0 : failures + 1
        enter(.disconnected)
        retryLater()
    }

    private func endLife() {
        life += 1
        outstanding = 0
        imports = [:]
        watchdog?.cancel()
        watchdog = nil
        recheck?.cancel()
        recheck = nil
    }

    private func enter(_ phase: ReplicaSet.State) {
        self.phase = phase
        owner.changed(self)
    }

    // MARK: Being checked

    /// It is refused for what it has there, and as long as it has that.
    func dispute(_ id: NodeID, _ range: Range<UInt64>) { disputed = (id, range) }

    private func check() {
        enter(.checking)
        // What no server has as it was says nothing about this one.
        if let id = disputed?.id, owner.isChanged(id) { disputed = nil }
        guard let disputed, let difference, let manifest = owner.manifest else {
            return compare()
        }
        let life = life
        let deadline = Deadline.after(ReplicaTiming.connectTimeout, isCheck: true)
        read(disputed.id, disputed.range, by: deadline) { result in
            guard life == self.life, !self.isClosed else { return }
            guard case .success(let data) = result else {
                if case .failure(.away) = result {
                    return self.lost("it did not answer when it was checked")
                }
                return self.refuse(difference)
            }
            manifest.verify(disputed.id, disputed.range, data) { verdict in
                guard life == self.life, !self.isClosed else { return }
                guard case .right = verdict else { return self.refuse(difference) }
                self.disputed = nil
                self.compare()
            }
        }
    }

    private func compare() {
        let life = life
        ReplicaCheck(of: self, trusted: owner.ready(besides: self)).run { verdict in
            guard life == self.life, !self.isClosed else { return }
            switch verdict {
            case .same: self.becomeReady()
            case .differs(let difference): self.refuse(difference)
            case .away: self.lost("it did not answer when it was checked")
            }
        }
    }

    private func becomeReady() {
        readySince = .now()
        toldError = nil
        if lastError != nil {
            onEvent(difference == nil ? " is back" : " is as the image is again", .notice)
        }
        difference = nil
        enter(.ready)
        owner.probe(self)
    }

    /// It is not used until a check says otherwise.
    func refuse(_ difference: Difference) {
        endLife()
        if self.difference != difference { onEvent(" is refused: \(difference.text)") }
        self.difference = difference
        lastError = difference.text
        enter(.checking)
        recheck = settings.loop.assumeIsolated().scheduleTask(in: settings.timing.recheck) {
            self.recheck = nil
            if self.client != nil { self.check() }
        }
    }

    /// What it was refused for may not count any more.
    func checkAgain() {
        guard client != nil, recheck != nil else { return }
        recheck?.cancel()
        recheck = nil
        check()
    }

    /// Puts down that it was found to differ in what does not make it useless.
    func note(_ difference: String) { lastError = difference }

    /// Ends connections and timers.
    /// - Parameter then: told when nothing is under way any more.
    func close(then: @escaping () -> Void) {
        isClosed = true
        retry?.cancel()
        endLife()
        connection?.onDisconnect = nil
        connection?.close()
        client = nil
        guard let connecting else { return then() }
        whenClosed = then
        connecting.cancel()
    }

    // MARK: Calls

    /// Makes a call.
    /// - Parameter object: what it may refuse to open to us; its owner then makes the call once more.
    func call<Arguments: XDREncodable, OK: XDRDecodable, Refusal: XDRDecodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, _ type: NFS3.Outcome<OK, Refusal>.Type,
        on object: NodeID? = nil, as credential: RPC.Credential? = nil, by deadline: Deadline,
        then: @escaping (Result<NFS3.Outcome<OK, Refusal>, Failure>) -> Void
    ) {
        send(procedure, arguments, as: credential, by: deadline) { reply in
            switch reply {
            case .failure(let failure): then(.failure(failure))
            case .success(let reply):
                var decoder = Decoder(reply.buffer.readableBytesSpan, at: reply.resultsOffset)
                do {
                    let result = try NFS3.Outcome<OK, Refusal>(from: &decoder)
                    if result.status == .acces, let object,
                        let owner = self.credential(for: object, refused: credential)
                    {
                        self.call(
                            procedure, arguments, type, on: object, as: owner, by: deadline,
                            then: then)
                    } else {
                        then(.success(result))
                    }
                } catch {
                    self.onEvent("'s reply to \(procedure.name) is malformed: \(error)")
                    then(.failure(.status(.io)))
                }
            }
        }
    }

    func send<Arguments: XDREncodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, as credential: RPC.Credential?,
        by deadline: Deadline, then: @escaping (Result<RPCReply, Failure>) -> Void
    ) {
        let now = NIODeadline.now()
        guard let connection, now < deadline.time else { return then(.failure(.away)) }
        if deadline.isCheck {
            settings.counters.mainChecks += 1
        } else {
            settings.counters.countMain(procedure)
        }
        let life = life
        outstanding += 1
        if outstanding == 1 {
            progress = now
            watch()
        }
        var timeout = deadline.time - now
        // What one server loses while it answers other calls, the next is asked for in time.
        if owner.hasReady(besides: self) {
            timeout = min(
                timeout, procedure == .read ? settings.readMaximum : settings.callMaximum)
        }
        connection.nfs3(
            procedure, arguments, credential: credential ?? settings.credential, timeout: timeout
        ) { result in
            guard life == self.life else { return then(.failure(.away)) }
            self.outstanding -= 1
            switch result {
            case .success(let reply):
                let time = NIODeadline.now() - now
                if !deadline.isCheck {
                    self.settings.counters.mainTimes.add(procedure.rawValue, time)
                }
                if procedure.isSmall {
                    self.owner.measured(time, at: self, isBusy: self.outstanding > 0)
                }
                then(.success(reply))
            case .failure(let error):
                self.lastError = "\(error)"
                self.onEvent(": \(error)")
                then(.failure(.away))
            }
        }
    }

    /// A call that has no effect but that its time is measured.
    func ping(by deadline: Deadline) {
        send(.null, XDRVoid(), as: nil, by: deadline) { _ in }
    }

    /// A server that is silent while others are ready is given up long before its calls run out of time.
    private func watch() {
        guard watchdog == nil, !owner.isAlone, outstanding > 0 else { return }
        let silence = settings.silenceMaximum
        watchdog = settings.loop.assumeIsolated().scheduleTask(in: silence / 4) {
            self.watchdog = nil
            guard let connection = self.connection, self.outstanding > 0 else { return }
            let (now, bytes) = (NIODeadline.now(), connection.statistics.bytesReceived)
            if bytes != self.bytesSeen {
                self.bytesSeen = bytes
                self.progress = now
            } else if now - self.progress >= silence, self.owner.hasReady(besides: self) {
                let seconds = Double((now - self.progress).nanoseconds / 1_000_000) / 1000
                self.lost("it has sent nothing for \(seconds) s")
                return
            }
            self.watch()
        }
    }

    /// Who may still be let in where a credential was refused: the object's owner, since main may
    /// take root for nobody.
    /// - Parameter refused: nil for the configured one.
    /// - Returns: nil when there is nobody left to try; the reason is an event then.
    func credential(for id: NodeID, refused: RPC.Credential?) -> RPC.Credential? {
        if refused == nil, let known = attributes(of: id) {
            let owner = RPC.Credential.sys(RPC.AuthSys(uid: known.uid, gid: known.gid))
            if owner != settings.credential { return owner }
        }
        let path = String(decoding: image.path(of: id) ?? [], as: UTF8.self)
        onEvent(" squashes root: /\(path) cannot be read; export with no_root_squash")
        return nil
    }

    // MARK: Objects

    /// What the image is known to have there.
    func attributes(of id: NodeID) -> NFS3.Attributes? {
        objects[id]?.attributes ?? image.attributes(of: id)
    }

    /// The handle that it has for a node, if one is known.
    func handle(of id: NodeID) -> NFS3.FileHandle? {
        if let object = objects[id] { return object.handle }
        guard let handle = image.handle(of: id, replica: number) else { return nil }
        remember(handle, of: id)
        return handle
    }

    func remember(_ handle: NFS3.FileHandle, of id: NodeID) {
        if objects.count >= Self.objectsMaximum { objects.removeAll(keepingCapacity: true) }
        objects[id] = Object(handle: handle, attributes: image.attributes(of: id))
    }
}

extension NFS3.Procedure {
    /// Whether its time tells of the way to the server rather than of the work there.
    fileprivate var isSmall: Bool {
        switch self {
        case .null, .getattr, .lookup, .access, .readlink: true
        default: false
        }
    }
}

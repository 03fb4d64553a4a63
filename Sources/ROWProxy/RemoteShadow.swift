public import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// An NFS server as the place of one session's sparse files: `<export>/<session tag>/<node>.<layer>`.
///
/// Loop-confined.
final class RemoteShadow {
    let connection: RPCConnection
    let name: String
    let url: String
    /// Of the session, by which its directory is called.
    var tag: UInt32 = 0
    var onEvent: (String) -> Void = { _ in }
    /// The largest READ and WRITE that the server takes.
    let limits: Limits
    /// How long a call may take before its client is told to try again later.
    let timeout: TimeAmount
    /// Keeps the connection.
    private let client: NFSClient
    private let credential: RPC.Credential
    private let remount: @Sendable () async throws -> NFS3.FileHandle
    var rootHandle: NFS3.FileHandle
    /// Who waits for the root's new handle.
    private var remounting: [(Result<NFS3.FileHandle, ShadowFailure>) -> Void] = []
    /// The session's directory.
    var directory: NFS3.FileHandle?
    var handles: [LayerID: NFS3.FileHandle] = [:]
    /// Calls under way that wait for the server as long as it takes, by numbers: when they were sent.
    private var patientCalls: [UInt64: NIODeadline] = [:]
    private var callCount: UInt64 = 0
    private var isProbing = false

    /// Handles in memory; others are looked up again.
    static let handlesMaximum = 16_384
    /// Longer than anybody waits: a call that has not been answered may still be carried out, and what
    /// comes after it must not be undone by that.
    private static let patience = TimeAmount.hours(24 * 365)
    /// A server that answers others, but not a call for so many times ``timeout``, has lost it.
    private static let timeoutsUntilLost = 10

    struct Limits: Sendable {
        var readBytes = 32 << 10
        var writeBytes = 32 << 10
    }

    /// What is needed to make one on the loop.
    struct Opened: Sendable {
        let client: NFSClient
        let url: NFSURL
        let limits: Limits
        let remount: @Sendable () async throws -> NFS3.FileHandle
    }

    init(_ opened: Opened, credential: RPC.Credential, timeout: TimeAmount) {
        client = opened.client
        connection = opened.client.loopConfinedConnection
        rootHandle = opened.client.rootHandle
        remount = opened.remount
        limits = opened.limits
        name = Proxy.canonicalName(of: opened.url)
        url = opened.url.description
        self.credential = credential
        self.timeout = timeout
    }

    /// Reaches the server.
    /// - Throws: ``NFSClientError``, or `StateError` when it is no server for this.
    static func connect(
        _ url: NFSURL, options: NFSClient.Options, on loop: any EventLoop
    ) async throws -> Opened {
        let client = try await NFSClient.connect(url, options: options, on: loop)
        var limits = Limits()
        switch try await client.fsinfo(client.rootHandle) {
        case .ok(let ok):
            func bounded(_ count: UInt32) -> Int {
                min(max(Int(count), 512), NFS3.transferSizeMaximum)
            }
            limits = Limits(readBytes: bounded(ok.rtmax), writeBytes: bounded(ok.wtmax))
        case .failure(let status, _):
            await client.close()
            throw StateError(
                .notFound, "\(url) answers \(status) for its root; check the shadow's export")
        }
        return Opened(client: client, url: url, limits: limits) {
            try await NFSClient.rootHandle(of: url, options: options, on: loop)
        }
    }

    // MARK: Calls

    /// Makes a call.
    /// - Parameter isPatient: waits for the answer however long, since a late effect would destroy data.
    /// - Returns: what the server answered, to `then`; JUKEBOX when it does not answer.
    func call<Arguments: XDREncodable, OK: XDRDecodable, Failure: XDRDecodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, payload: ByteBuffer? = nil,
        isPatient: Bool = false, _ type: NFS3.Outcome<OK, Failure>.Type,
        then: @escaping (Result<NFS3.Outcome<OK, Failure>, ShadowFailure>) -> Void
    ) {
        send(procedure, arguments, payload: payload, isPatient: isPatient) { result in
            switch result {
            case .failure(let failure): then(.failure(failure))
            case .success(let reply):
                do {
                    var decoder = Decoder(reply.buffer.readableBytesSpan, at: reply.resultsOffset)
                    then(.success(try type.init(from: &decoder)))
                } catch {
                    self.onEvent(
                        "the shadow server's reply to \(procedure.name) is malformed: \(error)")
                    then(.failure(ShadowFailure(.io)))
                }
            }
        }
    }

    func send<Arguments: XDREncodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, payload: ByteBuffer? = nil,
        isPatient: Bool = false, then: @escaping (Result<RPCReply, ShadowFailure>) -> Void
    ) {
        callCount += 1
        let number = callCount
        if isPatient {
            patientCalls[number] = .now()
            probeLater()
        }
        connection.nfs3(
            procedure, arguments, payload: payload, credential: credential,
            timeout: isPatient ? Self.patience : timeout
        ) { result in
            self.patientCalls[number] = nil
            switch result {
            case .success(let reply): then(.success(reply))
            case .failure(let error):
                self.onEvent("shadow server: \(error)")
                then(.failure(ShadowFailure(.jukebox)))
            }
        }
    }

    /// A connection that has died without a word is only noticed by a call that runs out of time, which
    /// patient ones never do; and a call that a living server has lost is only noticed here.
    private func probeLater() {
        guard !isProbing else { return }
        isProbing = true
        connection.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
            self.isProbing = false
            guard !self.patientCalls.isEmpty else { return }
            self.probeLater()
            self.send(.null, XDRVoid()) { _ in }
            self.sendLostCallsAgain()
        }
    }

    private func sendLostCallsAgain() {
        let now = NIODeadline.now()
        guard let oldest = patientCalls.values.min(),
            now - oldest >= timeout * Self.timeoutsUntilLost
        else { return }
        onEvent("shadow server: it answers, but not every call; these are sent again")
        connection.reconnect()
        for number in patientCalls.keys { patientCalls[number] = now }
    }

    /// What a client is told of a status that the shadow server answered.
    func failure(_ status: NFS3.Status, _ what: String) -> ShadowFailure {
        switch status {
        case .nospc, .dquot, .fbig, .jukebox: break
        default:
            onEvent("the shadow server answers \(status) for \(what)")
            return ShadowFailure(.io)
        }
        return ShadowFailure(status)
    }

    // MARK: Patience

    /// How long a client is kept waiting.
    final class Patience {
        private let parking: RPCCall.Parking
        private var timer: Scheduled<Void>?

        fileprivate init(_ parking: RPCCall.Parking) { self.parking = parking }

        fileprivate func begin(_ timer: Scheduled<Void>) { self.timer = timer }

        /// What it was for has happened.
        /// - Returns: false when that took too long, and the client has been answered.
        func end() -> Bool {
            guard let timer else { return false }
            self.timer = nil
            timer.cancel()
            parking.end()
            return true
        }
    }

    /// - Parameter give up: answers the client when nothing has happened in time.
    func beginPatience(
        _ parking: RPCCall.Parking, giveUp: @escaping () -> Void
    ) -> Patience {
        let patience = Patience(parking)
        patience.begin(
            connection.eventLoop.assumeIsolated().scheduleTask(in: timeout) {
                if patience.end() { giveUp() }
            })
        return patience
    }

    // MARK: Status

    var status: SessionStatus.Main {
        SessionStatus.Main(
            server: "\(url) in \(directoryName)",
            state: connection.isConnected ? "connected" : "disconnected",
            lastError: connection.lastError?.description)
    }

    // MARK: Handles

    /// Runs `body` with a file's handle. When the server says STALE, `again` forgets that and runs `body`
    /// once more with a new one; it answers false when that has been done already.
    func withHandle(
        _ file: LayerID, isRetry: Bool = false, fail: @escaping (ShadowFailure) -> Void,
        _ body: @escaping (NFS3.FileHandle, _ again: @escaping () -> Bool) -> Void
    ) {
        let again = {
            guard !isRetry else { return false }
            self.handles[file] = nil
            self.withHandle(file, isRetry: true, fail: fail, body)
            return true
        }
        if !isRetry, let handle = handles[file] {
            body(handle, again)
            return
        }
        find(file) { result in
            switch result {
            case .failure(let failure): fail(failure)
            case .success(nil):
                self.onEvent("\(file) is missing at the shadow server")
                fail(ShadowFailure(.io))
            case .success(let found?): body(found.handle, again)
            }
        }
    }

    struct Found {
        let handle: NFS3.FileHandle
        /// nil where the server does not say.
        let size: UInt64?
    }

    /// Looks a file up by its name.
    /// - Returns: nil when there is none.
    func find(
        _ file: LayerID, then: @escaping (Result<Found?, ShadowFailure>) -> Void
    ) {
        withDirectory(fail: { then(.failure($0)) }) { directory, again in
            self.look(up: file.fileName, in: directory) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(.failure(.noent, _)): then(.success(nil))
                case .success(.failure(let status, _)):
                    if status.isLostHandle, again() { return }
                    then(.failure(self.failure(status, "looking up \(file)")))
                case .success(.ok(let ok)):
                    self.remember(ok.object, of: file)
                    then(.success(Found(handle: ok.object, size: ok.attributes?.size)))
                }
            }
        }
    }

    func remember(_ handle: NFS3.FileHandle, of file: LayerID) {
        if handles.count >= Self.handlesMaximum { handles.removeAll(keepingCapacity: true) }
        handles[file] = handle
    }

    func look(
        up name: String, in directory: NFS3.FileHandle,
        then: @escaping (Result<NFS3.Lookup.Result, ShadowFailure>) -> Void
    ) {
        let what = NFS3.DirectoryOperation(directory: directory, name: NFS3.Filename(name))
        call(.lookup, NFS3.Lookup.Arguments(what: what), NFS3.Lookup.Result.self, then: then)
    }

    /// Runs `body` with the handle of the session's directory; `again` as for ``withHandle``.
    func withDirectory(
        isRetry: Bool = false, fail: @escaping (ShadowFailure) -> Void,
        _ body: @escaping (NFS3.FileHandle, _ again: @escaping () -> Bool) -> Void
    ) {
        let again = {
            guard !isRetry else { return false }
            self.withDirectory(isRetry: true, fail: fail, body)
            return true
        }
        if !isRetry, let directory {
            body(directory, again)
            return
        }
        withRoot(fail: fail) { root, againWithRoot in
            self.look(up: self.directoryName, in: root) { result in
                switch result {
                case .failure(let failure): fail(failure)
                case .success(.failure(let status, _)):
                    if status.isLostHandle, againWithRoot() { return }
                    fail(self.failure(status, "its directory \(self.directoryName)"))
                case .success(.ok(let ok)):
                    self.directory = ok.object
                    body(ok.object, again)
                }
            }
        }
    }

    var directoryName: String { StoredShadow.directory(tag: tag) }

    /// Runs `body` with the root's handle, which no LOOKUP gives: `again` asks MOUNT for a new one.
    func withRoot(
        fail: @escaping (ShadowFailure) -> Void,
        _ body: @escaping (NFS3.FileHandle, _ again: @escaping () -> Bool) -> Void
    ) {
        body(rootHandle) {
            self.mountAgain { result in
                switch result {
                case .failure(let failure): fail(failure)
                case .success(let root): body(root) { false }
                }
            }
            return true
        }
    }

    private func mountAgain(
        then: @escaping (Result<NFS3.FileHandle, ShadowFailure>) -> Void
    ) {
        remounting.append(then)
        guard remounting.count == 1 else { return }
        let mounted = client.eventLoop.makePromise(of: NFS3.FileHandle.self)
        mounted.completeWithTask(remount)
        mounted.futureResult.assumeIsolated().whenComplete { result in
            let waiting = self.remounting
            self.remounting = []
            switch result {
            case .success(let handle):
                self.onEvent(
                    "the shadow server was mounted again: it had forgotten the root's handle")
                self.rootHandle = handle
                for then in waiting { then(.success(handle)) }
            case .failure(let error):
                self.onEvent("the shadow server cannot be mounted again: \(error)")
                for then in waiting { then(.failure(ShadowFailure(.jukebox))) }
            }
        }
    }
}

extension Proxy {
    /// The same for the same export, however it is reached.
    public static func canonicalName(of url: NFSURL) -> String {
        NFSURL(host: url.host, port: url.port, path: url.path).description
    }
}

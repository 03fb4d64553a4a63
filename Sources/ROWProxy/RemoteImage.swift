import NFSClient
import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// An NFS server as an image: finds main's handle of a node, asks main, and checks that what it says
/// still describes the object it described before.
///
/// Loop-confined.
final class RemoteImage {
    private typealias FindCompletion =
        (Swift.Result<NFS3.FileHandle, MainSource.ReadFailure>) -> Void
    typealias ReadCompletion = (Result<ByteBuffer, MainSource.ReadFailure>) -> Void

    let connection: RPCConnection
    let replica = 0
    /// Keeps the connection.
    private let client: NFSClient
    private let image: ImageStore
    private let counters: Counters
    private let credential: RPC.Credential
    private let timeout: TimeAmount
    let onEvent: (String) -> Void
    private var rootHandle: NFS3.FileHandle
    private let remount: @Sendable () async throws -> NFS3.FileHandle
    /// Who waits for the root's new handle.
    private var remounting: [FindCompletion] = []
    /// How far the listing of a directory has come. Soft: lost with a restart, the import starts again
    /// and known names keep their cookies.
    var imports: [NodeID: Import] = [:]
    private var objects: [NodeID: Known] = [:]
    private var gatheredReads = GatheredReads()

    /// What is needed to ask main about an object and to check its answer.
    private struct Known {
        let handle: NFS3.FileHandle
        let attributes: NFS3.Attributes?
    }

    /// Objects of main whose handles are in memory; all are in the image database.
    private static let objectsMaximum = 16_384

    init(
        client: NFSClient, remount: @escaping @Sendable () async throws -> NFS3.FileHandle,
        image: ImageStore, counters: Counters, credential: RPC.Credential, timeout: TimeAmount,
        onEvent: @escaping (String) -> Void
    ) {
        self.client = client
        self.remount = remount
        connection = client.loopConfinedConnection
        rootHandle = client.rootHandle
        self.image = image
        self.counters = counters
        self.credential = credential
        self.timeout = timeout
        self.onEvent = onEvent
    }

    /// Answers a fetch.
    func perform(_ fetch: Fetch, then: @escaping (FetchResult) -> Void) {
        switch fetch {
        case .lookup(let directory, let name):
            withHandle(directory, fail: { then(.failed($0)) }) { handle, again in
                self.lookup(NFS3.Filename(name), in: handle, of: directory) { outcome in
                    if case .failed(let status) = outcome, status.isLostHandle, again() { return }
                    then(outcome)
                }
            }
        case .target(let id):
            withHandle(id, fail: { then(.failed($0)) }) { handle, again in
                self.call(
                    .readlink, NFS3.Readlink.Arguments(symlink: handle),
                    NFS3.Readlink.Result.self
                ) { result in
                    switch result {
                    case .success(.ok(let ok)): then(.target(ok.data.bytes))
                    case .success(.failure(let status, _)):
                        if status.isLostHandle, again() { return }
                        then(.failed(status))
                    case .failure(let failure): then(.failed(failure.status))
                    }
                }
            }
        case .listing(let directory):
            withHandle(directory, fail: { then(.failed($0)) }) { handle, again in
                self.list(directory, handle, again, then)
            }
        }
    }

    // MARK: Calls

    /// Makes a call; a transport failure is JUKEBOX, for which the client waits and tries again.
    /// - Parameter object: what main may refuse to open to us; its owner then makes the call once more.
    func call<Arguments: XDREncodable, OK: XDRDecodable, Failure: XDRDecodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, _ type: NFS3.Outcome<OK, Failure>.Type,
        on object: NodeID? = nil, as credential: RPC.Credential? = nil,
        then: @escaping (Result<NFS3.Outcome<OK, Failure>, MainSource.ReadFailure>) -> Void
    ) {
        send(procedure, arguments, as: credential) { reply in
            switch reply {
            case .failure(let failure): then(.failure(failure))
            case .success(let reply):
                var decoder = Decoder(reply.buffer.readableBytesSpan, at: reply.resultsOffset)
                do {
                    let result = try NFS3.Outcome<OK, Failure>(from: &decoder)
                    if result.status == .acces, let object,
                        let owner = self.credential(for: object, refused: credential)
                    {
                        self.call(procedure, arguments, type, on: object, as: owner, then: then)
                    } else {
                        then(.success(result))
                    }
                } catch {
                    self.onEvent("main's reply to \(procedure.name) is malformed: \(error)")
                    then(.failure(MainSource.ReadFailure(status: .io)))
                }
            }
        }
    }

    private func send<Arguments: XDREncodable>(
        _ procedure: NFS3.Procedure, _ arguments: Arguments, as credential: RPC.Credential?,
        then: @escaping (Swift.Result<RPCReply, MainSource.ReadFailure>) -> Void
    ) {
        counters.countMain(procedure)
        connection.call(
            program: NFS3.program, version: NFS3.version, procedure: procedure.rawValue,
            credential: credential ?? self.credential, argumentsSize: arguments.encodedSize,
            encode: { arguments.encode(into: &$0) }, timeout: timeout
        ) { result in
            switch result {
            case .success(let reply): then(.success(reply))
            case .failure(let error):
                self.onEvent("main: \(error)")
                then(.failure(MainSource.ReadFailure(status: .jukebox)))
            }
        }
    }

    /// Who may still be let in where a credential was refused: the object's owner, since main may
    /// take root for nobody.
    /// - Parameter refused: nil for the configured one.
    /// - Returns: nil when there is nobody left to try; the reason is an event then.
    private func credential(for id: NodeID, refused: RPC.Credential?) -> RPC.Credential? {
        let known = objects[id]?.attributes ?? image.attributes(of: id)
        if refused == nil, let known {
            let owner = RPC.Credential.sys(RPC.AuthSys(uid: known.uid, gid: known.gid))
            if owner != credential { return owner }
        }
        let path = String(decoding: image.path(of: id) ?? [], as: UTF8.self)
        onEvent("main squashes root: /\(path) cannot be read; export with no_root_squash")
        return nil
    }

    // MARK: Handles

    /// Finds main's handle of a node, from what is known or by the node's path, and runs `body` with it.
    /// When main says STALE, `again` forgets the handle and runs `body` once more with a new one; it
    /// answers false when that has been done already.
    private func withHandle(
        _ id: NodeID, isRetry: Bool = false, fail: @escaping (NFS3.Status) -> Void,
        _ body: @escaping (NFS3.FileHandle, _ again: @escaping () -> Bool) -> Void
    ) {
        find(id, isFresh: isRetry) { found in
            switch found {
            case .failure(let failure): fail(failure.status)
            case .success(let handle):
                body(handle) {
                    guard !isRetry else { return false }
                    self.withHandle(id, isRetry: true, fail: fail, body)
                    return true
                }
            }
        }
    }

    private func find(
        _ id: NodeID, isFresh: Bool, then: @escaping FindCompletion
    ) {
        if id == .root {
            if isFresh { mountAgain(then: then) } else { then(.success(rootHandle)) }
            return
        }
        if !isFresh {
            if let known = objects[id] {
                then(.success(known.handle))
                return
            }
            if let handle = image.handle(of: id, replica: replica) {
                remember(handle, of: id)
                then(.success(handle))
                return
            }
        }
        guard let (parent, name) = image.location(of: id) else {
            then(.failure(MainSource.ReadFailure(status: .stale)))
            return
        }
        // The root's own handle is doubted only when a lookup in it says so.
        find(parent, isFresh: isFresh && parent != .root) { found in
            switch found {
            case .failure(let failure): then(.failure(failure))
            case .success(let directory):
                self.find(id, NFS3.Filename(name), in: directory, of: parent, then: then)
            }
        }
    }

    private func find(
        _ id: NodeID, _ name: NFS3.Filename, in directory: NFS3.FileHandle, of parent: NodeID,
        isRetry: Bool = false, then: @escaping FindCompletion
    ) {
        lookup(name, in: directory, of: parent) { result in
            switch result {
            case .entry(let entry?):
                guard let handle = entry.handle, let known = self.image.attributes(of: id),
                    known.isSameObject(as: entry.attributes)
                else { break }
                self.remember(handle, of: id)
                self.image.feedHandle(handle, of: id, replica: self.replica)
                then(.success(handle))
                return
            case .failed(let status) where status.isLostHandle && parent == .root && !isRetry:
                self.mountAgain { found in
                    switch found {
                    case .failure(let failure): then(.failure(failure))
                    case .success(let root):
                        self.find(id, name, in: root, of: parent, isRetry: true, then: then)
                    }
                }
                return
            case .failed(let status) where status != .noent:
                then(.failure(MainSource.ReadFailure(status: status)))
                return
            default: break
            }
            self.changedUnderUs(id)
            then(.failure(MainSource.ReadFailure(status: .stale)))
        }
    }

    /// Main does not know the handle of its root any more, which no LOOKUP gives: asks MOUNT.
    private func mountAgain(then: @escaping FindCompletion) {
        remounting.append(then)
        guard remounting.count == 1 else { return }
        let mounted = client.eventLoop.makePromise(of: NFS3.FileHandle.self)
        mounted.completeWithTask(remount)
        mounted.futureResult.assumeIsolated().whenComplete { result in
            let waiting = self.remounting
            self.remounting = []
            switch result {
            case .success(let handle):
                self.onEvent("main was mounted again: it had forgotten the root's handle")
                self.rootHandle = handle
                for then in waiting { then(.success(handle)) }
            case .failure(let error):
                self.onEvent("main cannot be mounted again: \(error)")
                for then in waiting { then(.failure(MainSource.ReadFailure(status: .jukebox))) }
            }
        }
    }

    private func remember(_ handle: NFS3.FileHandle, of id: NodeID) {
        if objects.count >= Self.objectsMaximum { objects.removeAll(keepingCapacity: true) }
        objects[id] = Known(handle: handle, attributes: image.attributes(of: id))
    }

    private func changedUnderUs(_ id: NodeID) {
        let path = String(decoding: image.path(of: id) ?? [], as: UTF8.self)
        onEvent("the image changed under us: /\(path)")
    }

    // MARK: Names

    /// LOOKUP, and GETATTR where LOOKUP left the attributes out.
    func lookup(
        _ name: NFS3.Filename, in directory: NFS3.FileHandle, of id: NodeID,
        then: @escaping (FetchResult) -> Void
    ) {
        let arguments = NFS3.Lookup.Arguments(
            what: NFS3.DirectoryOperation(directory: directory, name: name))
        call(.lookup, arguments, NFS3.Lookup.Result.self, on: id) { result in
            switch result {
            case .failure(let failure): then(.failed(failure.status))
            case .success(.failure(.noent, _)): then(.entry(nil))
            case .success(.failure(let status, _)): then(.failed(status))
            case .success(.ok(let ok)):
                if let attributes = ok.attributes {
                    then(.entry(MainEntry(attributes: attributes, handle: ok.object)))
                } else {
                    self.getattr(ok.object, then: then)
                }
            }
        }
    }

    private func getattr(_ handle: NFS3.FileHandle, then: @escaping (FetchResult) -> Void) {
        call(.getattr, NFS3.Getattr.Arguments(object: handle), NFS3.Getattr.Result.self) {
            switch $0 {
            case .failure(let failure): then(.failed(failure.status))
            case .success(.failure(let status, _)): then(.failed(status))
            case .success(.ok(let ok)):
                then(.entry(MainEntry(attributes: ok.attributes, handle: handle)))
            }
        }
    }

    // MARK: Data

    /// The longest range that is worth one call.
    var readBytesMaximum: Int { gatheredReads.bytesMaximum }

    /// READs a range at the end of this turn of the loop, together with what adjoins.
    func read(_ id: NodeID, _ range: Range<UInt64>, then: @escaping ReadCompletion) {
        if gatheredReads.isEmpty {
            connection.eventLoop.assumeIsolated().execute {
                for run in self.gatheredReads.takeAll() {
                    self.read(run.id, run.range, have: nil, as: nil, then: run.finish)
                }
            }
        }
        gatheredReads.add(id, range, then: then)
    }

    /// READs a range in pieces when it is longer than one READ, or when main answers with less.
    private func read(
        _ id: NodeID, _ range: Range<UInt64>, have: ByteBuffer?, as credential: RPC.Credential?,
        then: @escaping ReadCompletion
    ) {
        let start = range.lowerBound + UInt64(have?.readableBytes ?? 0)
        let count = min(range.upperBound - start, UInt64(NFS3.transferSizeMaximum))
        withHandle(id, fail: { then(.failure(MainSource.ReadFailure(status: $0))) }) {
            handle, again in
            let arguments = NFS3.Read.Arguments(file: handle, offset: start, count: UInt32(count))
            self.send(.read, arguments, as: credential) { result in
                switch result {
                case .failure(let failure): then(.failure(failure))
                case .success(let reply):
                    self.received(reply, id, range, have, credential, again, then)
                }
            }
        }
    }

    private func received(
        _ reply: RPCReply, _ id: NodeID, _ range: Range<UInt64>, _ have: ByteBuffer?,
        _ credential: RPC.Credential?, _ again: () -> Bool, _ then: @escaping ReadCompletion
    ) {
        func fail(_ status: NFS3.Status) {
            then(.failure(MainSource.ReadFailure(status: status)))
        }
        let result: NFS3.Read.Result
        do {
            var decoder = Decoder(reply.buffer.readableBytesSpan, at: reply.resultsOffset)
            result = try NFS3.Read.Result(from: &decoder)
        } catch {
            onEvent("main's reply to READ is malformed: \(error)")
            fail(.io)
            return
        }
        let known = objects[id]?.attributes ?? image.attributes(of: id)
        switch result {
        case .failure(let status, _) where status.isLostHandle:
            if !again() { fail(.stale) }
        case .failure(.acces, _):
            guard let owner = self.credential(for: id, refused: credential) else {
                return fail(.acces)
            }
            read(id, range, have: have, as: owner, then: then)
        case .failure(let status, _):
            fail(status)
        case .ok(let ok):
            if let attributes = ok.attributes, let known, !known.isSameObject(as: attributes) {
                changedUnderUs(id)
                fail(.stale)
                return
            }
            guard !ok.data.isEmpty,
                let data = reply.buffer.getSlice(
                    at: reply.buffer.readerIndex + ok.data.lowerBound, length: ok.data.count)
            else {
                // All of the range lies below the size that the image is known to have.
                changedUnderUs(id)
                fail(.stale)
                return
            }
            counters.bytesFromMain += ok.data.count
            var all = have ?? data
            if have != nil { all.writeImmutableBuffer(data) }
            if UInt64(all.readableBytes) >= range.upperBound - range.lowerBound {
                then(.success(all))
            } else {
                gatheredReads.limit(to: ok.data.count)
                read(id, range, have: all, as: credential, then: then)
            }
        }
    }
}

extension NFS3.Status {
    /// Main does not know the handle any more; a server may call one of its earlier life malformed.
    var isLostHandle: Bool { self == .stale || self == .badHandle }
}

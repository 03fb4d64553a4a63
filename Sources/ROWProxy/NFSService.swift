import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// NFS version 3 (RFC 1813) over the sessions of one image: decodes arguments, runs the procedure in
/// ROWCore, and writes the result, at once or when what it waits for has come.
final class NFSService {
    let sessions: SessionTable
    let main: MainSource
    let counters: Counters
    let replies: ReplyCache
    let budget: DirtyBudget
    private let options: Options
    /// Keeps machines from each other's sessions.
    var machines: MachineSessions?

    struct Options {
        /// Whether root of a client is nobody here.
        var squashesRoot = false
        /// Where the groups of users are looked up, for clients whose users have more than a call
        /// can name; nil when calls are believed.
        var groups: GroupDirectory?
    }

    init(
        sessions: SessionTable, main: MainSource, counters: Counters, replies: ReplyCache,
        budget: DirtyBudget, options: Options
    ) {
        self.sessions = sessions
        self.main = main
        self.counters = counters
        self.replies = replies
        self.budget = budget
        self.options = options
    }

    func serve(_ call: RPCCall) {
        guard let procedure = NFS3.Procedure(rawValue: call.header.procedure) else {
            call.reject(.procUnavail)
            return
        }
        counters(of: call).count(procedure)
        guard procedure != .null, case .sys(let parameters) = call.header.credential,
            let groups = options.groups, !groups.isKnown(uid: parameters.uid)
        else {
            answer(procedure, call)
            return
        }
        let call = call.detached()
        let parking = call.park()
        groups.look(up: parameters.uid) {
            parking.end()
            if !call.isAbandoned { self.answer(procedure, call) }
        }
    }

    private func answer(_ procedure: NFS3.Procedure, _ call: RPCCall) {
        do {
            try run(procedure, call)
        } catch {
            call.reject(.garbageArgs)
        }
    }

    /// The end of one read's calls: memory is brought back within its limits.
    func turnEnded() {
        for session in sessions.all { session.state.trim() }
    }

    private func run(_ procedure: NFS3.Procedure, _ call: RPCCall) throws(XDRError) {
        switch procedure {
        case .null: call.reply(XDRVoid())
        case .getattr: getattr(call, try call.arguments(NFS3.Getattr.Arguments.self))
        case .lookup: try lookup(call)
        case .access: access(call, try call.arguments(NFS3.Access.Arguments.self))
        case .readlink: readlink(call, try call.arguments(NFS3.Readlink.Arguments.self))
        case .read: read(call, try call.arguments(NFS3.Read.Arguments.self))
        case .write: try write(call)
        case .commit: commit(call, try call.arguments(NFS3.Commit.Arguments.self))
        case .readdir: readdir(call, try call.arguments(NFS3.Readdir.Arguments.self))
        case .readdirplus: readdirplus(call, try call.arguments(NFS3.Readdirplus.Arguments.self))
        case .fsstat: fsstat(call, try call.arguments(NFS3.Fsstat.Arguments.self))
        case .fsinfo: fsinfo(call, try call.arguments(NFS3.Fsinfo.Arguments.self))
        case .pathconf: pathconf(call, try call.arguments(NFS3.Pathconf.Arguments.self))
        case .setattr, .create, .mkdir, .symlink, .mknod, .remove, .rmdir, .rename, .link:
            try once(procedure, call)
        }
    }

    // MARK: Who and what

    /// The session and node that a handle names, for whoever sent the call.
    func resolve(
        _ handle: NFS3.FileHandle, for call: RPCCall
    ) throws(Interrupt) -> (SessionState, NodeID) {
        guard case .node(let tag, _, _) = VirtualHandle.parse(handle.bytes) else {
            throw .status(.badHandle)
        }
        guard let served = sessions[tag: tag] else {
            throw .status(sessions.isExpected(tag: tag) ? .jukebox : .stale)
        }
        if let machines, !machines.admits(call.origin, to: served) { throw .status(.stale) }
        return (served.state, try served.state.node(of: handle))
    }

    /// Where a call is counted: with the session whose handle its arguments begin with.
    private func counters(of call: RPCCall) -> Counters {
        guard let tag = call.sessionTag, let session = sessions[tag: tag] else { return counters }
        return session.counters
    }

    /// What the clients of a session did.
    func counters(of session: SessionState) -> Counters {
        sessions[tag: session.handles.tag]?.counters ?? counters
    }

    /// Notes that the clients of a session asked for a range of a file of the image.
    func touched(_ id: NodeID, _ range: Range<UInt64>, by session: SessionState) {
        sessions[tag: session.handles.tag]?.history.touch(range, of: id, in: main.image)
    }

    /// What writes down what the clients of a session touch of the image, if anything does.
    func recorder(of session: SessionState) -> ProfileRecorder? {
        sessions[tag: session.handles.tag]?.recorder
    }

    func credential(_ call: RPCCall) -> Credential {
        guard case .sys(let parameters) = call.header.credential else { return .nobody }
        let groups = options.groups?.groups(of: parameters.uid) ?? GroupList(parameters.groups)
        let credential = Credential(uid: parameters.uid, gid: parameters.gid, groups: groups)
        return options.squashesRoot ? credential.squashingRoot() : credential
    }

    // MARK: Interrupts

    /// Does what an interrupted call needs and then runs it again from the start, or answers it with
    /// a status.
    func interrupted(
        _ call: RPCCall, _ session: SessionState?, _ reason: Interrupt,
        fail: @escaping (NFS3.Status) -> Void, again: @escaping (RPCCall) -> Void
    ) {
        switch reason {
        case .status(let status): fail(status)
        case .need(let fetch):
            let call = call.detached()
            let parking = call.park()
            main.fetch(fetch) { status in
                parking.end()
                if self.dropIfAbandoned(call) { return }
                if let status { fail(status) } else { again(call) }
            }
            main.namesAhead?.needed(fetch)
        case .wait:
            guard let session else {
                fail(.serverFault)
                return
            }
            let call = call.detached()
            let parking = call.park()
            session.commit { _ in
                parking.end()
                if !self.dropIfAbandoned(call) { again(call) }
            }
        case .busy(let id):
            guard let session else {
                fail(.serverFault)
                return
            }
            waitForShadow(call.detached(), session, id, fail: fail, again: again)
        }
    }

    /// A call that has not begun is not carried out when its connection is gone: the client will send
    /// it again.
    func dropIfAbandoned(_ call: RPCCall) -> Bool {
        guard call.isAbandoned else { return false }
        if let progress = call.progress { replies.forget(progress) }
        return true
    }

    /// Answers a call that changes nothing.
    func answer<Success: XDREncodable, Failure: XDREncodable>(
        _ call: RPCCall, _ handle: NFS3.FileHandle,
        failure: @escaping (NFS3.Attributes?) -> Failure,
        again: @escaping (RPCCall) -> Void,
        _ body: (SessionState, NodeID, Credential) throws(Interrupt) -> Success
    ) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(handle, for: call)
            resolved = (session, id)
            let success = try body(session, id, credential(call))
            call.reply(NFS3.Outcome<Success, Failure>.ok(success))
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let attributes = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
                    call.reply(
                        NFS3.Outcome<Success, Failure>.failure(status, failure(attributes)))
                }, again: again)
        }
    }

    // MARK: Procedures without data

    private func getattr(_ call: RPCCall, _ arguments: NFS3.Getattr.Arguments) {
        answer(
            call, arguments.object, failure: { _ in XDRVoid() },
            again: { call in self.getattr(call, arguments) }
        ) { session, id, _ throws(Interrupt) in
            NFS3.Getattr.Success(attributes: try session.attributes(of: id))
        }
    }

    private func lookup(_ call: RPCCall) throws(XDRError) {
        var decoder = Decoder(call.record.readableBytesSpan, at: call.header.argumentsOffset)
        let directory = try NFS3.FileHandle(from: &decoder)
        let name = try decoder.decodeOpaqueRange(maximum: NFS3.nameSizeMaximum)
        try decoder.finish()
        answer(
            call, directory, failure: { NFS3.PostOperationAttributes($0) },
            again: { call in try? self.lookup(call) }
        ) { session, id, credential throws(Interrupt) in
            let found = try call.record.withBytes(in: name) { bytes throws(Interrupt) in
                try session.lookup(id, bytes, credential)
            }
            recorder(of: session)?.listed(id)
            return NFS3.Lookup.Success(
                object: session.handle(of: found.id), attributes: found.attributes,
                directoryAttributes: try session.attributes(of: id))
        }
    }

    private func access(_ call: RPCCall, _ arguments: NFS3.Access.Arguments) {
        answer(
            call, arguments.object, failure: { NFS3.PostOperationAttributes($0) },
            again: { call in self.access(call, arguments) }
        ) { session, id, credential throws(Interrupt) in
            let result = try session.access(id, arguments.access.rawValue, credential)
            return NFS3.Access.Success(
                attributes: result.attributes, access: NFS3.AccessRights(rawValue: result.granted))
        }
    }

    private func readlink(_ call: RPCCall, _ arguments: NFS3.Readlink.Arguments) {
        answer(
            call, arguments.symlink, failure: { NFS3.PostOperationAttributes($0) },
            again: { call in self.readlink(call, arguments) }
        ) { session, id, _ throws(Interrupt) in
            main.namesAhead?.readsLink(id)
            let target = try session.target(of: id)
            recorder(of: session)?.readLink(id)
            return NFS3.Readlink.Success(
                attributes: try session.attributes(of: id), data: NFS3.Path(target))
        }
    }

    private func fsstat(_ call: RPCCall, _ arguments: NFS3.Fsstat.Arguments) {
        if let shadow = shadow(of: call) {
            fsstat(call, arguments, shadow)
            return
        }
        answer(
            call, arguments.fsroot, failure: { NFS3.PostOperationAttributes($0) },
            again: { call in self.fsstat(call, arguments) }
        ) { session, id, _ throws(Interrupt) in
            let space = try session.space()
            return NFS3.Fsstat.Success(
                attributes: try session.attributes(of: id), tbytes: space.totalBytes,
                fbytes: space.freeBytes, abytes: space.availableBytes, tfiles: space.totalFiles,
                ffiles: space.freeFiles, afiles: space.freeFiles, invarsec: 0)
        }
    }

    private func fsinfo(_ call: RPCCall, _ arguments: NFS3.Fsinfo.Arguments) {
        answer(
            call, arguments.fsroot, failure: { NFS3.PostOperationAttributes($0) },
            again: { call in self.fsinfo(call, arguments) }
        ) { session, id, _ throws(Interrupt) in
            let size = UInt32(NFS3.transferSizeMaximum)
            return NFS3.Fsinfo.Success(
                attributes: try session.attributes(of: id), rtmax: size, rtpref: size,
                rtmult: 4096, wtmax: size, wtpref: size, wtmult: 4096, dtpref: 64 << 10,
                maxfilesize: SessionState.sizeMaximum,
                timeDelta: NFS3.Time(seconds: 0, nanoseconds: 1),
                properties: [.link, .symlink, .homogeneous, .canSetTime])
        }
    }

    private func pathconf(_ call: RPCCall, _ arguments: NFS3.Pathconf.Arguments) {
        answer(
            call, arguments.object, failure: { NFS3.PostOperationAttributes($0) },
            again: { call in self.pathconf(call, arguments) }
        ) { session, id, _ throws(Interrupt) in
            NFS3.Pathconf.Success(
                attributes: try session.attributes(of: id), linkmax: .max, nameMax: 255,
                noTrunc: true, chownRestricted: true, caseInsensitive: false,
                casePreserving: true)
        }
    }
}

extension ByteBuffer {
    /// The bytes of a range counted from the start of the readable ones.
    func withBytes<T, Failure: Error>(
        in range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(Failure) -> T
    ) throws(Failure) -> T {
        let result: Result<T, Failure> = withUnsafeReadableBytes { bytes in
            do throws(Failure) {
                return .success(try body(UnsafeRawBufferPointer(rebasing: bytes[range])))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

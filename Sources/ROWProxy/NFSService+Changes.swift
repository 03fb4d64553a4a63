import NFSProtocol
import ONCRPC
import ROWCore
import XDR

/// The procedures that change names and attributes. None may be executed twice, so each goes by the
/// reply cache, and its reply is stored in the transaction of its effect.
extension NFSService {
    func once(_ procedure: NFS3.Procedure, _ call: RPCCall) throws(XDRError) {
        let key = ReplyCache.Key(call)
        switch replies.look(up: key, from: call.origin) {
        case .replay(let record):
            counters.replayed += 1
            call.reply(record: record, over: call.origin)
        case .inProgress:
            // The first of the two will be answered, and the answer bears this call's xid too.
            counters.dropped += 1
        case .new:
            let progress = replies.begin(key, from: call.origin)
            var call = call.detached()
            call.progress = progress
            do {
                try execute(procedure, call, progress)
            } catch {
                replies.forget(progress)
                throw error
            }
        }
    }

    private func execute(
        _ procedure: NFS3.Procedure, _ call: RPCCall, _ progress: CallInProgress
    ) throws(XDRError) {
        switch procedure {
        case .setattr: setattr(call, progress, try call.arguments(NFS3.Setattr.Arguments.self))
        case .create: create(call, progress, try call.arguments(NFS3.Create.Arguments.self))
        case .mkdir: mkdir(call, progress, try call.arguments(NFS3.Mkdir.Arguments.self))
        case .symlink: symlink(call, progress, try call.arguments(NFS3.Symlink.Arguments.self))
        case .mknod: mknod(call, progress, try call.arguments(NFS3.Mknod.Arguments.self))
        case .remove: remove(call, progress, try call.arguments(NFS3.Remove.Arguments.self))
        case .rmdir: rmdir(call, progress, try call.arguments(NFS3.Rmdir.Arguments.self))
        case .rename: rename(call, progress, try call.arguments(NFS3.Rename.Arguments.self))
        case .link: link(call, progress, try call.arguments(NFS3.Link.Arguments.self))
        default: break
        }
    }

    /// Runs a change and answers when it is durable.
    /// - Parameter failure: makes the failure arm from the session and node of `handle`.
    private func change<Success: XDREncodable, Failure: XDREncodable>(
        _ call: RPCCall, _ progress: CallInProgress, _ handle: NFS3.FileHandle,
        failure: @escaping ((SessionState, NodeID)?) -> Failure,
        _ body: @escaping (SessionState, NodeID, Credential) throws(Interrupt) -> Success
    ) {
        typealias Outcome = NFS3.Outcome<Success, Failure>
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(handle, for: call)
            resolved = (session, id)
            let success = try body(session, id, credential(call))
            let record = ReplyCache.record(of: Outcome.ok(success), xid: call.header.xid)
            session.store(progress.key.stored(record))
            let parking = call.park()
            session.commit { status in
                parking.end()
                if let status {
                    self.replies.forget(progress)
                    call.reply(Outcome.failure(status, failure(nil)))
                } else {
                    self.replies.finish(progress, record)
                    call.reply(record: record, over: call.connection)
                }
            }
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let result = Outcome.failure(status, failure(target))
                    if status == .jukebox {
                        self.replies.forget(progress)
                        call.reply(result)
                    } else {
                        let record = ReplyCache.record(of: result, xid: call.header.xid)
                        self.replies.finish(progress, record)
                        call.reply(record: record, over: call.connection)
                    }
                },
                again: { call in self.change(call, progress, handle, failure: failure, body) })
        }
    }

    private func after(_ target: (SessionState, NodeID)?) -> NFS3.WCCData {
        NFS3.WCCData(after: target.flatMap { $0.0.attributesIfKnown(of: $0.1) })
    }

    private func directoryFailure(_ target: (SessionState, NodeID)?) -> NFS3.DirectoryChange {
        NFS3.DirectoryChange(directory: after(target))
    }

    private func created(
        _ session: SessionState, _ made: SessionState.Made
    ) -> NFS3.CreatedObject {
        NFS3.CreatedObject(
            handle: session.handle(of: made.id), attributes: made.attributes,
            directory: made.directory)
    }

    // MARK: Procedures

    private func setattr(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Setattr.Arguments
    ) {
        change(
            call, progress, arguments.object,
            failure: { NFS3.ObjectChange(wcc: self.after($0)) }
        ) { session, id, credential throws(Interrupt) in
            NFS3.ObjectChange(
                wcc: try session.setAttributes(
                    id, arguments.attributes, guardTime: arguments.guardTime, credential))
        }
    }

    private func create(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Create.Arguments
    ) {
        let location = arguments.location
        change(call, progress, location.directory, failure: directoryFailure) {
            session, id, credential throws(Interrupt) in
            self.created(
                session,
                try session.create(id, location.name.bytes, arguments.how, credential))
        }
    }

    private func mkdir(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Mkdir.Arguments
    ) {
        let location = arguments.location
        change(call, progress, location.directory, failure: directoryFailure) {
            session, id, credential throws(Interrupt) in
            self.created(
                session,
                try session.makeDirectory(
                    id, location.name.bytes, arguments.attributes, credential))
        }
    }

    private func symlink(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Symlink.Arguments
    ) {
        let location = arguments.location
        change(call, progress, location.directory, failure: directoryFailure) {
            session, id, credential throws(Interrupt) in
            self.created(
                session,
                try session.makeSymbolicLink(
                    id, location.name.bytes, target: arguments.data.bytes, arguments.attributes,
                    credential))
        }
    }

    private func mknod(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Mknod.Arguments
    ) {
        let location = arguments.location
        change(call, progress, location.directory, failure: directoryFailure) {
            session, id, credential throws(Interrupt) in
            var device = NFS3.Device(major: 0, minor: 0)
            let wanted: NFS3.SetAttributes
            switch arguments.what {
            case .regular, .directory, .symbolicLink: throw .status(.badType)
            case .socket(let attributes), .fifo(let attributes): wanted = attributes
            case .blockDevice(let attributes, let numbers),
                .characterDevice(let attributes, let numbers):
                wanted = attributes
                device = numbers
            }
            return self.created(
                session,
                try session.makeSpecial(
                    id, location.name.bytes, arguments.what.type, device: device, wanted,
                    credential))
        }
    }

    private func remove(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Remove.Arguments
    ) {
        change(call, progress, arguments.object.directory, failure: directoryFailure) {
            session, id, credential throws(Interrupt) in
            NFS3.DirectoryChange(
                directory: try session.remove(id, arguments.object.name.bytes, credential))
        }
    }

    private func rmdir(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Rmdir.Arguments
    ) {
        change(call, progress, arguments.object.directory, failure: directoryFailure) {
            session, id, credential throws(Interrupt) in
            NFS3.DirectoryChange(
                directory: try session.removeDirectory(
                    id, arguments.object.name.bytes, credential))
        }
    }

    private func rename(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Rename.Arguments
    ) {
        let (from, to) = (arguments.from, arguments.to)
        change(
            call, progress, from.directory,
            failure: { target in
                let other = target.flatMap { target in
                    (try? self.resolve(to.directory, for: call)).map { ($0.0, $0.1) }
                }
                return NFS3.Rename.Failure(
                    fromDirectory: self.after(target), toDirectory: self.after(other))
            }
        ) { session, id, credential throws(Interrupt) in
            let (other, target) = try self.resolve(to.directory, for: call)
            guard other === session else { throw .status(.xdev) }
            let result = try session.rename(
                from: id, from.name.bytes, to: target, to.name.bytes, credential)
            return NFS3.Rename.Success(fromDirectory: result.from, toDirectory: result.to)
        }
    }

    private func link(
        _ call: RPCCall, _ progress: CallInProgress, _ arguments: NFS3.Link.Arguments
    ) {
        let to = arguments.link
        change(
            call, progress, arguments.file,
            failure: { target in
                let other = try? self.resolve(to.directory, for: call)
                return NFS3.Link.Failure(
                    attributes: target.flatMap { $0.0.attributesIfKnown(of: $0.1) },
                    directory: self.after(other))
            }
        ) { session, id, credential throws(Interrupt) in
            let (other, directory) = try self.resolve(to.directory, for: call)
            guard other === session else { throw .status(.xdev) }
            let result = try session.link(id, directory, to.name.bytes, credential)
            return NFS3.Link.Success(
                attributes: result.attributes, directory: result.directory)
        }
    }
}

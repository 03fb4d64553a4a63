import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore

/// What is different where a server keeps the sparse files.
extension NFSService {
    func shadow(of session: SessionState) -> RemoteShadow? {
        sessions[tag: session.handles.tag]?.shadow
    }

    /// The shadow server of the session whose handle the arguments begin with.
    func shadow(of call: RPCCall) -> RemoteShadow? {
        call.sessionTag.flatMap { sessions[tag: $0]?.shadow }
    }

    /// Runs a call again when what is under way on a file has ended, or tells the client to try again
    /// later.
    func waitForShadow(
        _ call: RPCCall, _ session: SessionState, _ id: NodeID,
        fail: @escaping (NFS3.Status) -> Void, again: @escaping (RPCCall) -> Void
    ) {
        guard let shadow = shadow(of: session) else {
            fail(.jukebox)
            return
        }
        var wait: UInt64 = 0
        let patience = shadow.beginPatience(call.park()) {
            session.giveUp(wait, for: id)
            if !self.dropIfAbandoned(call) { fail(.jukebox) }
        }
        wait = session.waitForShadow(id) {
            if patience.end(), !self.dropIfAbandoned(call) { again(call) }
        }
    }

    func fsstat(_ call: RPCCall, _ arguments: NFS3.Fsstat.Arguments, _ shadow: RemoteShadow) {
        let call = call.detached()
        let parking = call.park()
        shadow.space { result in
            parking.end()
            guard !call.isAbandoned else { return }
            self.answer(
                call, arguments.fsroot, failure: { NFS3.PostOperationAttributes($0) },
                again: { call in self.fsstat(call, arguments, shadow) }
            ) { session, id, _ throws(Interrupt) in
                switch result {
                case .failure(let failure): throw .status(failure.status)
                case .success(var space):
                    space.attributes = try session.attributes(of: id)
                    return space
                }
            }
        }
    }

    // MARK: READ

    /// Gets parts of a file from the shadow server, and all between them, and plans again: the file may
    /// have been written meanwhile.
    func fetch(_ parts: [Range<UInt64>], of file: LayerID, _ read: ReadCall) {
        guard let shadow = shadow(of: read.session) else {
            return failRead(read.call, (read.session, read.id), .jukebox)
        }
        let range = Self.hull(of: parts)
        read.session.countShadowRead()
        again(read, range) { call, then in
            shadow.read(file, range) { result in
                var have = read.have
                switch result {
                case .success(let data):
                    have.shadow[file.layer] = Piece(range: range, parts: parts, data: data)
                    then(.success(have))
                case .failure(let failure):
                    then(.failure(MainSource.ReadFailure(status: failure.status)))
                }
            }
        }
    }
}

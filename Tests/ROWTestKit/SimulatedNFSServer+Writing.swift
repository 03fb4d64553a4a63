import NFSProtocol
import ONCRPC
import Synchronization
import XDR

/// The procedures that change the tree.
extension SimulatedNFSServer.Core {
    /// - Returns: nil for procedures that change nothing, and those that are refused even so.
    func change(
        _ call: RPC.CallHeader, _ record: [UInt8], _ writeLimit: Int
    ) throws(XDRError) -> Answer? {
        switch NFS3.Procedure(rawValue: call.procedure) {
        case .setattr: return results(setattr(try arguments(call, record)))
        case .write: return results(write(try arguments(call, record), record, writeLimit))
        case .commit: return results(commit(try arguments(call, record)))
        case .create: return results(create(try arguments(call, record)))
        case .mkdir: return results(mkdir(try arguments(call, record)))
        case .remove:
            let wanted = try arguments(call, record, NFS3.Remove.Arguments.self)
            return results(remove(wanted.object))
        case .rmdir:
            let wanted = try arguments(call, record, NFS3.Rmdir.Arguments.self)
            return results(remove(wanted.object))
        default: return nil
        }
    }

    private static let noChange = NFS3.ObjectChange(wcc: NFS3.WCCData())
    private static let noEntry = NFS3.DirectoryChange(directory: NFS3.WCCData())

    private func wcc(_ id: UInt64, _ state: SimulatedNFSServer.State) -> NFS3.WCCData {
        NFS3.WCCData(after: state.tree.objects[id]?.attributes)
    }

    private func setattr(_ wanted: NFS3.Setattr.Arguments) -> NFS3.Setattr.Result {
        guard let id = id(in: wanted.object) else { return .failure(.badHandle, Self.noChange) }
        return state.withLock { state in
            guard state.tree.objects[id] != nil else { return .failure(.stale, Self.noChange) }
            if let size = wanted.attributes.size { state.tree.setSize(Int(size), of: id) }
            state.tree.setMode(wanted.attributes.mode, of: id)
            // Attributes are on stable storage when the reply leaves, and the data with them here.
            state.committed[id] = nil
            return .ok(NFS3.ObjectChange(wcc: wcc(id, state)))
        }
    }

    private func write(
        _ wanted: NFS3.Write.Arguments, _ record: [UInt8], _ limit: Int
    ) -> NFS3.Write.Result {
        guard let id = id(in: wanted.file) else { return .failure(.badHandle, Self.noChange) }
        return state.withLock { state in
            guard let before = state.tree.bytes(of: id) else {
                return .failure(.stale, Self.noChange)
            }
            let data = record[wanted.data].prefix(limit)
            if wanted.stable == .unstable, state.committed[id] == nil {
                state.committed[id] = before
            }
            state.tree.write(data, at: Int(wanted.offset), to: id)
            if wanted.stable != .unstable { state.committed[id] = nil }
            return .ok(
                NFS3.Write.Success(
                    wcc: wcc(id, state), count: UInt32(data.count), committed: wanted.stable,
                    verifier: state.verifier))
        }
    }

    private func commit(_ wanted: NFS3.Commit.Arguments) -> NFS3.Commit.Result {
        guard let id = id(in: wanted.file) else { return .failure(.badHandle, Self.noChange) }
        return state.withLock { state in
            guard state.tree.objects[id] != nil else { return .failure(.stale, Self.noChange) }
            state.committed[id] = nil
            return .ok(NFS3.Commit.Success(wcc: wcc(id, state), verifier: state.verifier))
        }
    }

    private func create(_ wanted: NFS3.Create.Arguments) -> NFS3.Create.Result {
        switch wanted.how {
        case .unchecked(let attributes):
            make(.file([]), wanted.location, mode: attributes.mode, isGuarded: false)
        case .guarded(let attributes):
            make(.file([]), wanted.location, mode: attributes.mode, isGuarded: true)
        case .exclusive: .failure(.notSupp, Self.noEntry)
        }
    }

    private func mkdir(_ wanted: NFS3.Mkdir.Arguments) -> NFS3.Mkdir.Result {
        make(.directory([]), wanted.location, mode: wanted.attributes.mode, isGuarded: true)
    }

    private func make(
        _ item: SimulatedTree.Item, _ location: NFS3.DirectoryOperation, mode: UInt32?,
        isGuarded: Bool
    ) -> NFS3.Create.Result {
        guard let directory = id(in: location.directory) else {
            return .failure(.badHandle, Self.noEntry)
        }
        let name = location.name.bytes
        let (made, attributes) = state.withLock { state -> (UInt64?, NFS3.Attributes?) in
            guard state.tree.objects[directory] != nil else { return (nil, nil) }
            let known = state.tree.child(name, of: directory)
            if isGuarded, known != nil { return (0, nil) }
            let id = known ?? state.tree.make(item, name, in: directory, mode: mode)
            return (id, state.tree.objects[id]?.attributes)
        }
        guard let made else { return .failure(.stale, Self.noEntry) }
        guard let attributes else { return .failure(.exist, Self.noEntry) }
        return .ok(
            NFS3.CreatedObject(
                handle: handle(of: made), attributes: attributes, directory: NFS3.WCCData()))
    }

    private func remove(_ location: NFS3.DirectoryOperation) -> NFS3.Remove.Result {
        guard let directory = id(in: location.directory) else {
            return .failure(.badHandle, Self.noEntry)
        }
        return state.withLock { state in
            guard state.tree.child(location.name.bytes, of: directory) != nil else {
                return .failure(.noent, Self.noEntry)
            }
            state.tree.remove(location.name.bytes, from: directory)
            return .ok(Self.noEntry)
        }
    }
}

import NFSProtocol
import NIOCore
import ONCRPC
import ROWCore
import XDR

/// WRITE and COMMIT (RFC 1813 §3.3.7, §3.3.21).
extension NFSService {
    func write(_ call: RPCCall) throws(XDRError) {
        let arguments = try call.arguments(NFS3.Write.Arguments.self)
        if replies.isInProgress(write: call) {
            counters.dropped += 1
            return
        }
        write(call, arguments)
    }

    private func write(_ call: RPCCall, _ arguments: NFS3.Write.Arguments) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(arguments.file, for: call)
            resolved = (session, id)
            let credential = credential(call)
            if session.hasShadowServer, !arguments.data.isEmpty {
                try writeRemote(call, arguments, session, id)
                return
            }
            let wcc = try call.record.withBytes(in: arguments.data) { bytes throws(Interrupt) in
                try session.write(
                    id, offset: arguments.offset, data: bytes, stable: arguments.stable,
                    credential)
            }
            counters(of: session).bytesFromClient += arguments.data.count
            budget.wrote(
                arguments.offset..<arguments.offset + UInt64(arguments.data.count),
                to: DirtyBudget.FileKey(session: session.handles.tag, id: id),
                isDurable: session.isDurable,
                file: { Self.file(behind: arguments, id, session) })
            finishWrite(call, arguments, session, wcc)
        } catch {
            let target = resolved
            let call = Self.isStatus(error) ? call : inProgress(call)
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let after = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
                    self.finish(
                        call,
                        NFS3.Write.Result.failure(
                            status, NFS3.ObjectChange(wcc: NFS3.WCCData(after: after))))
                }, again: { call in self.write(call, arguments) })
        }
    }

    /// Sends a WRITE to the shadow server, and answers when that has. The client does not wait for ever:
    /// it is told to try again, and what was sent runs its course.
    private func writeRemote(
        _ call: RPCCall, _ arguments: NFS3.Write.Arguments, _ session: SessionState, _ id: NodeID
    ) throws(Interrupt) {
        guard let shadow = shadow(of: session) else { throw .status(.jukebox) }
        let plan = try session.planRemoteWrite(
            id, offset: arguments.offset, count: arguments.data.count, credential(call))
        counters(of: session).bytesFromClient += arguments.data.count
        let data = ByteBuffer(
            bytes: call.record.readableBytesView.dropFirst(arguments.data.lowerBound)
                .prefix(arguments.data.count))
        let call = inProgress(call).detachedHeader()
        let failed = { (status: NFS3.Status) in
            let after = session.attributesIfKnown(of: id)
            self.finish(
                call,
                .failure(status, NFS3.ObjectChange(wcc: NFS3.WCCData(after: after))))
        }
        let patience = shadow.beginPatience(call.park(holding: arguments.data.count)) {
            failed(.jukebox)
        }
        shadow.write(plan.file, RemoteShadow.segments(of: plan, data)) { result in
            let isAwaited = patience.end()
            do throws(Interrupt) {
                let wcc = try session.finish(plan, result, stable: arguments.stable)
                if isAwaited { self.finishWrite(call, arguments, session, wcc) }
            } catch {
                guard isAwaited else { return }
                if case .status(let status) = error { failed(status) } else { failed(.jukebox) }
            }
        }
    }

    /// The sparse file in which the first byte of a WRITE now lies.
    private static func file(
        behind arguments: NFS3.Write.Arguments, _ id: NodeID, _ session: SessionState
    ) -> SparseFile? {
        let plan = try? session.planRead(id, offset: arguments.offset, count: 1, .root)
        if case .one(.shadow(let file, _)) = plan?.source { return file }
        return nil
    }

    private static func isStatus(_ reason: Interrupt) -> Bool {
        if case .status = reason { true } else { false }
    }

    /// The WRITE as one that must not be done again while it waits.
    private func inProgress(_ call: RPCCall) -> RPCCall {
        guard call.progress == nil else { return call }
        var call = call
        call.progress = replies.begin(write: call)
        return call
    }

    private func finish(_ call: RPCCall, _ result: NFS3.Write.Result) {
        if let progress = call.progress { replies.forget(progress) }
        call.reply(result)
    }

    private func finishWrite(
        _ call: RPCCall, _ arguments: NFS3.Write.Arguments, _ session: SessionState,
        _ wcc: NFS3.WCCData
    ) {
        // The verifier of now, whatever happens while the reply waits: what was written before a
        // failed sync must not seem to have been written after it.
        var success = NFS3.Write.Success(
            wcc: wcc, count: arguments.count, committed: .unstable,
            verifier: session.writeVerifier)
        guard arguments.stable != .unstable || budget.isExhausted else {
            finish(call, .ok(success))
            return
        }
        let call = inProgress(call).detachedHeader()
        let parking = call.park(holding: arguments.data.count)
        guard arguments.stable != .unstable else {
            budget.whenRelieved {
                parking.end()
                self.finish(call, .ok(success))
            }
            return
        }
        session.commit { status in
            parking.end()
            if let status {
                self.finish(
                    call, .failure(status, NFS3.ObjectChange(wcc: NFS3.WCCData())))
            } else {
                success.committed = .fileSync
                self.finish(call, .ok(success))
            }
        }
    }

    func commit(_ call: RPCCall, _ arguments: NFS3.Commit.Arguments) {
        var resolved: (SessionState, NodeID)?
        do {
            let (session, id) = try resolve(arguments.file, for: call)
            resolved = (session, id)
            let wcc = try session.commitFile(id)
            let verifier = session.writeVerifier
            let call = call.detachedHeader()
            let parking = call.park()
            session.commit { status in
                parking.end()
                if let status {
                    call.reply(
                        NFS3.Commit.Result.failure(
                            status, NFS3.ObjectChange(wcc: NFS3.WCCData())))
                } else {
                    call.reply(
                        NFS3.Commit.Result.ok(
                            NFS3.Commit.Success(wcc: wcc, verifier: verifier)))
                }
            }
        } catch {
            let target = resolved
            interrupted(
                call, target?.0, error,
                fail: { status in
                    let after = target.flatMap { $0.0.attributesIfKnown(of: $0.1) }
                    call.reply(
                        NFS3.Commit.Result.failure(
                            status, NFS3.ObjectChange(wcc: NFS3.WCCData(after: after))))
                }, again: { call in self.commit(call, arguments) })
        }
    }
}

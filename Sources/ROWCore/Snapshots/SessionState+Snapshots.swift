import NFSProtocol
import Synchronization
public import SystemPackage

/// What needs a moment between two transactions to itself.
enum BetweenCommits {
    case copy(SessionCopy, then: (StateError?) -> Void)
    case rollBack(Rollback, then: (StateError?) -> Void)
}

extension SessionState {
    /// Keeps the state of this moment under a name, without copying data. Clients go on meanwhile: what
    /// they change from now on goes into a new layer.
    /// - Parameter then: on the loop: nil when the snapshot is there and durable.
    public func takeSnapshot(_ tag: String, then: @escaping (StateError?) -> Void) {
        do throws(StateError) {
            try refuseOnServer()
            try Snapshots.check(tag: tag)
            let session = store.directory
            let path = Snapshots.path(tag, of: session)
            try refuseExisting(path, "the session \(name) has a snapshot '\(tag)' already")
            let copy = SessionCopy(
                session: session, source: session, target: path, purpose: .snapshot,
                isDurable: isDurable)
            run(.copy(copy, then: then))
        } catch { then(error) }
    }

    /// Makes a session of its own out of the state of this moment, or of a snapshot.
    /// - Parameter target: the new session's directory, of which nothing may exist.
    public func clone(
        to target: FilePath, from tag: String? = nil, then: @escaping (StateError?) -> Void
    ) {
        do throws(StateError) {
            try refuseOnServer()
            let session = store.directory
            let source = try tag.map { tag throws(StateError) in
                try Snapshots.existing(tag, of: session)
            }
            try refuseExisting(
                target, "there is a session '\(target.lastComponent?.string ?? "")' already")
            let copy = SessionCopy(
                session: session, source: source ?? session, target: target, purpose: .clone,
                isDurable: isDurable)
            if let source {
                then(StoredSession.clone(snapshot: source, copy))
            } else {
                run(.copy(copy, then: then))
            }
        } catch { then(error) }
    }

    /// Takes the session back to a snapshot. Calls whose effects were not told of yet are to be sent
    /// again, as are unstable writes: the write verifier changes.
    public func rollBack(to tag: String, then: @escaping (StateError?) -> Void) {
        do throws(StateError) {
            try refuseOnServer()
            let snapshot = try Snapshots.existing(tag, of: store.directory)
            run(
                .rollBack(
                    Rollback(
                        session: store.directory, snapshot: snapshot, isDurable: isDurable,
                        mayChangeImage: false),
                    then: then))
        } catch { then(error) }
    }

    private func refuseOnServer() throws(StateError) {
        if let files = remoteFiles { throw StoredShadow.refusal(name, files.server.name) }
    }

    private func refuseExisting(_ path: FilePath, _ what: String) throws(StateError) {
        guard try DatabaseState.size(path) == nil else {
            throw StateError(.exists, "\(what); choose another name")
        }
    }

    private func run(_ job: BetweenCommits) {
        betweenCommits.append(job)
        if inFlight == nil { startNext() }
    }

    /// Begins what is to be done next when the writer has nothing.
    func startNext() {
        while inFlight == nil, !betweenCommits.isEmpty {
            switch betweenCommits.removeFirst() {
            case .copy(let copy, let then): freeze(copy, then)
            case .rollBack(let rollback, let then): then(carryOut(rollback))
            }
        }
        if inFlight == nil, !batch.isEmpty { seal() }
    }

    /// Commits all there is, with a new top layer: writes that come from now on go there, so the layers
    /// below can be copied when the transaction is done, and before the next.
    private func freeze(_ copy: SessionCopy, _ then: @escaping (StateError?) -> Void) {
        for id in dirtyFiles {
            if let node = nodes[id] { gather(node) }
        }
        let previous = topLayer
        batch.rows.append(.meta("layer", previous + 1))
        batch.previousTopLayer = previous
        let outcome = Mutex<(any Error)?>(nil)
        batch.waiters.append { status in
            if let status {
                then(StateError(.io, "nothing could be committed: \(status)"))
                return
            }
            then(outcome.withLock { $0 }.map(Self.stateError))
        }
        seal { db in
            do { try copy.make(db) } catch { outcome.withLock { $0 = error } }
        }
        topLayer = previous + 1
        nodes.forEach { node in node.content?.freeze(below: topLayer, size: node.attributes.size) }
    }

    /// Nothing is in flight. What the batch has gathered is dropped as by a failed commit, since none of it
    /// was told of yet.
    private func carryOut(_ rollback: Rollback) -> StateError? {
        do {
            let time = now()
            let (top, floor) = try store.writer.runNow { db in
                try rollback.carryOut(db, at: time)
            }
            store.reader.invalidate()
            (topLayer, ctimeFloor) = (top, floor)
            continueTime(from: floor)
            forgetAll(failing: CommitBatch(), with: .jukebox)
            for notice in try store.sweepShadow() { onEvent(notice) }
            return nil
        } catch {
            return Self.stateError(error)
        }
    }

    private static func stateError(_ error: any Error) -> StateError {
        (error as? StateError) ?? StateError(.io, "\(error)")
    }
}

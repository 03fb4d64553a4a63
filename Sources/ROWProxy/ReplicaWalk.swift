import NFSProtocol
import NIOCore
import ROWCore

/// Looks nodes of the image up at a server by their paths, trusting no handle but the root's: each
/// directory once, however many of the nodes are below it, and all at the same time.
final class ReplicaWalk {
    enum Outcome {
        /// What is there may be the node.
        case same(MainEntry)
        /// How it differs.
        case differs(String)
        /// It could not be looked at.
        case unknown
        case away
    }

    private enum Place {
        case underWay([(Outcome) -> Void])
        case known(Outcome)
    }

    private let replica: Replica
    private let deadline: Deadline
    private var places: [NodeID: Place] = [:]

    init(_ replica: Replica, by deadline: Deadline) {
        self.replica = replica
        self.deadline = deadline
    }

    /// - Parameter each: told of each node, in any order.
    func compare(
        _ nodes: [NodeID], _ each: @escaping (NodeID, Outcome) -> Void, then: @escaping () -> Void
    ) {
        // One more for this method, so that the end comes once.
        var remaining = nodes.count + 1
        func finishOne() {
            remaining -= 1
            if remaining == 0 { then() }
        }
        for id in nodes {
            look(at: id) { outcome in
                each(id, outcome)
                finishOne()
            }
        }
        finishOne()
    }

    private func look(at id: NodeID, then: @escaping (Outcome) -> Void) {
        switch places[id] {
        case .known(let outcome): return then(outcome)
        case .underWay(let waiting):
            places[id] = .underWay(waiting + [then])
            return
        case nil: places[id] = .underWay([then])
        }
        lookUp(id) { outcome in
            guard case .underWay(let waiting)? = self.places[id] else { return }
            self.places[id] = .known(outcome)
            for then in waiting { then(outcome) }
        }
    }

    private func lookUp(_ id: NodeID, then: @escaping (Outcome) -> Void) {
        guard let (parent, name) = replica.image.location(of: id),
            let known = replica.image.attributes(of: id)
        else { return then(.unknown) }
        handle(of: parent) { found in
            guard case .success(let directory) = found else {
                if case .failure(let none) = found { then(none.outcome) }
                return
            }
            self.replica.lookup(
                NFS3.Filename(name), in: directory, of: parent, by: self.deadline
            ) { found in
                switch found {
                case .failure(.away): then(.away)
                case .failure: then(.unknown)
                case .success(let entry):
                    if let how = known.difference(
                        of: entry?.attributes, ignoringTimes: self.replica.owner.hasManifest)
                    {
                        then(.differs(how))
                    } else if let entry {
                        _ = self.replica.identify(entry, as: id)
                        then(.same(entry))
                    }
                }
            }
        }
    }

    private struct NoHandle: Error {
        let outcome: Outcome
    }

    private func handle(
        of directory: NodeID, then: @escaping (Result<NFS3.FileHandle, NoHandle>) -> Void
    ) {
        guard directory != .root else {
            return then(
                replica.rootHandle.map { .success($0) } ?? .failure(NoHandle(outcome: .away)))
        }
        look(at: directory) { outcome in
            if case .same(let entry) = outcome, let handle = entry.handle {
                then(.success(handle))
            } else {
                then(.failure(NoHandle(outcome: outcome)))
            }
        }
    }
}

import NFSProtocol
import NIOCore
import ROWCore

/// Looks now and then whether the image is still what it was, at the server that is asked first: its
/// root, and a sample of the nodes on record.
///
/// Loop-confined.
final class ImageChanges {
    private unowned let remote: RemoteImage
    private var timer: Scheduled<Void>?
    private var isUnderWay = false
    /// Nodes whose new ctime an operator was told of.
    private var told: Set<NodeID> = []
    private static let toldMaximum = 4096
    /// Differences of one look that are told of, each.
    private static let eventsMaximum = 5

    init(of remote: RemoteImage) {
        self.remote = remote
        lookLater(remote.settings.timing.changesFirst)
    }

    private func lookLater(_ delay: TimeAmount) {
        timer = remote.settings.loop.assumeIsolated().scheduleTask(in: delay) {
            self.lookLater(self.remote.settings.timing.changes)
            self.look()
        }
    }

    func close() { timer?.cancel() }

    private func look() {
        guard !isUnderWay, let replica = remote.active, let root = replica.rootHandle else {
            return
        }
        isUnderWay = true
        let remote = remote
        let deadline = Deadline.after(remote.settings.timeout, isCheck: true)
        let image = remote.settings.image
        replica.getattr(root, by: deadline) { found in
            if case .success(let entry) = found, entry.attributes.type != .directory {
                self.tell([.root], at: replica)
            }
            var changed: [NodeID] = []
            ReplicaWalk(replica, by: deadline).compare(
                image.sample(ReplicaCheck.sampleMaximum)
            ) { id, outcome in
                switch outcome {
                case .same(let entry): self.compareTime(of: id, entry.attributes, at: replica)
                case .differs: changed.append(id)
                case .unknown, .away: break
                }
            } then: {
                // What this refers to may have been closed meanwhile, and lives until here.
                withExtendedLifetime(remote) {
                    self.isUnderWay = false
                    self.tell(changed, at: replica)
                }
            }
        }
    }

    private func tell(_ changed: [NodeID], at replica: Replica) {
        for id in changed.prefix(Self.eventsMaximum) {
            remote.settle(id, accused: replica) { settled in
                if case .changed = settled {
                    replica.note("the image changed under us: \(self.remote.pathText(id))")
                }
            }
        }
    }

    /// A copy or a backup changes only this.
    private func compareTime(
        of id: NodeID, _ attributes: NFS3.Attributes, at replica: Replica
    ) {
        let image = remote.settings.image
        guard let known = image.attributes(of: id), known.ctime != attributes.ctime,
            !told.contains(id), image.replicaOfAttributes(of: id) == replica.number
        else { return }
        if told.count >= Self.toldMaximum { told.removeAll(keepingCapacity: true) }
        told.insert(id)
        remote.settings.onEvent(
            "\(replica.title) changed the ctime of \(remote.pathText(id)), though not what it holds"
        )
    }
}

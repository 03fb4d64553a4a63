import NFSProtocol
import NIOCore
import ROWCore

/// The manifest of an image, at its servers.
extension RemoteImage {
    typealias ManifestSearch = (Result<Replica.FoundManifest?, MainSource.ReadFailure>) -> Void

    /// Looks for the manifest at one server after another.
    /// - Parameter root: what its sums must have for a hash; nil when any will do.
    /// - Parameter then: hears nil when the first that answers has none and none is expected.
    func findManifest(expecting root: ContentHash?, then: @escaping ManifestSearch) {
        let deadline = Deadline.after(settings.timeout, isCheck: true)
        run(
            Errand(
                by: deadline, giveUp: { then(.failure(MainSource.ReadFailure(status: $0))) }
            ) { replica, fail in
                replica.findManifest(by: deadline) { result in
                    switch result {
                    case .failure(let failure): fail(failure)
                    case .success(let found):
                        guard let root, found?.sums.rootHash != root else {
                            return then(.success(found))
                        }
                        self.reject(
                            replica,
                            found == nil
                                ? "has no manifest, which the image must have"
                                : "has another manifest than the image must have")
                        fail(.away)
                    }
                }
            })
    }

    /// A server has something else than what must be.
    private func reject(_ replica: Replica, _ what: String) {
        if isAlone {
            replica.onEvent(" \(what)")
        } else {
            replica.refuse(Replica.Difference(id: .root, text: "it \(what)"))
        }
    }

    /// Checks what a server sent.
    /// - Parameter then: hears nil when it may be used.
    func verify(
        _ id: NodeID, _ range: Range<UInt64>, _ data: ByteBuffer, from replica: Replica,
        then: @escaping (Replica.Failure?) -> Void
    ) {
        // What comes when all is closed is compared with nothing any more.
        guard let manifest else { return then(isClosed ? .status(.jukebox) : nil) }
        manifest.verify(id, range, data) { verdict in
            switch verdict {
            case .right: then(nil)
            case .unavailable: then(.status(.jukebox))
            case .wrong(let block):
                let what = "\(self.pathText(id)) has other bytes there in block \(block)"
                guard !self.isAlone, !self.isChanged(id) else {
                    replica.onEvent(": \(what) than the manifest says")
                    return then(.status(.io))
                }
                replica.dispute(id, range)
                replica.refuse(Replica.Difference(id: id, text: what))
                then(.away)
            }
        }
    }
}

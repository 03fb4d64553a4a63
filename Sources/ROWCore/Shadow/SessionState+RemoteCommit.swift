import NFSProtocol

/// What a batch asks of a shadow server: COMMITs before its transaction, cuts and removals after it.
extension SessionState {
    /// Makes the data of files durable; what is on record of them then may go into a transaction.
    /// - Parameter then: hears why not.
    func commitRemote(
        _ ids: [LayerID], _ files: RemoteFiles, then: @escaping (ShadowFailure?) -> Void
    ) {
        let unstable = ids.compactMap { id in
            files.takeUnstable(id).map { (id, verifier: $0) }
        }
        var remaining = unstable.count
        guard remaining > 0 else {
            then(nil)
            return
        }
        shadowCalls.syncs += unstable.count
        var failure: ShadowFailure?
        for (id, verifier) in unstable {
            files.server.commit(id) { result in
                switch result {
                case .failure(let reason): failure = failure ?? reason
                case .success(let committed):
                    if committed.verifier != verifier {
                        self.reportLostWrites()
                        failure = failure ?? ShadowFailure(.jukebox)
                    } else if let allocated = committed.allocatedBytes {
                        self.inFlight?.allocated[id] = Int64(clamping: allocated)
                    }
                }
                remaining -= 1
                if remaining == 0 { then(failure) }
            }
        }
    }

    /// The server began anew and has lost what it had not committed: nothing of that is ever recorded,
    /// and clients are to send it again, as after a failed sync.
    func lostWrites() {
        reportLostWrites()
        if inFlight == nil {
            forgetAll(failing: CommitBatch(), with: .jukebox)
        } else {
            // The data of the batch on its way is on stable storage, or its COMMITs will tell.
            remoteFiles?.hasLostWrites = true
        }
    }

    private func reportLostWrites() {
        onEvent(
            "the shadow server's write verifier has changed: it lost writes that no COMMIT covered, "
                + "and clients send them again")
    }

    /// Cuts a file at the server, whose row says that it is shorter; until that is done, nothing is
    /// written to it. The reply does not wait: nothing depends on the cut.
    func cutRemote(_ node: Node, _ content: FileContent, _ files: RemoteFiles) {
        let layer = content.top
        let file = LayerID(node: node.id, layer: layer.number)
        files.take(file)
        layer.remote.users += 1
        shadowCalls.truncates += 1
        files.server.cut(file, to: node.attributes.size) { failure in
            layer.remote.users -= 1
            content.isCutPending = false
            if let failure {
                self.onEvent("cutting the shadow of \(node.id) failed: \(failure.status)")
            }
            files.release(file)
        }
    }
}

/// What became of a version that was looked at.
public struct CollectionResult: Sendable {
    public enum Outcome: Sendable, Equatable {
        /// Withdrawn and forgotten, or would be.
        case collected
        case kept(KeepReason)
    }

    public let appliance: Appliance
    public let version: String
    public let outcome: Outcome
    /// The tree that was removed, or would be.
    public let removedTree: String?
}

extension Catalogue {
    /// Looks at all that was published from this state directory, and collects what nobody uses any more.
    ///
    /// A version goes when it is retired or superseded, and was without leases over two lease periods as far as
    /// this machine has observed: here, or in ``announce(_:)``. What is not known means that it is kept.
    /// - Parameter isDryRun: only observe, and say what would go.
    /// - Parameter removesTrees: also the directories that were given when they were published.
    public func collect(
        isDryRun: Bool, removesTrees: Bool
    ) async throws(CatalogueError) -> [CollectionResult] {
        let publications = try await memory.publications()
        var results: [CollectionResult] = []
        for publication in publications where !publication.isCollected {
            var outcome = try await decide(publication, among: publications)
            var tree: String?
            if outcome == .collected {
                tree = removesTrees ? publication.tree : nil
                if let path = tree, publications.contains(where: { shares(path, $0, publication) })
                {
                    tree = nil
                }
                if !isDryRun {
                    do {
                        if let reason = try await withdraw(publication, tree, publications) {
                            outcome = .kept(reason)
                        }
                    } catch {
                        outcome = .kept(.failed(error.message))
                    }
                }
            }
            results.append(
                CollectionResult(
                    appliance: publication.appliance, version: publication.version,
                    outcome: outcome, removedTree: outcome == .collected ? tree : nil))
        }
        return results
    }

    /// Who observes. What each counts of nodes is compared with its own counts only: a node that has run for
    /// long still counts those that have left a while ago, a new one does not.
    enum Observer {
        case announcing
        case collecting
    }

    /// Looks at the leases of a version, and remembers what was seen.
    func observe(
        _ publication: Publication, _ observer: Observer
    ) async throws(CatalogueError) -> (CollectionRules.Observation, quietSince: Int64?) {
        let end = ContinuousClock.now + timeout
        var observation = try await lookAtLeases(publication, observer)
        // A node that has just been started does not know many others yet.
        while observation.mayImprove, ContinuousClock.now < end {
            do { try await Task.sleep(for: .milliseconds(500)) } catch { break }
            observation = try await lookAtLeases(publication, observer)
        }
        let since = try await memory.observed(
            publication, isQuiet: observation == .quiet, now: now())
        return (observation, since)
    }

    private func lookAtLeases(
        _ publication: Publication, _ observer: Observer
    ) async throws(CatalogueError) -> CollectionRules.Observation {
        let (sharers, nodes) = await sharers(of: publication.version, publication.appliance)
        var partition: String?
        if let nodes {
            let most = try await memory.mostNodes(nodes, of: "\(observer) \(name)", now: now())
            partition = CollectionRules.partition(nodes: nodes, most: most)
        }
        if !sharers.clients.isEmpty { return .leased(clients: sharers.clients.count) }
        if let why = sharers.incompleteness { return .unreadable(why) }
        return partition.map { .cutOff($0) } ?? .quiet
    }

    private func decide(
        _ publication: Publication, among publications: [Publication]
    ) async throws(CatalogueError) -> CollectionResult.Outcome {
        let (observation, quietSince) = try await observe(publication, .collecting)
        let decision = CollectionRules.decide(
            isRetired: publication.isRetired,
            isSuperseded: isSuperseded(publication, publications), observation,
            quietSince: quietSince, leasePeriod: publication.leasePeriod, now: now())
        switch decision {
        case .collect: return .collected
        case .keep(let reason): return .kept(reason)
        }
    }

    private func isSuperseded(_ publication: Publication, _ others: [Publication]) -> Bool {
        others.contains {
            $0.appliance == publication.appliance && $0.sequence > publication.sequence
                && !$0.isRetired
        }
    }

    /// - Returns: why it is kept after all.
    private func withdraw(
        _ publication: Publication, _ tree: String?, _ publications: [Publication]
    ) async throws(CatalogueError) -> KeepReason? {
        let key = try SigningKey(file: publication.keyFile)
        try await memory.retire(publication, isCollected: false)
        try await put(
            try await memory.renew(publication, by: key, now: now(), isForced: true))
        // Somebody may have begun to use it before that could be seen.
        let (observation, _) = try await observe(publication, .collecting)
        switch observation {
        case .leased(let clients): return .leased(clients: clients)
        case .unreadable(let why), .cutOff(let why): return .unreadable(why)
        case .quiet: break
        }
        if let tree { try PublishedTree.remove(tree) }
        try await memory.retire(publication, isCollected: true)
        try await put(
            try await memory.renew(publication, by: key, now: now(), isForced: true))
        if isSuperseded(publication, publications) { try await memory.forget(publication) }
        return nil
    }

    /// Whether another publication needs the tree, or one around or in it.
    private func shares(
        _ path: String, _ other: Publication, _ publication: Publication
    ) -> Bool {
        guard let tree = other.tree, !other.isCollected,
            other.appliance != publication.appliance || other.version != publication.version
        else { return false }
        return tree == path || tree.hasPrefix("\(path)/") || path.hasPrefix("\(tree)/")
    }
}

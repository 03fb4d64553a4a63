extension Catalogue {
    /// What happens while publications are announced.
    public enum AnnouncementEvent: Sendable {
        /// All records of a version were put.
        case announced(Publication)
        /// Some were not; it is tried again soon.
        case failed(Publication, CatalogueError)
    }

    /// Keeps all publications of this state directory in the catalogue, and observes their leases, until the
    /// task is cancelled. Publications that are made meanwhile are taken up within minutes.
    /// - Throws: ``CatalogueError/Code/state`` when the state directory cannot be used.
    public func announce(
        _ onEvent: @escaping @Sendable (AnnouncementEvent) -> Void
    ) async throws(CatalogueError) {
        while !Task.isCancelled {
            let pause: Duration
            do { pause = try await announceOnce(onEvent) } catch {
                if Task.isCancelled { return }
                throw error
            }
            do { try await Task.sleep(for: pause) } catch { return }
        }
    }

    /// - Returns: until the next time.
    private func announceOnce(
        _ onEvent: @Sendable (AnnouncementEvent) -> Void
    ) async throws(CatalogueError) -> Duration {
        let publications = try await memory.publications()
        var hasFailed = false
        for publication in publications {
            do {
                let key = try SigningKey(file: publication.keyFile)
                try await put(try await memory.renew(publication, by: key, now: now()))
                onEvent(.announced(publication))
            } catch {
                if Task.isCancelled { throw error }
                hasFailed = true
                onEvent(.failed(publication, error))
            }
            if !publication.isCollected { _ = try await observe(publication, .announcing) }
        }
        let pauses = publications.map {
            Renewal.pause(
                life: min($0.life, $0.leasePeriod), refreshInterval: store.refreshInterval,
                jitter: .random(in: 0...1))
        }
        // A minute also where nothing is published yet.
        let pause = max(min(pauses.min() ?? .seconds(60), .seconds(60)), .milliseconds(300))
        return hasFailed ? pause / 4 : pause
    }
}

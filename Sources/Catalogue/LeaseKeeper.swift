import Synchronization
import SystemPackage

/// A lease on a version, renewed until it is stopped: it tells the publisher that somebody uses it.
///
/// Nothing that goes wrong ends it. A process that is killed leaves a lease that runs out.
public final class LeaseKeeper: Sendable {
    /// What happens to the lease.
    public enum Event: Sendable {
        /// It is in the catalogue for a lease period from now.
        case renewed
        /// It could not be put; it is tried again soon.
        case failed(CatalogueError)
        /// It was given up.
        case released
    }

    private let task: Task<Void, Never>
    private let holder: Holder

    /// Takes a lease, without waiting for it.
    /// - Parameter catalogue: must stay open until ``stop(within:)`` has returned.
    /// - Parameter resolution: what is used; it has the lease period, too.
    /// - Throws: ``CatalogueError``: `badKey`, `state`, when this machine's own key cannot be read or made.
    public static func start(
        _ catalogue: Catalogue, _ resolution: Resolution,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws(CatalogueError) -> LeaseKeeper {
        try start(
            catalogue, resolution.appliance, resolution.version, period: resolution.leasePeriod,
            onEvent: onEvent)
    }

    /// Takes a lease on a version of which no more is known.
    /// - Parameter period: seconds.
    /// - Throws: as ``start(_:_:onEvent:)``.
    public static func start(
        _ catalogue: Catalogue, _ appliance: Appliance, _ version: String, period: Int64,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws(CatalogueError) -> LeaseKeeper {
        let key = try SigningKey.readOrMake(
            file: catalogue.directory.appending("client.key").string)
        return LeaseKeeper(
            Holder(
                catalogue: catalogue, key: key, appliance: appliance, version: version,
                period: period, onEvent: onEvent))
    }

    private init(_ holder: Holder) {
        self.holder = holder
        task = Task { await holder.keep() }
    }

    /// Gives the lease up, and tells the catalogue so.
    /// - Parameter limit: how long that may take; the lease runs out anyway.
    public func stop(within limit: Duration = .seconds(5)) async {
        task.cancel()
        await task.value
        await holder.release(within: limit)
    }
}

private final class Holder: Sendable {
    private let catalogue: Catalogue
    private let key: SigningKey
    private let appliance: Appliance
    private let version: String
    private let period: Int64
    private let holder = UInt64.random(in: 0 ... .max)
    private let onEvent: @Sendable (LeaseKeeper.Event) -> Void
    private let current = Mutex<SignedRecord?>(nil)

    init(
        catalogue: Catalogue, key: SigningKey, appliance: Appliance, version: String,
        period: Int64, onEvent: @escaping @Sendable (LeaseKeeper.Event) -> Void
    ) {
        self.catalogue = catalogue
        self.key = key
        self.appliance = appliance
        self.version = version
        self.period = period
        self.onEvent = onEvent
    }

    func keep() async {
        while !Task.isCancelled {
            var pause = Renewal.pause(
                life: period, refreshInterval: catalogue.store.refreshInterval,
                jitter: .random(in: 0...1))
            do {
                try await catalogue.store.put(try lease(), within: catalogue.timeout)
                onEvent(.renewed)
            } catch {
                if Task.isCancelled { return }
                onEvent(.failed(error))
                pause /= 4
            }
            do { try await Task.sleep(for: pause) } catch { return }
        }
    }

    func release(within limit: Duration) async {
        guard current.withLock({ $0 }) != nil else { return }
        do {
            try await catalogue.store.put(try sign(isOver: true), within: limit)
            onEvent(.released)
        } catch {
            onEvent(.failed(error))
        }
    }

    private func lease() throws(CatalogueError) -> SignedRecord {
        let signed = current.withLock { $0 }
        if let signed, !Renewal.mustSignAnew(signed.record, now: catalogue.now()) { return signed }
        return try sign(isOver: false)
    }

    private func sign(isOver: Bool) throws(CatalogueError) -> SignedRecord {
        let before = current.withLock { $0?.record }
        let issued = max(catalogue.now(), (before?.issued ?? 0) + 1)
        let signed = try SignedRecord(
            Record(
                appliance: appliance, version: version, issued: issued,
                expires: max(issued + period, isOver ? before?.expires ?? 0 : 0), isOver: isOver,
                body: .lease(holder: holder)), by: key)
        current.withLock { $0 = signed }
        return signed
    }
}

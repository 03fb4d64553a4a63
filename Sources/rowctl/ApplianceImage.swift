import Catalogue
import Foundation
import NFSClient
import ROWCore
import ROWProxy
import ROWStatus
import Synchronization

/// Appliances where an image is wanted.
enum ApplianceImage {
    /// An image, however it was named.
    struct Chosen {
        var image: Proxy.Image
        /// What its manifest must be.
        var manifestRoot: ContentHash?
        /// Nil for what is no appliance.
        var use: Use?
    }

    static func isOne(_ argument: String) -> Bool { argument.hasPrefix(ApplianceReference.scheme) }

    /// A version that was served from this state directory before, with the servers that it had then.
    /// - Parameter name: with its version.
    static func known(_ name: String, _ state: StateDirectory) throws -> Proxy.Image {
        let reference = try ApplianceReference(parsing: name)
        guard reference.version != nil else {
            throw UsageError(
                description: "name the version of \(reference.appliance): \(name)/VERSION, as "
                    + "'rowctl ls' shows it")
        }
        guard let image = lastServed(reference, state) else {
            throw StateError(
                .notFound, "\(reference) was never served from \(state.path): nothing is kept of it"
            )
        }
        return image
    }

    private static func lastServed(
        _ reference: ApplianceReference, _ state: StateDirectory
    ) -> Proxy.Image? {
        let name = reference.description
        guard let text = LastServed.read(state.image(name))?.servers,
            let urls = try? Proxy.Image.servers(parsing: text).urls
        else { return nil }
        return .appliance(name: name, servers: urls)
    }

    /// Does something with an image, which is leased as long as that takes if it is an appliance.
    /// - Parameter session: see ``choose(_:session:catalogue:state:)``.
    static func with<T>(
        _ argument: String, session: String?, catalogue: CatalogueOptions, state: StateOption,
        _ work: (Chosen) async throws -> T
    ) async throws -> T {
        let chosen = try await choose(
            argument, session: session, catalogue: catalogue, state: state)
        do {
            let result = try await work(chosen)
            await chosen.use?.stop()
            return result
        } catch {
            await chosen.use?.stop()
            throw error
        }
    }

    /// Finds out what an image is. Of an appliance without a version a session that exists keeps the version it
    /// stands on; all others get the newest.
    /// - Parameter session: nil when there is none yet.
    private static func choose(
        _ argument: String, session: String?, catalogue options: CatalogueOptions,
        state: StateOption
    ) async throws -> Chosen {
        guard isOne(argument) else {
            return Chosen(image: try await onOwnThread { try .parse(argument) })
        }
        var reference = try ApplianceReference(parsing: argument)
        let state = try state.absolute
        if reference.version == nil, let session,
            let stored = try? StoredSession.read(state.session(session)), isOne(stored.image),
            let standing = try? ApplianceReference(parsing: stored.image),
            standing.appliance == reference.appliance
        {
            reference = standing
        }
        let catalogue = try await options.open(state.layout)
        do {
            return try await choose(reference, catalogue, state)
        } catch {
            await catalogue.close()
            throw error
        }
    }

    private static func choose(
        _ reference: ApplianceReference, _ catalogue: Catalogue, _ state: StateDirectory
    ) async throws -> Chosen {
        let found: Resolution
        do {
            found = try await catalogue.resolve(reference)
        } catch {
            // Machines that have booted once go on while the catalogue is away.
            guard error.code == .unreadable, let version = reference.version,
                let image = lastServed(reference, state)
            else { throw error }
            ["\(error); going on with the servers that it had last"].warn()
            return Chosen(
                image: image,
                manifestRoot: LastServed.read(state.image(image.canonicalName))?.manifestRoot,
                use: try Use(catalogue, reference.appliance, version, period: Use.periodDefault))
        }
        found.warnings.warn()
        let name = try ApplianceReference(found.appliance, version: found.version).description
        return Chosen(
            image: .appliance(name: name, servers: try found.locations.map { try NFSURL($0) }),
            manifestRoot: found.manifestRoot.map { root in
                root.withUnsafeBytes { ContentHash(bytes: $0) }
            },
            use: try Use(
                catalogue, found.appliance, found.version, period: found.leasePeriod))
    }

    /// A version in use: leased as long as that lasts, and its new locations looked for.
    final class Use: Sendable {
        private let catalogue: Catalogue
        private let lease: LeaseKeeper
        private let watch: Task<Void, Never>
        private let proxy: ProxyPlace
        private let leased: Leased

        /// How the lease stands.
        private final class Leased: Sendable {
            let status: Mutex<LeaseStatus>

            init(image: String) { status = Mutex(LeaseStatus(image: image)) }
        }

        /// The proxy that serves it, while there is one.
        private final class ProxyPlace: Sendable {
            let proxy = Mutex<Proxy?>(nil)
            private let complaint = Mutex("")

            /// Tells whoever looks at the session, once.
            func tell(_ text: String, _ level: Proxy.Event.Level = .warning) {
                let isNew = complaint.withLock { last in
                    defer { last = text }
                    return last != text
                }
                if isNew { proxy.withLock(\.self)?.report(text, level) }
            }
        }

        /// Seconds, where it is not known how long a lease is.
        static let periodDefault: Int64 = 600

        init(
            _ catalogue: Catalogue, _ appliance: Appliance, _ version: String, period: Int64
        ) throws {
            let place = ProxyPlace()
            self.catalogue = catalogue
            proxy = place
            let leased = Leased(
                image: try ApplianceReference(appliance, version: version).description)
            self.leased = leased
            lease = try LeaseKeeper.start(catalogue, appliance, version, period: period) { event in
                switch event {
                case .renewed:
                    let now = Date().timeIntervalSince1970
                    leased.status.withLock { $0.renew(at: now, period: Double(period)) }
                    place.tell("version \(version) of \(appliance) is leased", .notice)
                case .failed(let error):
                    leased.status.withLock { $0.lastError = "\(error)" }
                    place.tell("version \(version) of \(appliance) is not leased: \(error)")
                case .released: break
                }
            }
            let pause = Duration.seconds(min(max(period / 4, 1), 60))
            watch = Task {
                while !Task.isCancelled {
                    do { try await Task.sleep(for: pause) } catch { return }
                    guard let proxy = place.proxy.withLock(\.self) else { continue }
                    do {
                        let locations = try await catalogue.locations(of: version, appliance)
                        // It may have been stopped meanwhile.
                        guard !Task.isCancelled, place.proxy.withLock(\.self) === proxy else {
                            continue
                        }
                        try await proxy.add(servers: locations.compactMap { try? NFSURL($0) })
                    } catch {
                        place.tell("\(error)")
                    }
                }
            }
        }

        var leaseStatus: LeaseStatus { leased.status.withLock(\.self) }

        /// A proxy serves it, and gets new locations.
        func attach(_ proxy: Proxy) { self.proxy.proxy.withLock { $0 = proxy } }

        func detach() { proxy.proxy.withLock { $0 = nil } }

        /// Gives the lease up.
        func stop() async {
            detach()
            watch.cancel()
            await watch.value
            await lease.stop()
            await catalogue.close()
        }
    }
}

/// Where a version of an appliance is.
public struct Resolution: Sendable, Hashable {
    public let appliance: Appliance
    public let version: String
    /// Its place among the versions of the appliance; higher is newer.
    public let sequence: UInt64
    /// 32 bytes, a SHA-256.
    public let manifestRoot: [UInt8]?
    /// `nfs://` URLs, sorted; at least one.
    public let locations: [String]
    /// Its publisher does not want it to be used any more. Only for a version that was asked for by name.
    public let isRetired: Bool
    /// Seconds for which clients lease it.
    public let leasePeriod: Int64
    /// What people should know: what was ignored, or could not be read. One line each.
    public let warnings: [String]
}

/// The versions of an appliance.
public struct VersionList: Sendable {
    /// Newest first.
    public let versions: [VersionInfo]
    /// Why this may not be all that there is; nil for a complete answer.
    public let incompleteness: String?
    /// What people should know. One line each.
    public let warnings: [String]
}

/// Who uses a version: an estimate.
public struct Sharers: Sendable {
    public let version: String
    /// Sorted by their text.
    public let clients: [KeyFingerprint]
    /// One client may have several.
    public let leases: Int
    /// Why there may be more; nil for a complete answer.
    public let incompleteness: String?
    /// What people should know. One line each.
    public let warnings: [String]
}

extension Catalogue {
    /// Finds out which version a reference means, and where it is.
    ///
    /// Without a version the newest counts that is not retired. What was seen once is remembered: a catalogue
    /// that offers only older ones is not believed.
    /// - Throws: ``CatalogueError``: `unreadable`, `notFound`, `retired`, `rolledBack`, `noLocation`, `state`.
    public func resolve(
        _ reference: ApplianceReference
    ) async throws(CatalogueError) -> Resolution {
        let (history, reading) = try await history(of: reference.appliance)
        let info = try choose(reference, history, reading)
        let places = await read(.locations(of: info.version, reference.appliance))
        let locations = Self.locations(places)
        guard !locations.isEmpty else {
            if let why = places.incompleteness {
                throw Self.unreadable("the locations of \(reference.appliance)", why)
            }
            throw CatalogueError(
                .noLocation,
                "no server is on record that holds version \(info.version) of \(reference.appliance)"
                    + (info.isRetired ? ", which is retired" : "")
                    + "; its publisher must run 'rowctl appliance publish' or 'announce'"
                    + Self.suffix(places.selection.report))
        }
        var warnings = Self.warnings(reading) + Self.warnings(places)
        if info.isRetired {
            warnings.append("version \(info.version) is retired; its publisher may remove it")
        }
        return Resolution(
            appliance: reference.appliance, version: info.version, sequence: info.sequence,
            manifestRoot: info.manifestRoot, locations: locations, isRetired: info.isRetired,
            leasePeriod: info.leasePeriod, warnings: warnings)
    }

    /// The servers that hold a version now: for who looks again now and then.
    /// - Returns: `nfs://` URLs, sorted; may be empty.
    /// - Throws: ``CatalogueError/Code/unreadable`` when none was found and not all was read.
    public func locations(
        of version: String, _ appliance: Appliance
    ) async throws(CatalogueError) -> [String] {
        let places = await read(.locations(of: version, appliance))
        let locations = Self.locations(places)
        if locations.isEmpty, let why = places.incompleteness {
            throw Self.unreadable("the locations of \(appliance)", why)
        }
        return locations
    }

    /// The versions of an appliance.
    /// - Throws: ``CatalogueError``: `unreadable` when none was found and not all was read, `rolledBack`, `state`.
    public func versions(of appliance: Appliance) async throws(CatalogueError) -> VersionList {
        let (history, reading) = try await history(of: appliance)
        if let why = reading.incompleteness, history.offered.isEmpty {
            throw Self.unreadable("the versions of \(appliance)", why)
        }
        try refuseRollback(appliance, history, reading)
        return VersionList(
            versions: history.offered, incompleteness: reading.incompleteness,
            warnings: Self.warnings(reading))
    }

    /// Who uses a version.
    /// - Throws: as ``resolve(_:)`` when the reference names no version; otherwise never.
    public func sharers(
        of reference: ApplianceReference
    ) async throws(CatalogueError) -> Sharers {
        let version: String
        if let named = reference.version {
            version = named
        } else {
            let (history, reading) = try await history(of: reference.appliance)
            version = try choose(reference, history, reading).version
        }
        return await sharers(of: version, reference.appliance).sharers
    }

    /// Has what a catalogue offers next of an appliance be believed, also when it was seen to be newer.
    public func forgetSeen(_ appliance: Appliance) async throws(CatalogueError) {
        try await memory.forgetSeen(appliance)
    }

    // MARK: Parts

    func sharers(
        of version: String, _ appliance: Appliance
    ) async -> (sharers: Sharers, nodes: Int?) {
        let reading = await read(.leases(of: version, appliance))
        let leases = reading.records.filter { !$0.record.isOver }
        let clients = Set(leases.map(\.signer)).sorted { $0.description < $1.description }
        let cut = reading.selection.isCut ? "there are more leases than are counted" : nil
        return (
            Sharers(
                version: version, clients: clients, leases: leases.count,
                incompleteness: reading.incompleteness ?? cut,
                warnings: Self.warnings(reading)), reading.nodes
        )
    }

    /// Reads an appliance's versions and remembers them.
    func history(
        of appliance: Appliance
    ) async throws(CatalogueError) -> (VersionHistory, Reading) {
        let reading = await read(.versions(of: appliance))
        let history = VersionHistory(
            reading.records.map(\.record), seen: try await memory.seen(appliance))
        try await memory.remember(history.toRemember, of: appliance)
        return (history, reading)
    }

    private func choose(
        _ reference: ApplianceReference, _ history: VersionHistory, _ reading: Reading
    ) throws(CatalogueError) -> VersionInfo {
        let appliance = reference.appliance
        if let version = reference.version {
            if let info = history[version] { return info }
        } else {
            try refuseRollback(appliance, history, reading)
            if let info = history.newest { return info }
        }
        if let why = reading.incompleteness {
            throw Self.unreadable("the versions of \(appliance)", why)
        }
        let report = Self.suffix(reading.selection.report)
        if reference.version == nil, !history.offered.isEmpty {
            throw CatalogueError(
                .retired,
                "every version of \(appliance) is retired; ask its publisher for another\(report)")
        }
        throw CatalogueError(
            .notFound,
            "there is no "
                + (reference.version.map { "version \($0) of \(appliance)" } ?? "\(appliance)")
                + " in the catalogue \(name): nobody has published it there, or its records have run "
                + "out because its publisher does not announce it\(report)")
    }

    private func refuseRollback(
        _ appliance: Appliance, _ history: VersionHistory, _ reading: Reading
    ) throws(CatalogueError) {
        guard let lost = history.rolledBackFrom else { return }
        let what =
            "version \(lost.version) of \(appliance) was seen before and is missing, while "
            + (history.newest.map { "the older version \($0.version) is offered" }
                ?? "no other is offered")
        if let why = reading.incompleteness {
            throw CatalogueError(
                .unreadable, "\(what), and not all could be read: \(why); try again")
        }
        throw CatalogueError(
            .rolledBack,
            "\(what): the catalogue is out of date, or somebody holds new versions back. Ask the "
                + "publisher; 'rowctl appliance resolve --accept-rollback' believes the catalogue")
    }

    private static func locations(_ reading: Reading) -> [String] {
        reading.records.compactMap { signed in
            guard case .location(let url) = signed.record.body, !signed.record.isOver else {
                return nil
            }
            return url
        }.sorted()
    }

    private static func warnings(_ reading: Reading) -> [String] {
        [
            reading.selection.report,
            reading.incompleteness.map { "not all of the catalogue could be read: \($0)" },
        ].compactMap(\.self)
    }

    private static func suffix(_ report: String?) -> String { report.map { "; \($0)" } ?? "" }

    static func unreadable(_ what: String, _ why: String) -> CatalogueError {
        CatalogueError(.unreadable, "\(what) cannot be read: \(why)")
    }
}

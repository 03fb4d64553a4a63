import Foundation
import Glibc
import NFSClient

/// What is to be published.
public struct PublicationRequest: Sendable {
    public var name: String
    public var version: String
    /// `nfs://` URLs.
    public var locations: [String]
    /// 32 bytes, a SHA-256.
    public var manifestRoot: [UInt8]?
    /// Seconds for which clients lease it, 1...86400.
    public var leasePeriod: Int64 = 600
    /// Seconds for which its records are signed at a time; nil for the catalogue's default.
    public var life: Int64?
    /// A directory of this machine that has the image, to be removed when the version is collected.
    public var tree: String?

    public static let locationsMaximum = 16

    public init(name: String, version: String, locations: [String]) {
        self.name = name
        self.version = version
        self.locations = locations
    }
}

extension Catalogue {
    /// Publishes a version, or changes where a version is that is published already.
    ///
    /// It is kept in the state directory first, so that ``announce(_:)`` goes on with it.
    /// - Parameter keyFile: the publisher's key.
    /// - Throws: ``CatalogueError``: `invalid`, `badKey`, `exists`, `unreadable`, `notWritten`, `state`.
    public func publish(
        _ request: PublicationRequest, keyFile: String
    ) async throws(CatalogueError) -> Publication {
        let key = try SigningKey(file: keyFile)
        let appliance = try Appliance(name: request.name, key: key.fingerprint)
        try Appliance.check(request.version, "a version")
        let locations = try Self.checkedLocations(request.locations)
        let life = request.life ?? store.lifeDefault
        try Self.check(life, in: 1...Record.lifeMaximum, "the life of a record")
        try Self.check(
            request.leasePeriod, in: 1...Record.leasePeriodMaximum, "the lease period")
        guard request.manifestRoot?.count ?? Record.manifestRootSize == Record.manifestRootSize
        else {
            throw CatalogueError(
                .invalid, "a manifest's root is \(Record.manifestRootSize) bytes, a SHA-256")
        }
        let tree = try request.tree.map { path throws(CatalogueError) in
            try PublishedTree.path(path)
        }
        let own = try await memory.publications(of: appliance)
        let (history, reading) = try await history(of: appliance)
        let publication = Publication(
            appliance: appliance, version: request.version,
            sequence: try sequence(for: request, own, history, reading),
            manifestRoot: request.manifestRoot, leasePeriod: request.leasePeriod, life: life,
            keyFile: URL(fileURLWithPath: keyFile).path, tree: tree)
        let records = try await records(of: publication, locations, history, key)
        try await memory.save(publication, records)
        try await put(records)
        try await forgetCollected(of: appliance, before: publication.sequence)
        return publication
    }

    /// Says that a version is not to be used any more. Its locations stay until it is collected, since clients
    /// may use it still.
    /// - Throws: ``CatalogueError``: `notFound` when it was not published from here, `badKey`, `notWritten`,
    ///   `state`.
    public func retire(
        _ version: String, of appliance: Appliance
    ) async throws(CatalogueError) {
        let own = try await memory.publications(of: appliance)
        guard let publication = own.first(where: { $0.version == version }) else {
            throw CatalogueError(
                .notFound,
                "version \(version) of \(appliance) was not published from this state directory")
        }
        let key = try SigningKey(file: publication.keyFile)
        try await memory.retire(publication, isCollected: false)
        try await put(
            try await memory.renew(publication, by: key, now: now(), isForced: true))
    }

    // MARK: Parts

    /// Writes records to the store, those of locations before the version's own.
    func put(_ records: [SignedRecord]) async throws(CatalogueError) {
        for record in records { try await store.put(record, within: timeout) }
    }

    /// Tombstones are needed as long as nothing newer is published: clients that have seen the version
    /// would miss it.
    private func forgetCollected(
        of appliance: Appliance, before sequence: UInt64
    ) async throws(CatalogueError) {
        for old in try await memory.publications(of: appliance)
        where old.isCollected && old.sequence < sequence {
            try await memory.forget(old)
        }
    }

    private func sequence(
        for request: PublicationRequest, _ own: [Publication], _ history: VersionHistory,
        _ reading: Reading
    ) throws(CatalogueError) -> UInt64 {
        let before = own.first { $0.version == request.version }
        let offered = history[request.version]
        if before != nil || offered != nil {
            guard before?.isRetired != true, offered?.isRetired != true else {
                throw CatalogueError(
                    .exists, "version \(request.version) was retired; publish under another version"
                )
            }
            guard before.map({ $0.manifestRoot == request.manifestRoot }) ?? true,
                offered.map({ $0.manifestRoot == request.manifestRoot }) ?? true
            else {
                throw CatalogueError(
                    .exists,
                    "version \(request.version) is published with another manifest, and a version never "
                        + "changes; publish under another version")
            }
            if let sequence = before?.sequence ?? offered?.sequence { return sequence }
        }
        if own.isEmpty, let why = reading.incompleteness {
            throw CatalogueError(
                .unreadable,
                "cannot tell which versions were published before: \(why); try again")
        }
        let last = max(own.map(\.sequence).max() ?? 0, history.offered.first?.sequence ?? 0)
        return last + 1
    }

    /// Signs all that stands for a publication, and the end of locations that it no longer has.
    private func records(
        of publication: Publication, _ locations: [String], _ history: VersionHistory,
        _ key: SigningKey
    ) async throws(CatalogueError) -> [SignedRecord] {
        let before = try await memory.records(of: publication)
        var expires: [Record.Subject: Int64] = [:]
        var issued = now()
        for signed in before {
            expires[signed.subject] = signed.record.expires
            issued = max(issued, signed.record.issued + 1)
        }
        if let offered = history[publication.version] { issued = max(issued, offered.issued + 1) }
        let gone = before.compactMap { signed in
            if case .location(let url) = signed.record.body, !locations.contains(url) { return url }
            return nil
        }
        var bodies: [(Record.Body, isOver: Bool)] = gone.map { (.location(url: $0), true) }
        bodies += locations.map { (.location(url: $0), false) }
        bodies.append(
            (
                .version(
                    sequence: publication.sequence, leasePeriod: UInt32(publication.leasePeriod),
                    manifestRoot: publication.manifestRoot), false
            ))
        var records: [SignedRecord] = []
        for (body, isOver) in bodies {
            var record = Record(
                appliance: publication.appliance, version: publication.version, issued: issued,
                expires: issued + publication.life, isOver: isOver, body: body)
            if isOver, case .location(let url) = body {
                record.expires = max(record.expires, expires[.location(url)] ?? 0)
            }
            records.append(try SignedRecord(record, by: key))
        }
        return records
    }

    private static func checkedLocations(
        _ texts: [String]
    ) throws(CatalogueError) -> [String] {
        guard (1...PublicationRequest.locationsMaximum).contains(texts.count) else {
            throw CatalogueError(
                .invalid,
                "\(texts.count) locations: give 1 to \(PublicationRequest.locationsMaximum)")
        }
        var locations: [String] = []
        for text in texts {
            let url: String
            do { url = try NFSURL(text).description } catch {
                throw CatalogueError(.invalid, "\(error)")
            }
            guard url.utf8.count <= Record.urlSizeMaximum,
                url.utf8.allSatisfy({ (0x21...0x7e).contains($0) })
            else {
                throw CatalogueError(
                    .invalid, "the location '\(text.prefix(200))' is too long, or not plain text")
            }
            if !locations.contains(url) { locations.append(url) }
        }
        return locations
    }

    private static func check(
        _ seconds: Int64, in range: ClosedRange<Int64>, _ what: String
    ) throws(CatalogueError) {
        guard range.contains(seconds) else {
            throw CatalogueError(
                .invalid,
                "\(what) cannot be \(seconds) s: use \(range.lowerBound) to \(range.upperBound)")
        }
    }
}

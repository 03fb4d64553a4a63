import ArgumentParser
import Catalogue
import Console
import Foundation
import ROWProxy

struct ApplianceVersions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "versions", abstract: "List the versions of an appliance, newest first.")

    @Argument(help: "NAME@KEY.", transform: ApplianceReference.init(parsing:))
    var appliance: ApplianceReference

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    private struct Entry: Encodable {
        let version: String
        let sequence: UInt64
        let isRetired: Bool
        let manifest: String?
        let issued: Int64
        let expires: Int64
        let lease: Int64
    }

    func run() async throws {
        let list = try await catalogue.with(state) {
            try await $0.versions(of: appliance.appliance)
        }
        list.warnings.warn()
        if json {
            print(
                try jsonText(
                    list.versions.map {
                        Entry(
                            version: $0.version, sequence: $0.sequence, isRetired: $0.isRetired,
                            manifest: $0.manifestRoot.map(hexadecimal), issued: $0.issued,
                            expires: $0.expires, lease: $0.leasePeriod)
                    }))
            return
        }
        var table = Table([
            ("VERSION", .left), ("SEQUENCE", .right), ("STATE", .left), ("ISSUED", .left),
            ("MANIFEST", .left),
        ])
        for version in list.versions {
            table.add(
                version.version, "\(version.sequence)", version.isRetired ? "retired" : "valid",
                Date(timeIntervalSince1970: Double(version.issued)).ISO8601Format(),
                version.manifestRoot.map(hexadecimal) ?? "-")
        }
        print(table.text)
    }
}

struct ApplianceResolve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "Find the servers that hold an appliance.",
        discussion: """
            Prints its reference with the version, and the servers, one line each. Without a version the \
            newest counts. What was seen once is remembered in the state directory: a catalogue that \
            offers only older versions is refused.
            """)

    @OptionGroup var reference: ReferenceArgument

    @Flag(help: "Forget which versions were seen before, and believe the catalogue.")
    var acceptRollback = false

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    private struct Output: Encodable {
        let appliance: String
        let version: String
        let sequence: UInt64
        let isRetired: Bool
        let manifest: String?
        let locations: [String]
        let lease: Int64
        let warnings: [String]
    }

    func run() async throws {
        let found = try await catalogue.with(state) {
            if acceptRollback { try await $0.forgetSeen(reference.appliance.appliance) }
            return try await $0.resolve(reference.appliance)
        }
        if json {
            print(
                try jsonText(
                    Output(
                        appliance: found.appliance.description, version: found.version,
                        sequence: found.sequence, isRetired: found.isRetired,
                        manifest: found.manifestRoot.map(hexadecimal), locations: found.locations,
                        lease: found.leasePeriod, warnings: found.warnings)))
            return
        }
        found.warnings.warn()
        print(try ApplianceReference(found.appliance, version: found.version))
        for location in found.locations { print(location) }
    }
}

struct ApplianceSharers: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sharers", abstract: "Count the clients that use a version: an estimate.",
        discussion: "Exit code 1 when the catalogue could not be read wholly: there may be more.")

    @OptionGroup var reference: ReferenceArgument

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    private struct Output: Encodable {
        let version: String
        let clients: [String]
        let leases: Int
        let isComplete: Bool
    }

    func run() async throws {
        let sharers = try await catalogue.with(state) {
            try await $0.sharers(of: reference.appliance)
        }
        sharers.warnings.warn()
        if json {
            print(
                try jsonText(
                    Output(
                        version: sharers.version, clients: sharers.clients.map(\.description),
                        leases: sharers.leases, isComplete: sharers.incompleteness == nil)))
        } else {
            print(
                "\(sharers.clients.count) clients with \(sharers.leases) leases use version "
                    + "\(sharers.version)")
        }
        if let why = sharers.incompleteness {
            [why].warn()
            throw ExitCode.failure
        }
    }
}

struct ApplianceLease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lease", abstract: "Hold a lease on a version, in the foreground.",
        discussion: """
            For what uses it without rowctl, such as a mount of one of its servers. A signal ends it and \
            gives the lease up.
            """)

    @OptionGroup var reference: ReferenceArgument

    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    func run() async throws {
        try await catalogue.with(state) { catalogue in
            let found = try await catalogue.resolve(reference.appliance)
            found.warnings.warn()
            let (firsts, continuation) = AsyncStream<Void>.makeStream()
            let lease = try LeaseKeeper.start(catalogue, found) { event in
                switch event {
                case .renewed: continuation.yield()
                case .failed(let error): ["the lease is not renewed: \(error)"].warn()
                case .released: break
                }
            }
            try await untilSignal {
                for await _ in firsts { break }
                if Task.isCancelled { return }
                print("ready: version \(found.version) of \(found.appliance) is leased")
                flushStandardOutput()
                for await _ in firsts {}
            }
            await lease.stop()
        }
    }
}

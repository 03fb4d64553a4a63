import ArgumentParser
import Catalogue
import Console
import Foundation
import Glibc
import NFSClient
import NFSProtocol
import ROWCore
import ROWProxy
import ROWRemote
import SystemPackage

struct Upgrade: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put a session onto a new version of its image.",
        discussion: """
            What the session changed is kept and merged with what is new: blocks of files that the new \
            image has as they were stay where they are. What both changed is a conflict: the session's \
            version keeps its name, and main's is beside it as NAME.main. Each conflict is told in one \
            line.

            Nobody may serve the session meanwhile, and nobody have it mounted: handles of before are \
            stale. The state before is kept as a snapshot, to which `rowctl rollback` goes back. \
            docs/UPGRADE.md has the rules.

            Exit codes: 0 done, 1 failed and nothing changed, 2 done, with conflicts.
            """)

    @Argument(help: "The session's name.")
    var name: String

    @Option(
        help: ArgumentHelp(
            "The image to put it onto: an NFS export, a directory of this machine, or an appliance.",
            discussion: """
                Default: the newest version of the appliance that the session stands on. Of several \
                servers that have the same tree the first is asked.
                """,
            valueName: "image"))
    var to: String?

    @Flag(help: "Only tell what would be done.")
    var dryRun = false

    @Flag(help: "As JSON, whose keys are stable.")
    var json = false

    @OptionGroup var tls: TLSOptions

    @OptionGroup var catalogue: CatalogueOptions

    @OptionGroup var state: StateOption

    func run() async throws {
        let stored = try StoredSession.read(try state.directory.existingSession(name))
        try await ApplianceImage.with(
            newImage(stored), session: nil, catalogue: catalogue, state: state
        ) { try await run(stored, source($0.image)) }
    }

    private func run(_ stored: StoredSession, _ source: any ImageSource) async throws {
        let new: ROWCore.Image
        do { new = try await Image.open(source, state: state.directory.layout) } catch {
            guard error.code == .state(.imageInUse) else { throw error }
            throw StateError(
                .imageInUse,
                "the image \(source.name) is served by another process: stop that for the upgrade")
        }
        let report: UpgradeReport
        let meter = ProgressMeter(unit: { "\($0) objects" })
        defer { meter.end() }
        do {
            report = try await SessionUpgrade.run(
                name, in: state.directory.layout, from: oldSource(stored), to: new,
                isDryRun: dryRun
            ) { done, all in
                meter.show(
                    ProgressState(
                        done: UInt64(done), total: UInt64(all),
                        details: "\(done) of \(all) changed objects"))
            }
        } catch {
            try? await new.close()
            throw error
        }
        try await new.close()
        meter.end()
        if json {
            print(try jsonText(report))
        } else {
            for conflict in report.conflicts { print("\(conflict)".printable) }
            print(summary(report))
        }
        if !report.conflicts.isEmpty { throw ExitCode(Self.conflictsExitCode) }
    }

    private static let conflictsExitCode: Int32 = 2

    /// The image that the session is to stand on.
    private func newImage(_ stored: StoredSession) throws -> String {
        if let to { return to }
        guard ApplianceImage.isOne(stored.image) else {
            throw UsageError(
                description:
                    "session \(name) is on \(stored.image), which is no appliance: say which image "
                    + "to put it onto with --to")
        }
        // Without its version.
        return try ApplianceReference(
            ApplianceReference(parsing: stored.image).appliance
        ).description
    }

    /// The image that it stands on; nil when it is not where it was. Only conflicts need its data.
    private func oldSource(_ stored: StoredSession) -> (any ImageSource)? {
        if ApplianceImage.isOne(stored.image) {
            return try? source(ApplianceImage.known(stored.image, state.directory))
        }
        let last = LastServed.read(state.directory.image(stored.image))
        if let image = try? last?.servers.map({ try Proxy.Image.parse($0) }),
            image.canonicalName == stored.image
        {
            return try? source(image)
        }
        return try? source(.parse(stored.image))
    }

    private func source(_ image: Proxy.Image) throws -> any ImageSource {
        var options = NFSClient.Options()
        options.connection.credentials = TLSCredentials(tls.files)
        switch image {
        case .directory(let path): return try DirectorySource(path)
        case .servers(let urls):
            guard let url = urls.first else {
                throw UsageError(description: "no server is named")
            }
            return NFSImageSource(url, options: options)
        case .appliance(let name, let urls):
            guard let url = urls.first else {
                throw UsageError(description: "no server is named")
            }
            return ApplianceSource(
                name: name, server: Proxy.canonicalName(of: url),
                NFSImageSource(url, options: options))
        }
    }

    private func summary(_ report: UpgradeReport) -> String {
        let what =
            "\(report.files) files with \(report.blocks) blocks kept, \(report.merged) merged, "
            + "\(report.conflicts.count) conflicts"
        guard let snapshot = report.snapshot else {
            return "session \(name) would be put onto \(report.to): \(what)"
        }
        return "session \(name) is on \(report.to): \(what); "
            + "`rowctl rollback \(name) \(snapshot)` undoes it"
    }
}

/// A server of an appliance, under the appliance's name.
private struct ApplianceSource: ImageSource {
    let name: String
    let server: String?
    private let source: NFSImageSource

    init(name: String, server: String, _ source: NFSImageSource) {
        self.name = name
        self.server = server
        self.source = source
    }

    func rootEntry() async throws(ROWError) -> MainEntry { try await source.rootEntry() }

    func perform(_ fetch: Fetch, on object: ImageObject) async -> FetchResult {
        await source.perform(fetch, on: object)
    }

    func read(_ object: ImageObject, _ range: Range<UInt64>) async throws(ROWError) -> [UInt8] {
        try await source.read(object, range)
    }

    func release(image: UInt64) async { await source.release(image: image) }
}

import ArgumentParser
import Catalogue
import Console
import Foundation
import ROWCore
import ROWProxy
import SystemPackage

struct ApplianceKeygen: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keygen", abstract: "Make a publisher's key, and print NAME@KEY.",
        discussion: """
            Whoever has the file can publish under that name; without it nobody can. Keep a copy.
            """)

    @Argument(help: "The appliance's name.")
    var name: String

    @OptionGroup var key: KeyOption
    @OptionGroup var state: StateOption

    func run() throws {
        // The name is checked before a file is made after it.
        let fingerprint = try {
            _ = try Appliance(name: name, key: KeyFingerprint(String(repeating: "a", count: 32))!)
            return try SigningKey.make(file: key.file(name, state)).fingerprint
        }()
        print(try Appliance(name: name, key: fingerprint))
    }
}

struct AppliancePublish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Publish a version of an appliance.",
        discussion: """
            It becomes the newest. A version that is published already gets other locations; it never \
            changes otherwise. In a distributed catalogue records run out: `rowctl appliance announce` \
            keeps them there.
            """)

    @Argument(help: "The appliance's name.")
    var name: String

    @Argument(help: "The version: 1 to 64 letters, digits, '.', '_' and '-'.")
    var version: String

    @Option(
        name: .customLong("at"),
        help: ArgumentHelp(
            "A server that holds it: nfs://host[:port]/export; may be given more than once.",
            valueName: "url"))
    var locations: [String]

    @Option(
        help: ArgumentHelp(
            "The image's manifest: the sealed tree, or its root hash in 64 hexadecimal digits.",
            discussion: "Proxies then use no server that has another one.",
            valueName: "directory or hash"))
    var manifest: String?

    @Option(
        help: ArgumentHelp(
            "The local directory that is exported, for gc --remove-trees.", valueName: "directory"))
    var tree: String?

    @Option(
        help: ArgumentHelp(
            "How long a client's lease lasts without being renewed. (default: 600)",
            valueName: "seconds"))
    var lease: Int64 = 600

    @Option(
        help: ArgumentHelp(
            "How long a record is valid without being announced.",
            discussion: "Default: 600 in a distributed catalogue, five years in a file.",
            valueName: "seconds"))
    var expires: Int64?

    @OptionGroup var key: KeyOption
    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    func run() async throws {
        var request = PublicationRequest(name: name, version: version, locations: locations)
        request.manifestRoot = try manifest.map(Self.hash)
        request.tree = tree
        request.leasePeriod = lease
        request.life = expires
        let file = try key.file(name, state)
        let publication = try await catalogue.with(state) {
            try await $0.publish(request, keyFile: file)
        }
        print(try ApplianceReference(publication.appliance, version: publication.version))
    }

    private static func hash(_ text: String) throws -> [UInt8] {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: text, isDirectory: &isDirectory),
            isDirectory.boolValue
        {
            return try ManifestFiles(FilePath(text)).sums.rootHash.bytes
        }
        let digits = text.compactMap(\.hexDigitValue)
        guard text.utf8.count == 64, digits.count == 64 else {
            throw UsageError(
                description:
                    "--manifest '\(text)' is neither a directory nor 64 hexadecimal digits")
        }
        return stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

struct ApplianceRetire: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retire", abstract: "Say that a version is not to be used any more.",
        discussion: "Clients that use it go on; `rowctl appliance gc` removes it when none does.")

    @Argument(help: "The appliance's name, or NAME@KEY.")
    var name: String

    @Argument(help: "The version.")
    var version: String

    @OptionGroup var key: KeyOption
    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    func run() async throws {
        let appliance = try key.appliance(name, state)
        try await catalogue.with(state) { try await $0.retire(version, of: appliance) }
        print("retired version \(version) of \(appliance)")
    }
}

struct ApplianceAnnounce: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "announce",
        abstract: "Keep all that was published from here in the catalogue, in the foreground.",
        discussion: """
            Also observes which versions are used, for gc. A signal ends it; a distributed catalogue then \
            forgets the publications within minutes.
            """)

    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    func run() async throws {
        try await catalogue.with(state) { catalogue in
            try await untilSignal {
                print("ready: announcing to \(catalogue.name)")
                flushStandardOutput()
                try await catalogue.announce { event in
                    if case .failed(let publication, let error) = event {
                        [
                            "version \(publication.version) of \(publication.appliance) is not "
                                + "announced: \(error)"
                        ].warn()
                    }
                }
            }
        }
    }
}

struct ApplianceCollect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc", abstract: "Withdraw versions that nobody uses any more.",
        discussion: """
            Of those published from here: what is retired or superseded, and was without leases for two \
            lease periods as far as this command, or `rowctl appliance announce`, has observed. A catalogue \
            that cannot be read, or whose nodes are missing, means that all is kept. Says why for each.
            """)

    @Flag(help: "Only say what would be done.")
    var dryRun = false

    @Flag(help: "Also remove the directories that publish was told of by --tree.")
    var removeTrees = false

    @Flag(help: "As JSON.")
    var json = false

    @OptionGroup var catalogue: CatalogueOptions
    @OptionGroup var state: StateOption

    private struct Entry: Encodable {
        let appliance: String
        let version: String
        let isCollected: Bool
        let reason: String?
        let explanation: String?
        let tree: String?
    }

    func run() async throws {
        let results = try await catalogue.with(state) {
            try await $0.collect(isDryRun: dryRun, removesTrees: removeTrees)
        }
        if json {
            print(
                try jsonText(
                    results.map { result in
                        Entry(
                            appliance: result.appliance.description, version: result.version,
                            isCollected: result.reason == nil, reason: result.reason?.code,
                            explanation: result.reason?.description, tree: result.removedTree)
                    }))
        } else {
            for result in results { print(text(result)) }
        }
        let failed = results.contains { $0.reason?.code == KeepReason.failed("").code }
        if failed { throw ExitCode.failure }
    }

    private func text(_ result: CollectionResult) -> String {
        let what = "version \(result.version) of \(result.appliance)"
        if let reason = result.reason { return "kept \(what): \(reason)".printable }
        let tree = result.removedTree.map { ", with its tree \($0)" } ?? ""
        return (dryRun ? "would collect \(what)\(tree)" : "collected \(what)\(tree)").printable
    }
}

extension CollectionResult {
    /// Why it is kept; nil when it is not.
    fileprivate var reason: KeepReason? {
        if case .kept(let reason) = outcome { return reason }
        return nil
    }
}

import ArgumentParser
import Catalogue
import Console
import Foundation
import ROWCore
import ROWProxy

struct ApplianceVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "appliance",
        abstract: "Publish versions of images under a name, and find servers that hold them.",
        discussion: """
            An appliance is NAME@KEY: a name, and the fingerprint of its publisher's key. Versions, the \
            servers that hold them and the clients that use them are kept in a catalogue, a file or a \
            distributed hash table, as signed records: it does not matter who keeps them.
            """,
        subcommands: [
            ApplianceKeygen.self, AppliancePublish.self, ApplianceAnnounce.self,
            ApplianceVersions.self, ApplianceResolve.self, ApplianceSharers.self,
            ApplianceLease.self, ApplianceRetire.self, ApplianceCollect.self,
        ])
}

/// Which catalogue; every verb that asks one takes it.
struct CatalogueOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file, or dht:HOST:PORT[,HOST:PORT...]: nodes of a distributed hash table.",
            discussion: """
                Default: what ROWFS_CATALOGUE says, or else catalogue.sqlite of the state directory.
                """, valueName: "catalogue"))
    var catalogue: String?

    @Option(
        help: ArgumentHelp(
            "The UDP port of this machine's node, with dht:; 0 for any. (default: 0)",
            valueName: "port"))
    var dhtPort = 0

    @Option(
        help: ArgumentHelp(
            "The program that runs this machine's node.",
            discussion: "Default: what ROWFS_DHT says, or rowctl-dht beside rowctl or in PATH.",
            valueName: "path"))
    var dhtProgram: String?

    @Option(
        name: .customLong("catalogue-timeout"),
        help: ArgumentHelp(
            "How long a call to the catalogue may take. (default: 20)", valueName: "seconds"))
    var timeoutSeconds = Self.timeoutDefault

    private static let timeoutDefault = 20.0

    func validate() throws {
        guard timeoutSeconds >= 0.1, timeoutSeconds <= 3600 else {
            throw ValidationError("--catalogue-timeout must be from 0.1 to 3600 seconds")
        }
    }

    /// What gives another process the same.
    var arguments: [String] {
        get throws {
            var arguments: [String] = []
            if let catalogue {
                // A file is looked for where this process is.
                let isDistributed = catalogue.hasPrefix("dht:")
                arguments += [
                    "--catalogue", isDistributed ? catalogue : URL(filePath: catalogue).path,
                ]
            }
            if dhtPort != 0 { arguments += ["--dht-port", "\(dhtPort)"] }
            if let dhtProgram { arguments += ["--dht-program", URL(filePath: dhtProgram).path] }
            if timeoutSeconds != Self.timeoutDefault {
                arguments += ["--catalogue-timeout", "\(timeoutSeconds)"]
            }
            return arguments
        }
    }

    func open(_ state: StateLayout) async throws -> Catalogue {
        var options = Catalogue.Options()
        options.dhtPort = dhtPort
        options.dhtProgram = dhtProgram
        options.timeout = .milliseconds(Int64(timeoutSeconds * 1000))
        return try await Catalogue.open(catalogue, state: state, options: options)
    }

    /// Opens it, and closes it when the work is done.
    func with<T>(
        _ state: StateOption, _ work: (Catalogue) async throws -> T
    ) async throws -> T {
        let catalogue = try await open(state.absolute.layout)
        do {
            let result = try await work(catalogue)
            await catalogue.close()
            return result
        } catch {
            await catalogue.close()
            throw error
        }
    }
}

/// Which appliance, or which version of it.
struct ReferenceArgument: ParsableArguments {
    @Argument(
        help: "NAME@KEY[/VERSION], with or without appliance://.",
        transform: ApplianceReference.init(parsing:))
    var appliance: ApplianceReference
}

/// The publisher's key; the verbs that need it by a name alone take it.
struct KeyOption: ParsableArguments {
    @Option(
        name: .customLong("key"),
        help: ArgumentHelp(
            "The file of the publisher's key.",
            discussion: "Default: catalogue/keys/NAME.key of the state directory.",
            valueName: "file"))
    var path: String?

    func file(_ name: String, _ state: StateOption) throws -> String {
        try path ?? Catalogue.keyFile(name, state: state.absolute.layout)
    }

    /// The appliance that a name, or `NAME@KEY`, stands for.
    func appliance(_ text: String, _ state: StateOption) throws -> Appliance {
        if text.contains("@") { return try ApplianceReference(parsing: text).appliance }
        return try Appliance(
            name: text, key: SigningKey(file: file(text, state)).fingerprint)
    }
}

extension Array<String> {
    /// Tells people what programs do not need to know.
    func warn() {
        for warning in self {
            FileHandle.standardError.write(Data("rowctl: \(warning.printable)\n".utf8))
        }
    }
}

func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { String(format: "%02x", $0) }.joined()
}

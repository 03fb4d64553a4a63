import Foundation
import ROWTestKit
import Testing

/// Documents name only verbs and options that `rowctl` has.
@Suite struct DocumentsTests {
    /// `rowctl --experimental-dump-help`
    private struct Help: Decodable {
        let command: Command

        struct Command: Decodable {
            let commandName: String
            let arguments: [Argument]?
            let subcommands: [Command]?

            var all: [Command] { [self] + (subcommands ?? []).flatMap(\.all) }
            var options: [String] {
                (arguments ?? []).flatMap { $0.names ?? [] }.filter { $0.kind == "long" }
                    .map { "--\($0.name)" }
            }
        }

        struct Argument: Decodable {
            let names: [Name]?
        }

        struct Name: Decodable {
            let kind: String
            let name: String
        }
    }

    private static let documents = [
        "README.md", "ARCHITECTURE.md", "docs/CATALOGUE.md", "docs/MANIFEST.md",
        "docs/MONITORING.md", "docs/NETBOOT.md", "docs/SERVICE.md", "docs/TLS.md",
        "docs/UPGRADE.md",
    ]

    /// Of programs beside: swift, systemctl, mount, mmdebstrap, wget.
    private static let optionsOfOthers: Set<String> = [
        "--product", "--now", "--bind", "--include", "--no-ipv",
    ]

    private func help() async throws -> Help {
        let text = try await RowctlProcess.run(["--experimental-dump-help"])
        return try JSONDecoder().decode(Help.self, from: Data(text.utf8))
    }

    private func text(_ document: String) throws -> String {
        try String(
            contentsOf: ProjectPaths.root.appendingPathComponent(document), encoding: .utf8)
    }

    @Test(arguments: documents)
    func optionsThatAreNamedExist(document: String) async throws {
        let options = Set(try await help().command.all.flatMap(\.options))
        #expect(options.count > 50)
        let named = try text(document).matches(of: /(?:^|[^A-Za-z0-9-])(--[a-z][a-z-]+)/)
        for option in Set(named.map { String($0.output.1) }) {
            #expect(options.contains(option) || Self.optionsOfOthers.contains(option), "\(option)")
        }
    }

    @Test(arguments: documents)
    func verbsThatAreNamedExist(document: String) async throws {
        let verbs = Set(try await help().command.subcommands?.map(\.commandName) ?? [])
        #expect(verbs.count > 20)
        let named = try text(document).matches(of: /(?:`|\n    )rowctl ([a-z-]+)/)
        for verb in Set(named.map { String($0.output.1) }) {
            #expect(verbs.contains(verb) || verb == "help", "\(verb)")
        }
    }

    /// What the help of `rowctl config` lists is what is set.
    @Test func settingsOfTheServiceAreThoseOfServe() async throws {
        let all = try await help().command.all
        let serve = Set(all.first { $0.commandName == "serve" }?.options ?? [])
        let guide = try await RowctlProcess.run(["help", "config"])
        let settings = guide.matches(of: /\n[ ][ ]([a-z-]+):[ ]/).map { String($0.output.1) }
        #expect(settings.count > 15)
        for name in settings where name != "source" {
            #expect(serve.contains("--\(name)"), "\(name)")
        }
    }
}

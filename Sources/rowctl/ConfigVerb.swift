import ArgumentParser
import Console
import Foundation
import ROWSettings

/// A file of settings; `serve` takes it.
struct SettingsOptions: ParsableArguments {
    @Option(
        name: .customLong("config"),
        help: ArgumentHelp("Serve what a file of settings says.", valueName: "file"))
    var file: String?

    @OptionGroup var set: SetOption

    func settings(of file: String) throws -> Settings {
        try Settings(set.source(of: file))
    }
}

/// Settings of the command line.
struct SetOption: ParsableArguments {
    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Set something instead of the file; may be given more than once.",
            discussion: "Such as images.golden.cache-size=20G.", valueName: "key=value"))
    var values: [String] = []

    func source(of file: String) throws -> SettingsSource {
        try SettingsSource.checkRights(of: file)
        return try SettingsSource(
            file: file, options: values, variables: ProcessInfo.processInfo.environment)
    }
}

struct ConfigVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Look at the settings that 'serve --config' takes.",
        discussion: """
            A file in YAML names images, each with its sessions. What is set by --set comes before \
            variables of the environment, those before the file. The variable of \
            images.golden.cache-size is ROWFS_IMAGES_GOLDEN_CACHE_SIZE; lists have commas.

            \(Setting.guide)
            """,
        subcommands: [Check.self, Show.self])

    /// Where settings come from.
    struct Place: ParsableArguments {
        @Argument(help: "The file.")
        var file = "/etc/rowfs/rowfs.yaml"

        @OptionGroup var set: SetOption

        var source: SettingsSource { get throws { try set.source(of: file) } }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Find what is wrong with the settings.")

        @OptionGroup var place: Place

        func run() throws {
            let settings = try Settings(place.source)
            let images = Set(settings.sessions.map(\.image)).count
            print("\(place.file): good; images: \(images), sessions: \(settings.sessions.count)")
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print every setting, and who says so.")

        @OptionGroup var place: Place

        @Flag(help: "As JSON.")
        var json = false

        private struct Line: Encodable {
            let key: String
            /// Nil where nothing is said.
            let values: [String]?
            let from: String
        }

        func run() throws {
            let source = try place.source
            _ = try Settings(source)
            if json {
                let lines = source.all.map {
                    Line(key: "\($0.key)", values: $0.texts, from: $0.place)
                }
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                return print(String(decoding: try encoder.encode(lines), as: UTF8.self))
            }
            var table = Table([("SETTING", .left), ("VALUE", .left), ("FROM", .left)])
            for one in source.all {
                let text = one.texts?.joined(separator: ", ") ?? one.setting.standard
                table.add(["\(one.key)", text, one.place])
            }
            print(table.text)
        }
    }
}

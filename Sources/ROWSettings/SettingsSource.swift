import Configuration
import Synchronization

/// Where values come from: options before variables before the file before what holds otherwise.
public struct SettingsSource: Sendable {
    /// What holds for a setting, and who says so.
    public struct Effective: Sendable {
        public let key: SettingKey
        public let setting: Setting
        /// Nil: nobody says anything.
        public let texts: [String]?
        /// `FILE:LINE`, the name of a variable, an option; "default" where nobody says anything.
        public let place: String
    }

    /// What is wrong with names and form, so far.
    let problems: [SettingsError.Problem]
    /// The images and their sessions, by name, in the order of the file.
    let images: [(name: String, sessions: [String])]
    /// Of everything that can be set, in the order of the file.
    private let keys: [(key: SettingKey, setting: Setting)]
    private let file: SettingsFile
    private let reader: ConfigReader
    private let origin: Origin

    /// The order in which they are asked.
    private enum Provider: Int {
        case options, variables, file
    }

    private static let variablePrefix = "rowfs"
    /// Of the variables that name an image.
    private static let imageVariables = "ROWFS_IMAGES_"

    /// - Parameter options: `KEY=VALUE`, those behind before those in front.
    /// - Parameter variables: of the environment; only those that begin with `ROWFS_` count.
    /// - Throws: ``SettingsError`` when the file cannot be read.
    public init(
        file path: String, options: [String] = [], variables: [String: String] = [:]
    ) throws {
        self.init(try .read(path), options: options, variables: variables)
    }

    init(_ file: SettingsFile, options: [String], variables: [String: String]) {
        self.file = file
        images = file.images.map { ($0.name, $0.sessions.map(\.name)) }
        keys = Self.keys(of: images)
        let settings = Dictionary(keys.map { ($0.key, $0.setting) }) { first, _ in first }
        let names = Dictionary(keys.map { ("\($0.key)", $0.key) }) { first, _ in first }
        var problems = file.problems
        let environment = EnvironmentVariablesProvider(environmentVariables: variables)
            .prefixKeys(with: ConfigKey([Self.variablePrefix]))
        problems += Self.unknown(variables, keys.map(\.key), environment)
        let given = Self.parse(options, names, settings, &problems)
        self.problems = problems
        origin = Origin()
        let written = file.values.map { key, value in
            (AbsoluteConfigKey(key.components), Self.value(value.texts, of: settings[key]))
        }
        reader = ConfigReader(
            providers: [
                InMemoryProvider(name: "options", values: given), environment,
                InMemoryProvider(
                    name: "file", values: Dictionary(uniqueKeysWithValues: written)),
            ], accessReporter: origin)
    }

    private static func keys(
        of images: [(name: String, sessions: [String])]
    ) -> [(key: SettingKey, setting: Setting)] {
        var keys = Setting.all(of: .process).map { (key: SettingKey([$0.name]), setting: $0) }
        for (image, sessions) in images {
            keys += Setting.all(of: .image).map { (.image(image, $0.name), $0) }
            for session in sessions {
                keys += Setting.all(of: .session).map {
                    (.session(session, of: image, $0.name), $0)
                }
            }
        }
        return keys
    }

    private static func value(_ texts: [String], of setting: Setting?) -> ConfigValue {
        let isList = setting?.isList ?? false
        let content: ConfigContent = isList ? .stringArray(texts) : .string(texts.first ?? "")
        return ConfigValue(content, isSecret: false)
    }

    private static func parse(
        _ options: [String], _ keys: [String: SettingKey], _ settings: [SettingKey: Setting],
        _ problems: inout [SettingsError.Problem]
    ) -> [AbsoluteConfigKey: ConfigValue] {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for option in options {
            guard let sign = option.firstIndex(of: "=") else {
                problems.append(
                    SettingsError.Problem(
                        place: "--set \(option)", message: "KEY=VALUE is expected"))
                continue
            }
            let name = String(option[..<sign])
            let text = String(option[option.index(after: sign)...])
            // By its text: names of sessions may have dots.
            guard let key = keys[name], let setting = settings[key] else {
                let hint = Suggestion.text(for: name, among: Array(keys.keys))
                problems.append(
                    SettingsError.Problem(
                        place: "--set \(option)", message: "there is no setting '\(name)': \(hint)")
                )
                continue
            }
            let texts = setting.isList ? text.split(separator: ",").map(String.init) : [text]
            values[AbsoluteConfigKey(key.components)] = value(texts, of: setting)
        }
        return values
    }

    /// Variables that look as if they set something.
    private static func unknown(
        _ variables: [String: String], _ keys: [SettingKey], _ environment: some ConfigProvider
    ) -> [SettingsError.Problem] {
        let names = keys.compactMap { key in
            try? environment.value(forKey: AbsoluteConfigKey(key.components), type: .string)
                .encodedKey
        }
        let counts = Dictionary(names.map { ($0, 1) }, uniquingKeysWith: +)
        return variables.keys.sorted().filter { $0.hasPrefix(imageVariables) }.compactMap { name in
            let message: String
            switch counts[name] {
            case 1: return nil
            case nil:
                message =
                    "no such variable is looked at: " + Suggestion.text(for: name, among: names)
            default:
                message =
                    "it would set more than one thing, whose names differ in dots and dashes alone: "
                    + "use --set"
            }
            return SettingsError.Problem(place: name, message: message)
        }
    }

    // MARK: Values

    /// What holds for everything that can be set, in the order of the file.
    public var all: [Effective] { keys.map { effective($0.key, $0.setting) } }

    func effective(_ key: SettingKey, _ setting: Setting) -> Effective {
        let name = ConfigKey(key.components)
        let (texts, found) = origin.following {
            setting.isList
                ? reader.stringArray(forKey: name) : reader.string(forKey: name).map { [$0] }
        }
        guard let texts else {
            return Effective(key: key, setting: setting, texts: nil, place: "default")
        }
        let place =
            switch found.flatMap({ Provider(rawValue: $0.index) }) {
            case .options: "--set"
            case .variables: found?.name ?? ""
            case .file, nil: file.values[key].map { "\(file.path):\($0.line)" } ?? file.path
            }
        return Effective(key: key, setting: setting, texts: texts, place: place)
    }

    /// Where the file has a section.
    func place(of path: [String]) -> String {
        let image = file.images.first { path.count > 1 && $0.name == path[1] }
        let session = image?.sessions.first { path.count > 3 && $0.name == path[3] }
        return (session?.line ?? image?.line).map { "\(file.path):\($0)" } ?? file.path
    }

    /// Notices which provider answered.
    private final class Origin: AccessReporter {
        private let last = Mutex<(index: Int, name: String)?>(nil)

        func report(_ event: AccessEvent) {
            let found = event.providerResults.enumerated().first { _, result in
                (try? result.result.get().value) != nil
            }
            let name = found.flatMap { try? $0.element.result.get().encodedKey }
            last.withLock { $0 = found.map { ($0.offset, name ?? "") } }
        }

        func following<T>(_ read: () -> T) -> (T, (index: Int, name: String)?) {
            let value = read()
            return (value, last.withLock(\.self))
        }
    }
}

/// Makes values of what was said, and gathers what is wrong with that.
struct ValueReader {
    /// The section that is being read.
    var path: [String] = []
    private(set) var problems: [SettingsError.Problem]
    private let source: SettingsSource
    private let said: [SettingKey: SettingsSource.Effective]

    init(_ source: SettingsSource) {
        self.source = source
        problems = source.problems
        said = Dictionary(source.all.map { ($0.key, $0) }) { first, _ in first }
    }

    private subscript(name: String) -> SettingsSource.Effective? {
        said[SettingKey(path + [name])]
    }

    func list(_ name: String) -> [String] { self[name]?.texts ?? [] }

    func text(_ name: String) -> String? { list(name).first }

    /// - Returns: nil when nothing was said, or nothing that can be meant.
    mutating func value<Value: SettingValue>(_ name: String) -> Value? {
        let values: [Value] = values(name)
        return values.first
    }

    mutating func values<Value: SettingValue>(_ name: String) -> [Value] {
        var values: [Value] = []
        for text in list(name) {
            if let value = Value(text: text) {
                values.append(value)
            } else {
                refuse(name, text, Value.expected)
            }
        }
        return values
    }

    // MARK: What is wrong

    mutating func refuse(_ name: String, _ text: String, _ expected: String) {
        problems.append(
            SettingsError.Problem(
                place: self[name]?.place ?? "",
                message: "'\(SettingKey(path + [name]))' is '\(text)', and must be \(expected)"))
    }

    /// About what was said of a setting.
    mutating func complain(_ name: String, _ message: String) {
        problems.append(
            SettingsError.Problem(
                place: self[name]?.place ?? "",
                message: "'\(SettingKey(path + [name]))': \(message)"))
    }

    /// About the section.
    mutating func complain(_ message: String) {
        problems.append(
            SettingsError.Problem(
                place: source.place(of: path), message: "\(SettingKey(path)): \(message)"))
    }
}

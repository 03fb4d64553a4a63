import Foundation
import Yams

/// What a file of settings says, checked as to its form; what values mean is not.
struct SettingsFile {
    struct Value {
        /// As written.
        let texts: [String]
        let line: Int
    }

    /// For messages.
    let path: String
    private(set) var values: [SettingKey: Value] = [:]
    /// In the order of the file.
    private(set) var images: [(name: String, line: Int, sessions: [(name: String, line: Int)])] = []
    private(set) var problems: [SettingsError.Problem] = []

    /// More is no file of settings.
    private static let sizeMaximum = 1 << 20

    /// - Throws: ``SettingsError`` when it cannot be read at all.
    static func read(_ path: String) throws -> SettingsFile {
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch let error as CocoaError {
            let reason =
                switch error.code {
                case .fileReadNoSuchFile, .fileNoSuchFile: "there is no such file"
                case .fileReadNoPermission: "it may not be read"
                default: "it cannot be read: \(error.localizedDescription)"
                }
            throw failure(path, reason)
        }
        guard data.count <= sizeMaximum else { throw failure(path, "it is larger than 1 MiB") }
        guard let text = String(data: data, encoding: .utf8) else {
            throw failure(path, "it is not UTF-8")
        }
        return SettingsFile(path: path, text: text)
    }

    private static func failure(_ path: String, _ message: String) -> SettingsError {
        SettingsError(problems: [SettingsError.Problem(place: path, message: message)])
    }

    init(path: String, text: String) {
        self.path = path
        do {
            guard let root = try Yams.compose(yaml: text) else { return }
            readRoot(root)
        } catch let error as YamlError {
            problems.append(problem(of: error))
        } catch {
            problems.append(SettingsError.Problem(place: path, message: "\(error)"))
        }
    }

    private func problem(of error: YamlError) -> SettingsError.Problem {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            SettingsError.Problem(
                place: "\(path):\(mark.line)", message: "not YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            SettingsError.Problem(
                place: "\(path):\(context.mark.line)",
                message: "\(keys.joined(separator: ", ")) is set more than once in this section")
        default: SettingsError.Problem(place: path, message: "not YAML: \(error)")
        }
    }

    // MARK: The tree

    private mutating func complain(_ node: Node, _ message: String) {
        problems.append(
            SettingsError.Problem(place: "\(path):\(node.mark?.line ?? 1)", message: message))
    }

    private mutating func readRoot(_ root: Node) {
        // A file with nothing but comments.
        if root.null != nil { return }
        read(root, [], Setting.all(of: .process), section: SettingKey.images) { file, node in
            file.readNamed(node, "image", mayHaveDots: false) { file, name, key, node in
                file.images.append((name, key.mark?.line ?? 1, []))
                file.readImage(node, name)
            }
        }
    }

    private mutating func readImage(_ node: Node, _ image: String) {
        let path = [SettingKey.images, image]
        read(node, path, Setting.all(of: .image), section: SettingKey.sessions) { file, node in
            file.readNamed(node, "session", mayHaveDots: true) { file, name, key, node in
                file.images[file.images.count - 1].sessions.append((name, key.mark?.line ?? 1))
                // A session with nothing of its own.
                if node.null != nil { return }
                file.read(
                    node, path + [SettingKey.sessions, name], Setting.all(of: .session),
                    section: nil
                ) { _, _ in }
            }
        }
    }

    /// Reads a section that has settings, and perhaps one that has others.
    private mutating func read(
        _ node: Node, _ path: [String], _ settings: [Setting], section: String?,
        _ readSection: (inout SettingsFile, Node) -> Void
    ) {
        guard let mapping = node.mapping else {
            return complain(node, "settings are expected here, NAME: VALUE")
        }
        for (key, value) in mapping {
            guard let name = key.string else {
                complain(key, "the name of a setting is expected here")
                continue
            }
            if name == section {
                readSection(&self, value)
            } else if let setting = settings.first(where: { $0.name == name }) {
                read(value, setting, SettingKey(path + [name]))
            } else {
                let names = settings.map(\.name) + [section].compactMap(\.self)
                complain(
                    key,
                    "there is no setting '\(SettingKey(path + [name]))': "
                        + Suggestion.text(for: name, among: names))
            }
        }
    }

    private mutating func readNamed(
        _ node: Node, _ what: String, mayHaveDots: Bool,
        _ body: (inout SettingsFile, String, _ key: Node, Node) -> Void
    ) {
        guard let mapping = node.mapping else {
            return complain(node, "names are expected here, each with its \(what)'s settings")
        }
        for (key, value) in mapping {
            guard let name = key.scalar?.string, !name.isEmpty,
                mayHaveDots || !name.contains(".")
            else {
                complain(
                    key,
                    "the name of a \(what) is expected here" + (mayHaveDots ? "" : ", without dots")
                )
                continue
            }
            body(&self, name, key, value)
        }
    }

    private mutating func read(_ node: Node, _ setting: Setting, _ key: SettingKey) {
        let line = node.mark?.line ?? 1
        if let text = node.scalar?.string {
            guard node.null == nil else {
                return complain(node, "'\(key)' has no value: give one, or leave the line out")
            }
            values[key] = Value(texts: [text], line: line)
        } else if let sequence = node.sequence, setting.isList {
            var texts: [String] = []
            for item in sequence {
                guard let text = item.scalar?.string else {
                    complain(item, "'\(key)' is a list of plain values")
                    continue
                }
                texts.append(text)
            }
            values[key] = Value(texts: texts, line: line)
        } else {
            complain(
                node, "'\(key)' is \(setting.isList ? "a list of plain values" : "one plain value")"
            )
        }
    }
}

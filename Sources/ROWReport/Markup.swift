/// XML that is being written; what comes from outside is escaped on its way in.
package struct Markup {
    package typealias Attributes = KeyValuePairs<String, String>

    package private(set) var text = ""

    package init() {}

    /// An element without children.
    package mutating func add(
        _ name: String, _ attributes: Attributes = [:], _ content: String? = nil
    ) {
        text += "<\(name)\(Self.text(of: attributes))"
        text += content.map { ">\(Self.escaped($0))</\(name)>" } ?? "/>"
    }

    /// An element with children, which `body` adds.
    package mutating func add(
        _ name: String, _ attributes: Attributes = [:], _ body: (inout Markup) -> Void
    ) {
        text += "<\(name)\(Self.text(of: attributes))>"
        body(&self)
        text += "</\(name)>"
    }

    /// Markup of our own making.
    package mutating func add(_ markup: Markup) { text += markup.text }

    private static func text(of attributes: Attributes) -> String {
        attributes.map { " \($0.key)=\"\(escaped($0.value))\"" }.joined()
    }

    /// Characters that mean something to XML as entities, those that it cannot have as U+FFFD.
    package static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            case "\t", "\n", "\r": result += " "
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{FFFE}", "\u{FFFF}":
                result += "\u{FFFD}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

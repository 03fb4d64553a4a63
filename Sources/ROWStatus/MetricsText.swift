/// The text format of Prometheus, version 0.0.4, while it is being written.
struct MetricsText {
    typealias Labels = KeyValuePairs<String, String>

    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    private(set) var text = ""

    /// A metric with its samples, which `body` adds; it is named even when there are none.
    mutating func family(
        _ name: String, _ kind: Kind, _ help: String, _ body: (inout Family) -> Void
    ) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
        var family = Family(name: name)
        body(&family)
        text += family.text
    }

    struct Family {
        fileprivate let name: String
        fileprivate(set) var text = ""

        mutating func add(_ labels: Labels, _ value: some Numeric) {
            add("", labels.map { ($0.key, $0.value) }, "\(value)")
        }

        mutating func add(_ labels: Labels, _ value: Bool) { add(labels, value ? 1 : 0) }

        mutating func add(_ value: some Numeric) { add([:], value) }

        /// One of the series of a histogram.
        /// - Parameter counts: of what did not exceed each bound, which are in order.
        mutating func add(
            _ labels: Labels, counts: [(bound: Double, count: Int)], sum: Double, count: Int
        ) {
            let labels = labels.map { ($0.key, $0.value) }
            for (bound, count) in counts {
                add("_bucket", labels + [("le", "\(bound)")], "\(count)")
            }
            add("_bucket", labels + [("le", "+Inf")], "\(count)")
            add("_sum", labels, "\(sum)")
            add("_count", labels, "\(count)")
        }

        private mutating func add(
            _ suffix: String, _ labels: [(name: String, value: String)], _ value: String
        ) {
            text += name + suffix
            if !labels.isEmpty {
                let pairs = labels.map { "\($0.name)=\"\(MetricsText.escaped($0.value))\"" }
                text += "{\(pairs.joined(separator: ","))}"
            }
            text += " \(value)\n"
        }
    }

    /// What a label's value may not have as it is.
    private static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

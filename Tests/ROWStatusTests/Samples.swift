/// What a text in the format of Prometheus says.
struct Samples {
    /// By name, all that are declared.
    private(set) var kinds: [String: String] = [:]
    /// By name and labels, as they are written.
    private(set) var values: [String: Double] = [:]
    /// Names and labels that are there more than once, which Prometheus refuses.
    private(set) var repeated: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                kinds[String(words[2])] = String(words[3])
            } else if !line.hasPrefix("#"), let space = line.lastIndex(of: " ") {
                let name = String(line[..<space])
                if values[name] != nil { repeated.append(name) }
                values[name] = Double(line[line.index(after: space)...])
            }
        }
    }

    /// Those of a metric and, for a histogram, what it is made of.
    var names: Set<String> {
        Set(
            kinds.flatMap { name, kind in
                kind == "histogram"
                    ? [name, name + "_bucket", name + "_sum", name + "_count"] : [name]
            })
    }

    subscript(name: String) -> Double? { values[name] }
}

/// Everything that is wrong with the settings.
public struct SettingsError: Error, Sendable, CustomStringConvertible {
    /// One thing that is wrong: where, what, and what to do about it.
    public struct Problem: Hashable, Sendable, CustomStringConvertible {
        /// `FILE:LINE`, the name of a variable, or an option.
        public let place: String
        public let message: String

        public var description: String { "\(place): \(message)" }
    }

    /// In the order of the file.
    public let problems: [Problem]

    public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// What was likely meant by a word that is none of those that there are.
enum Suggestion {
    static func text(for word: String, among words: [String]) -> String {
        let near = words.map { (word: $0, distance: distance(word, $0)) }
            .filter { $0.distance <= max(2, word.count / 3) }
            .min { $0.distance < $1.distance }
        if let near { return "did you mean '\(near.word)'?" }
        return "there are: \(words.sorted().joined(separator: ", "))"
    }

    /// Letters to put in, take out or change (Levenshtein).
    private static func distance(_ one: String, _ other: String) -> Int {
        let (one, other) = (Array(one.lowercased()), Array(other.lowercased()))
        var row = Array(0...other.count)
        for (index, letter) in one.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for (column, second) in other.enumerated() {
                let change = diagonal + (letter == second ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(change, row[column] + 1, diagonal + 1)
            }
        }
        return row[other.count]
    }
}

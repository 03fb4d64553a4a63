import Foundation

/// What directories have.
enum FileNames {
    /// The paths of a directory's entries, sorted; none where it cannot be read.
    static func below(_ path: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.sorted().map { "\(path)/\($0)" }
    }
}

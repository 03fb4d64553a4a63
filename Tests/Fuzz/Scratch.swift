import Foundation

/// A directory for what is tried. Not removed, because libFuzzer ends the process: whoever runs it removes all.
struct Scratch {
    private let directory: URL

    init(_ name: String) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "fuzz-\(name)-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    func path(_ name: String) -> String { directory.appending(path: name).path() }

    func write(_ bytes: [UInt8], to name: String) throws {
        let url = directory.appending(path: name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(bytes).write(to: url)
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }
}

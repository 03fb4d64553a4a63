public import Foundation

/// A new directory that is removed with everything below it when the last reference goes.
public final class TemporaryDirectory: Sendable {
    public let url: URL
    public var path: String { url.path }

    /// - Parameter name: begins the directory's name, to tell leftovers of a killed run apart.
    public init(_ name: String = "rowfs-test") throws {
        url = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(name).\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    /// The path of an entry; nothing is made.
    public func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    /// Makes a directory inside and gives its path.
    public func directory(_ name: String) throws -> String {
        let path = path(name)
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    /// Makes a file inside and gives its path.
    public func file(_ name: String, _ text: String) throws -> String {
        let path = path(name)
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }
}

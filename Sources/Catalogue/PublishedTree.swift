import Foundation
import Glibc

/// The directory that a published image is in.
enum PublishedTree {
    /// Refuses what cannot be meant to be removed some day.
    /// - Returns: its path without symbolic links.
    static func path(_ text: String) throws(CatalogueError) -> String {
        guard let pointer = realpath(text, nil) else {
            throw CatalogueError(
                .invalid, "there is no tree '\(text)': \(String(cString: strerror(errno)))")
        }
        defer { free(pointer) }
        let path = String(cString: pointer)
        if let why = obstacle(path) {
            throw CatalogueError(.invalid, "the tree '\(text)' could never be removed: \(why)")
        }
        return path
    }

    /// Removes it with all that is in it. One that is not there any more is no error.
    /// - Throws: ``CatalogueError/Code/state``.
    static func remove(_ path: String) throws(CatalogueError) {
        guard FileManager.default.fileExists(atPath: path) else { return }
        if let why = obstacle(path) {
            throw CatalogueError(.state, "the tree \(path) is not removed: \(why)")
        }
        do { try FileManager.default.removeItem(atPath: path) } catch {
            throw CatalogueError(.state, "the tree \(path) cannot be removed: \(error)")
        }
    }

    private static func obstacle(_ path: String) -> String? {
        var own = stat()
        var above = stat()
        guard lstat(path, &own) == 0, own.st_mode & S_IFMT == S_IFDIR else {
            return "it is no directory"
        }
        guard lstat("\(path)/..", &above) == 0, own.st_dev == above.st_dev,
            own.st_ino != above.st_ino
        else { return "a file system is mounted on it" }
        return nil
    }
}

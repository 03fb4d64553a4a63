import Foundation
public import ROWCore
public import SystemPackage

/// Where images and sessions are kept on this machine.
public struct StateDirectory: Sendable {
    public let layout: StateLayout

    public init(_ path: FilePath) { layout = StateLayout(path) }

    public var path: FilePath { layout.path }

    /// `/var/lib/rowfs` for root; for others `$XDG_STATE_HOME/rowfs`, or `~/.local/state/rowfs`.
    public static var standard: StateDirectory {
        if geteuid() == 0 { return StateDirectory("/var/lib/rowfs") }
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_STATE_HOME"]
            ?? "\(environment["HOME"] ?? NSTemporaryDirectory())/.local/state"
        return StateDirectory(FilePath(base).appending("rowfs"))
    }

    /// - Parameter source: the image's canonical name.
    public func image(_ source: String) -> FilePath { layout.image(source) }

    public func session(_ name: String) -> FilePath { layout.session(name) }

    /// The directory of a session that exists.
    /// - Throws: `StateError` when there is no such session.
    public func existingSession(_ name: String) throws(StateError) -> FilePath {
        try StateLayout.check(sessionName: name)
        try layout.checkRights()
        let directory = session(name)
        guard FileManager.default.fileExists(atPath: directory.appending("session.sqlite").string)
        else {
            throw StateError(
                .notFound,
                "there is no session '\(name)' in \(path); `rowctl ls` lists those that exist")
        }
        return directory
    }

    /// Names of the sessions that exist, sorted.
    public func sessionNames() -> [String] { layout.sessionNames() }
}

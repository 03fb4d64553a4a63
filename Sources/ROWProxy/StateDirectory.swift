import Foundation
public import ROWCore
public import SystemPackage

/// Where images and sessions are kept on this machine.
public struct StateDirectory: Sendable {
    public let path: FilePath

    public init(_ path: FilePath) { self.path = path }

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
    public func image(_ source: String) -> FilePath {
        // A readable name for people, a checksum of all of it for uniqueness.
        let readable = source.map { $0.isLetter && $0.isASCII || $0.isNumber ? $0 : "-" }
        let sum = source.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        let name = String(readable.suffix(80)) + "-" + String(sum, radix: 16)
        return path.appending("images").appending(name)
    }

    public func session(_ name: String) -> FilePath {
        path.appending("sessions").appending(name)
    }

    /// The directory of a session that exists.
    /// - Throws: `StateError` when there is no such session.
    public func existingSession(_ name: String) throws(StateError) -> FilePath {
        try Self.checkSessionName(name)
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
    public func sessionNames() -> [String] {
        let directory = path.appending("sessions").string
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter {
            FileManager.default.fileExists(atPath: "\(directory)/\($0)/session.sqlite")
        }.sorted()
    }

    /// A session's name is a directory's and a mount path's: letters, digits, `.`, `_` and `-`, not
    /// starting with a dot or a hyphen, 64 bytes at most.
    public static func checkSessionName(_ name: String) throws(StateError) {
        let isAllowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isAllowed, !name.isEmpty, name.utf8.count <= 64, !name.hasPrefix("."),
            !name.hasPrefix("-")
        else {
            throw StateError(
                .invalidName,
                "'\(name)' cannot be a session's name: use 1 to 64 letters, digits, '.', "
                    + "'_' and '-', not starting with '.' or '-'"
            )
        }
    }
}

import Foundation
public import SystemPackage

/// Where images and sessions are kept below one directory: the same places that `rowctl` uses, so that
/// either can go on with what the other made.
public struct StateLayout: Sendable, Hashable {
    public let path: FilePath

    public init(_ path: FilePath) { self.path = path }

    /// The directory of an image.
    /// - Parameter source: the image's name, see ``ImageSource/name``.
    public func image(_ source: String) -> FilePath {
        // A readable name for people, a checksum of all of it for uniqueness.
        let readable = source.map { $0.isLetter && $0.isASCII || $0.isNumber ? $0 : "-" }
        let sum = source.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01b3
        }
        let name = String(readable.suffix(80)) + "-" + String(sum, radix: 16)
        return path.appending("images").appending(name)
    }

    /// The directory of a session.
    /// - Parameter name: one that ``check(sessionName:)`` accepts.
    public func session(_ name: String) -> FilePath {
        path.appending("sessions").appending(name)
    }

    /// The directories of the images that were used here.
    public func imageDirectories() -> [FilePath] {
        let images = path.appending("images")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: images.string)) ?? []
        return names.sorted().map { images.appending($0) }
    }

    /// Names of the sessions that exist, sorted.
    public func sessionNames() -> [String] {
        let files = FileManager.default
        let directory = path.appending("sessions").string
        let names = (try? files.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter {
            files.fileExists(atPath: "\(directory)/\($0)/session.sqlite")
                && (try? Self.check(sessionName: $0)) != nil
        }.sorted()
    }

    /// Refuses what cannot be a session's name, as that is a directory's too: 1...64 letters, digits,
    /// `.`, `_` and `-`, not starting with a dot or a hyphen.
    public static func check(sessionName name: String) throws(StateError) {
        let isAllowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isAllowed, (1...64).contains(name.utf8.count), !name.hasPrefix("."),
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

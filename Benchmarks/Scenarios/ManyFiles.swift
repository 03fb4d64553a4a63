import Foundation
import Glibc

/// Directories with many files.
enum ManyFiles {
    static let fileBytes = 4096

    /// Makes files of zeros, which take no space: `entry.0`, `entry.1`...
    /// - Parameter directory: a new one.
    static func make(_ count: Int, in directory: String) throws {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        let place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard place >= 0 else { throw failure() }
        defer { close(place) }
        for number in 0..<count {
            let file = openat(
                place, "\(name).\(number)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            guard file >= 0 else { throw failure() }
            let result = ftruncate(file, fileBytes)
            close(file)
            guard result == 0 else { throw failure() }
        }
    }

    static let name = "entry"

    /// A load on all of them.
    static func load(_ operation: Load.Operation, _ count: Int, isRandom: Bool = false) -> Load {
        Load(
            operation: operation, sizeBytes: fileBytes, inFlight: 32, file: name,
            isRandom: isRandom, client: .raw, files: count)
    }

    /// A load that walks the directory of the export that has them.
    static func listing(of directory: String, _ count: Int) -> Load {
        // With . and ..
        Load(
            operation: .readdirplus, sizeBytes: 32 << 10, inFlight: 1, file: directory,
            entries: count + 2, client: .raw)
    }

    /// So many calls are enough for a walk over so many entries.
    static func pages(_ count: Int) -> Int { count / 50 + 2 }

    private static func failure() -> POSIXError {
        POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
}

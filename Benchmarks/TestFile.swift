import Foundation
import Glibc

/// Files in which every word differs, so that data in a wrong place shows.
enum TestFile {
    private static let chunkBytes = 1 << 20

    private static let wordsInBlock = 4096 / 8

    /// - Parameter bytes: a multiple of 1 MiB.
    /// - Parameter other: the seed of every other block of 4 KiB, beginning with the first.
    static func make(
        _ path: String, bytes: Int, seed: UInt64, evenBlocks other: UInt64? = nil
    ) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure() }
        defer { close(file) }
        var words = [UInt64](repeating: 0, count: chunkBytes / 8)
        for start in stride(from: 0, to: bytes, by: chunkBytes) {
            for index in words.indices {
                let isEven = index / wordsInBlock % 2 == 0
                let own = isEven ? other ?? seed : seed
                words[index] = (UInt64(start / 8 + index) &+ own << 48) &* 0x9e37_79b9_7f4a_7c15
            }
            let written = words.withUnsafeBytes { pwrite(file, $0.baseAddress, $0.count, start) }
            guard written == chunkBytes else { throw failure() }
        }
    }

    /// A file without data.
    static func makeSparse(_ path: String, bytes: Int) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure() }
        defer { close(file) }
        guard ftruncate(file, bytes) == 0 else { throw failure() }
    }
}

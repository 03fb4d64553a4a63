import NIOCore
import ROWCore

/// Hashes of blocks, for any thread.
enum ChunkHash {
    /// - Parameter data: all bytes of the blocks.
    /// - Returns: the first block whose bytes are not those of its hash.
    static func firstWrong(
        _ blocks: Range<UInt64>, of layout: CacheLayout, in data: ByteBuffer,
        _ hashes: ManifestWorker.Hashes
    ) -> UInt64? {
        let start = layout.bytes(of: blocks).lowerBound
        return data.withUnsafeReadableBytes { bytes in
            blocks.first { block in
                let range = layout.bytes(of: block)
                let offset = Int(range.lowerBound - start)
                guard let hash = hashes.hash(of: block), offset + range.count <= bytes.count
                else { return true }
                let part = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + range.count])
                return !isRight(part, hash)
            }
        }
    }

    static func isRight(_ bytes: UnsafeRawBufferPointer, _ hash: ContentHash) -> Bool {
        ContentHash(of: bytes) == hash
    }
}

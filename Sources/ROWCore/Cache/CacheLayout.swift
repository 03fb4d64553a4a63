import CLinux
public import NFSProtocol

/// Where the blocks of one file of an image lie in its cache file, and what makes one of them valid.
///
/// A cache file is sparse: blocks lie at the offsets that they have in the image's file, a table with a
/// checksum for each follows, and then a guard that nothing ever writes to. A block is there when its
/// checksum matches: over the file's identity, the block's number and its bytes, so that no order of
/// writes, no crash and no change of the image can make a block of anything else. A file that is not as
/// long as the guard's end says has been cut short.
public struct CacheLayout: Sendable, Hashable {
    /// Bytes of a block; also what is fetched at once.
    public static let blockBytes: UInt64 = 64 << 10
    static let entryBytes: UInt64 = 4
    private static let guardBytes: UInt64 = 8

    public let id: NodeID
    /// Bytes of the image's file.
    public let size: UInt64
    let mtime: NFS3.Time

    /// - Parameter attributes: main's, of a regular file.
    /// - Returns: nil for a file that is too long for one of this machine to hold all of it.
    public init?(id: NodeID, attributes: NFS3.Attributes) {
        self.init(id: id, size: attributes.size, mtime: attributes.mtime)
    }

    init?(id: NodeID, size: UInt64, mtime: NFS3.Time) {
        guard size <= UInt64(Int64.max) / 2 else { return nil }
        self.id = id
        self.size = size
        self.mtime = mtime
    }

    public var blockCount: UInt64 { (size + Self.blockBytes - 1) / Self.blockBytes }

    /// Bytes of a whole cache file.
    public var fileBytes: UInt64 { tableOffset + blockCount * Self.entryBytes + Self.guardBytes }

    var tableOffset: UInt64 { (size + 7) & ~7 }

    func entryOffset(of block: UInt64) -> UInt64 { tableOffset + block * Self.entryBytes }

    /// The bytes of the file that a block holds; the last one ends with the file.
    public func bytes(of block: UInt64) -> Range<UInt64> {
        let start = block * Self.blockBytes
        return start..<min(start + Self.blockBytes, size)
    }

    public func bytes(of blocks: Range<UInt64>) -> Range<UInt64> {
        blocks.lowerBound * Self.blockBytes..<min(blocks.upperBound * Self.blockBytes, size)
    }

    /// The blocks that hold a range of bytes.
    /// - Parameter range: not empty, within the file.
    public func blocks(of range: Range<UInt64>) -> Range<UInt64> {
        range.lowerBound / Self.blockBytes..<(range.upperBound - 1) / Self.blockBytes + 1
    }

    /// What the table says of a block with these bytes; never 0, which says that it is not there.
    public func checksum(of block: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let words: InlineArray<5, UInt64> = [
            id.rawValue.littleEndian, size.littleEndian, UInt64(mtime.seconds).littleEndian,
            UInt64(mtime.nanoseconds).littleEndian, block.littleEndian,
        ]
        let seed = words.span.withUnsafeBytes { clinux_crc32c(0, $0.baseAddress, $0.count) }
        let sum = clinux_crc32c(seed, bytes.baseAddress, bytes.count)
        return sum == 0 ? 1 : sum
    }
}

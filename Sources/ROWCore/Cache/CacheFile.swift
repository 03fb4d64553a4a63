import Glibc
public import SystemPackage

/// The cache file of one file of an image. It knows which blocks it was given only by its table on disk;
/// what is known of that in memory is ``CachedBlocks``.
///
/// All calls but ``readNowait(into:at:)`` may block and may be made on any thread, for different blocks at
/// the same time. `@unchecked Sendable`: they use the descriptor alone; what else `SparseFile` keeps is
/// used by ``readNowait(into:at:)``, which is for the loop.
public final class CacheFile: @unchecked Sendable {
    /// What became of reading a block.
    public enum BlockRead: Sendable, Hashable {
        case bytes
        case absent
        /// Its bytes are not those that were written; it counts as absent from now on.
        case damaged
        /// The file has been cut short: nothing in it counts.
        case lost
    }

    public enum NowaitRead: Sendable, Hashable {
        case bytes
        case wouldBlock
        case lost
    }

    public let layout: CacheLayout
    /// Made by ``open(_:_:create:lost:)``: there was nothing in it.
    public let isNew: Bool
    private let file: SparseFile

    private init(layout: CacheLayout, file: SparseFile, isNew: Bool) {
        self.layout = layout
        self.file = file
        self.isNew = isNew
    }

    /// - Parameter create: makes the file when there is none; its directory exists.
    /// - Returns: nil when there is none. A file of another size than it must have is removed first:
    ///   `lost` hears of that.
    public static func open(
        _ path: FilePath, _ layout: CacheLayout, create: Bool, lost: () -> Void
    ) throws(Errno) -> CacheFile? {
        do {
            let file = try SparseFile(path: path, create: false)
            if try file.size == layout.fileBytes {
                return CacheFile(layout: layout, file: file, isNew: false)
            }
            lost()
            Storage.remove(path)
        } catch .noSuchFileOrDirectory {}
        guard create else { return nil }
        let file = try SparseFile(path: path, create: true)
        do {
            try file.truncate(to: layout.fileBytes)
        } catch {
            Storage.remove(path)
            throw error
        }
        return CacheFile(layout: layout, file: file, isNew: true)
    }

    /// Reads a block of a file that may be in another process's hands, and changes nothing.
    /// - Parameter memory: as long as the block.
    /// - Returns: whether the block is there, as it was written.
    static func peek(
        _ path: FilePath, _ layout: CacheLayout, _ block: UInt64,
        _ memory: UnsafeMutableRawBufferPointer
    ) -> Bool {
        do throws(Errno) {
            let file = CacheFile(
                layout: layout, file: try SparseFile(path: path, flags: O_RDONLY | O_CLOEXEC),
                isNew: false)
            guard try file.isWhole else { return false }
            let expected = try file.entries(from: block, count: 1)[0]
            try file.file.read(into: memory, at: layout.bytes(of: block).lowerBound)
            return expected != 0
                && layout.checksum(of: block, UnsafeRawBufferPointer(memory)) == expected
        } catch {
            return false
        }
    }

    /// Which of some blocks the table has an entry for.
    public struct TablePage: Sendable {
        /// The first of them divided by ``CachedBlocks/pageBlocks``.
        let index: UInt64
        /// One bit each.
        let words: [UInt64]
    }

    /// What the table says of a page of blocks, see ``CachedBlocks/page(of:)``.
    public func tablePage(_ page: UInt64) throws(Errno) -> TablePage {
        let first = page * CachedBlocks.pageBlocks
        let count = Int(min(layout.blockCount - first, CachedBlocks.pageBlocks))
        let table = try entries(from: first, count: count)
        var words = [UInt64](repeating: 0, count: BlockSet.wordsPerPage)
        for index in table.indices where table[index] != 0 {
            words[index >> 6] |= 1 << UInt64(index & 63)
        }
        return TablePage(index: page, words: words)
    }

    /// Reads bytes of blocks that were checked before, from the page cache.
    public func readNowait(
        into memory: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> NowaitRead {
        if try file.readNowait(into: memory, at: offset) == .wouldBlock { return .wouldBlock }
        // A file that is whole after it was read was whole when it was: nothing makes it longer.
        return try isWhole ? .bytes : .lost
    }

    /// The same for several parts.
    public func readNowait(
        _ parts: ScatteredRead, gaps: ScatteredRead.Gaps
    ) throws(Errno) -> NowaitRead {
        if try parts.readNowait(file, gaps: gaps) == .wouldBlock { return .wouldBlock }
        return try isWhole ? .bytes : .lost
    }

    private var isWhole: Bool { get throws(Errno) { try file.size == layout.fileBytes } }

    /// Reads a block and checks it.
    /// - Parameter memory: as long as the block.
    public func read(
        _ block: UInt64, into memory: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> BlockRead {
        let expected = try entries(from: block, count: 1)[0]
        guard expected != 0 else { return try isWhole ? .absent : .lost }
        try file.read(into: memory, at: layout.bytes(of: block).lowerBound)
        if layout.checksum(of: block, UnsafeRawBufferPointer(memory)) == expected { return .bytes }
        guard try isWhole else { return .lost }
        try setEntries(from: block, to: [0])
        return .damaged
    }

    /// Writes blocks that follow one another.
    /// - Parameter bytes: all of theirs.
    /// - Returns: bytes of storage that the file takes up now; nil when the file was cut short, and
    ///   nothing in it counts.
    public func write(
        _ blocks: Range<UInt64>, _ bytes: UnsafeRawBufferPointer
    ) throws(Errno) -> UInt64? {
        let range = layout.bytes(of: blocks)
        precondition(!blocks.isEmpty && bytes.count == range.count)
        // Were a file that is cut short written to, what it lost would read as zeros.
        guard try isWhole else { return nil }
        try file.write(bytes, at: range.lowerBound)
        let entries = blocks.map { block in
            let place = layout.bytes(of: block)
            let start = Int(place.lowerBound - range.lowerBound)
            let part = UnsafeRawBufferPointer(rebasing: bytes[start..<start + place.count])
            return layout.checksum(of: block, part)
        }
        try setEntries(from: blocks.lowerBound, to: entries)
        return try isWhole ? file.allocatedBytes : nil
    }

    /// Gives up the storage of blocks.
    /// - Returns: bytes of storage that the file takes up now.
    public func drop(_ blocks: [UInt64]) throws(Errno) -> UInt64 {
        for block in blocks {
            try setEntries(from: block, to: [0])
            try file.punch(layout.bytes(of: block))
        }
        return try file.allocatedBytes
    }

    /// Gives up all storage of a file whose name is gone: were that left to whoever has the last
    /// reference, it would be the loop that waits.
    public func discard() { try? file.truncate(to: 0) }

    /// Bytes of storage that the file takes up.
    public var allocatedBytes: UInt64 { get throws(Errno) { try file.allocatedBytes } }

    private func entries(from block: UInt64, count: Int) throws(Errno) -> [UInt32] {
        var entries = [UInt32](repeating: 0, count: count)
        let failure = entries.withUnsafeMutableBytes { memory -> Errno? in
            do throws(Errno) {
                try file.read(into: memory, at: layout.entryOffset(of: block))
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        return entries.map { UInt32(littleEndian: $0) }
    }

    private func setEntries(from block: UInt64, to values: [UInt32]) throws(Errno) {
        let failure = values.map(\.littleEndian).withUnsafeBytes { bytes -> Errno? in
            do throws(Errno) {
                try file.write(bytes, at: layout.entryOffset(of: block))
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }
}

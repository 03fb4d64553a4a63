import CLinux
import Dispatch
import Glibc
import NFSProtocol
import Synchronization

/// Some blocks of a file that are to be hashed: those of a row of `chunks`.
struct HashJob: Sendable {
    /// Of the file below the root.
    let path: [UInt8]
    /// The file as the walk found it.
    let version: FileVersion
    let page: UInt64
}

/// The hashes of blocks, one after the other.
struct HashedPage: Sendable {
    var hashes: [UInt8] = []
    var bytesRead: UInt64 = 0
}

/// Reads and hashes files.
struct FileHasher: Sendable {
    let root: TreeRoot

    private static let blockBytes = Int(CacheLayout.blockBytes)
    /// Blocks that are read at once: 1 MiB.
    private static let readBlocks: UInt64 = 16
    private static let zeros = [UInt8](repeating: 0, count: blockBytes)
    private static let zeroHash = hash(ofZeros: blockBytes)

    /// - Throws: also when the file is not what the walk found, before or after it was read.
    func run(_ job: HashJob) throws(StateError) -> HashedPage {
        let fd = try root.open(job.path, UInt64(O_RDONLY | O_NONBLOCK))
        defer { close(fd) }
        let attributes = try root.attributes(fd, job.path)
        guard attributes.type == .regular, FileVersion(attributes) == job.version else {
            throw root.changed(job.path)
        }
        let file = OpenFile(
            fd: fd, job: job, isSparse: attributes.used < attributes.size)
        let page = try hash(file)
        guard FileVersion(try root.attributes(fd, job.path)) == job.version else {
            throw root.changed(job.path)
        }
        return page
    }

    private struct OpenFile {
        let fd: Int32
        let job: HashJob
        /// Whether it has less storage than bytes.
        let isSparse: Bool

        var size: UInt64 { job.version.size }
    }

    private func hash(_ file: OpenFile) throws(StateError) -> HashedPage {
        let blocks = ManifestSchema.blocks(of: file.job.page, size: file.size)
        let capacity = min(
            Int(Self.readBlocks) * Self.blockBytes, bytes(of: blocks, file.size).count)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 16)
        defer { buffer.deallocate() }
        var result = HashedPage()
        result.hashes.reserveCapacity(blocks.count * ContentHash.byteCount)
        var next = blocks.lowerBound
        while next < blocks.upperBound {
            let (zeros, end) = try extent(file, next..<blocks.upperBound)
            for block in next..<zeros {
                let count = bytes(of: block..<block + 1, file.size).count
                result.hashes +=
                    count == Self.blockBytes ? Self.zeroHash : Self.hash(ofZeros: count)
            }
            try read(file, zeros..<end, buffer, &result)
            next = end
        }
        return result
    }

    private func read(
        _ file: OpenFile, _ blocks: Range<UInt64>, _ buffer: UnsafeMutableRawBufferPointer,
        _ result: inout HashedPage
    ) throws(StateError) {
        let range = bytes(of: blocks, file.size)
        var filled = 0
        while filled < range.count {
            let count = clinux_pread(
                file.fd, buffer.baseAddress! + filled, range.count - filled,
                Int64(range.lowerBound) + Int64(filled))
            if count == -Int(EINTR) { continue }
            guard count >= 0 else { throw root.failure(Int32(count), file.job.path) }
            guard count > 0 else { throw root.changed(file.job.path) }
            filled += count
        }
        result.bytesRead += UInt64(filled)
        for start in stride(from: 0, to: filled, by: Self.blockBytes) {
            let block = buffer[start..<min(start + Self.blockBytes, filled)]
            result.hashes += ContentHash(of: UnsafeRawBufferPointer(rebasing: block)).bytes
        }
    }

    /// What comes next of some blocks: first those that are holes, up to the first number, then those that
    /// have data and are read at once, up to the second.
    private func extent(
        _ file: OpenFile, _ blocks: Range<UInt64>
    ) throws(StateError) -> (zeros: UInt64, end: UInt64) {
        func piece(_ start: UInt64) -> UInt64 { min(start + Self.readBlocks, blocks.upperBound) }
        guard file.isSparse else { return (blocks.lowerBound, piece(blocks.lowerBound)) }
        let start = Int64(blocks.lowerBound * CacheLayout.blockBytes)
        let data = clinux_seek_data(file.fd, start)
        if data == -Int64(ENXIO) { return (blocks.upperBound, blocks.upperBound) }
        guard data >= start else { throw root.failure(Int32(data), file.job.path) }
        let first = min(UInt64(data) / CacheLayout.blockBytes, blocks.upperBound)
        guard first < blocks.upperBound else { return (first, first) }
        let hole = clinux_seek_hole(file.fd, data)
        guard hole > data else { throw root.changed(file.job.path) }
        return (first, min(piece(first), (UInt64(hole) - 1) / CacheLayout.blockBytes + 1))
    }

    private func bytes(of blocks: Range<UInt64>, _ size: UInt64) -> Range<UInt64> {
        let start = blocks.lowerBound * CacheLayout.blockBytes
        return start..<max(start, min(blocks.upperBound * CacheLayout.blockBytes, size))
    }

    private static func hash(ofZeros count: Int) -> [UInt8] {
        zeros[..<count].withUnsafeBytes { ContentHash(of: $0).bytes }
    }
}

/// Jobs that are done by all processors at once, while their owner does something else.
final class HashBatch: Sendable {
    private let jobs: [HashJob]
    private let results: Mutex<[HashedPage?]>
    private let failure = Mutex<StateError?>(nil)
    private let running = DispatchGroup()

    /// Begins.
    init(_ jobs: [HashJob], by hasher: FileHasher) {
        self.jobs = jobs
        results = Mutex(Array(repeating: nil, count: jobs.count))
        guard !jobs.isEmpty else { return }
        DispatchQueue.global().async(group: running) { [self] in
            DispatchQueue.concurrentPerform(iterations: jobs.count) { run($0, hasher) }
        }
    }

    /// The hashes for each job.
    func wait() throws(StateError) -> [HashedPage] {
        running.wait()
        if let failure = failure.withLock({ $0 }) { throw failure }
        return results.withLock { $0.compactMap(\.self) }
    }

    private func run(_ index: Int, _ hasher: FileHasher) {
        guard failure.withLock({ $0 == nil }) else { return }
        do throws(StateError) {
            let page = try hasher.run(jobs[index])
            results.withLock { $0[index] = page }
        } catch {
            failure.withLock { $0 = error }
        }
    }
}

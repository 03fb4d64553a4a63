import CLinux
import Glibc
public import SystemPackage

/// A sparse file that holds some blocks of a larger one, at their own offsets. It knows nothing of
/// which: that is the map's.
///
/// Confined to one thread at a time. All calls but ``readNowait(into:at:)`` may block. Errors are those
/// of the system calls.
public final class SparseFile {
    /// What a read without waiting came to.
    public enum NowaitRead: Sendable, Hashable {
        /// The whole buffer is filled; its size in bytes.
        case bytes(Int)
        /// Some of it is not in the page cache; the buffer's content is undefined.
        case wouldBlock
    }

    /// Closed when this object goes.
    public let descriptor: FileDescriptor
    /// Cleared when the file system turns out not to support it.
    private(set) var supportsNowait = true

    /// Takes over an open descriptor.
    public init(descriptor: FileDescriptor) {
        self.descriptor = descriptor
    }

    /// Opens a file for reading and writing.
    /// - Parameter create: makes the file when it is missing, readable by its owner only. The caller
    ///   syncs the directory.
    public convenience init(path: FilePath, create: Bool) throws(Errno) {
        let flags = O_RDWR | O_CLOEXEC
        try self.init(path: path, flags: flags | (create ? O_CREAT : 0))
    }

    /// - Parameter flags: of open(2).
    convenience init(path: FilePath, flags: Int32) throws(Errno) {
        let fd =
            flags & O_CREAT != 0
            ? Storage.create(path, flags)
            : Storage.open(path, flags)
        guard fd >= 0 else { throw Errno(rawValue: -fd) }
        self.init(descriptor: FileDescriptor(rawValue: fd))
    }

    deinit { close(descriptor.rawValue) }

    // MARK: Data

    /// Writes all of `data` and the zeros that belong to it: with one pwritev where they adjoin.
    ///
    /// When it throws, any part of them may have been written: nothing may be recorded.
    /// - Parameter offset: bytes.
    public func write(
        _ data: UnsafeRawBufferPointer, at offset: UInt64, zeros: LayerMap.ZeroFill = .none
    ) throws(Errno) {
        let end = UInt64(try Self.position(offset)) + UInt64(data.count)
        precondition(zeros.before.map { $0.upperBound == offset } ?? true)
        let afterAdjoins = zeros.after.map { $0.lowerBound == end } ?? false
        try writeAll(
            [
                Self.zeros(zeros.before), Self.vector(data),
                Self.zeros(afterAdjoins ? zeros.after : nil),
            ], at: zeros.before?.lowerBound ?? offset)
        if let after = zeros.after, !afterAdjoins {
            try writeAll([Self.zeros(after), iovec(), iovec()], at: after.lowerBound)
        }
    }

    /// Fills `buffer` from the page cache, or says that it cannot. Bytes past the file's end are zeros.
    public func readNowait(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> NowaitRead {
        guard supportsNowait else { return .wouldBlock }
        do {
            try fill(buffer, at: offset, with: clinux_pread_nowait)
            return .bytes(buffer.count)
        } catch .wouldBlock {
            return .wouldBlock
        } catch .notSupported {
            supportsNowait = false
            return .wouldBlock
        }
    }

    /// Fills `buffer`. Bytes past the file's end are zeros.
    public func read(
        into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) {
        try fill(buffer, at: offset, with: clinux_pread)
    }

    // MARK: Space

    /// Sets the file's size, bytes.
    public func truncate(to size: UInt64) throws(Errno) {
        let size = try Self.position(size)
        try check { Storage.resize(descriptor.rawValue, to: size) }
    }

    /// Makes what was written durable (fdatasync).
    public func sync() throws(Errno) {
        try check { Storage.sync(descriptor.rawValue) }
    }

    /// Gives up the storage of a range, which then reads as zeros; not empty.
    public func punch(_ range: Range<UInt64>) throws(Errno) {
        let start = try Self.position(range.lowerBound)
        let count = try Self.position(range.upperBound) - start
        try check { Storage.punch(descriptor.rawValue, at: start, count: count) }
    }

    /// Bytes of storage in use.
    public var allocatedBytes: UInt64 {
        get throws(Errno) { try attributes().blocks * 512 }
    }

    /// The file's size, bytes.
    public var size: UInt64 {
        get throws(Errno) { try attributes().size }
    }

    // MARK: System calls

    private func attributes() throws(Errno) -> clinux_stat {
        var result = clinux_stat()
        try check { clinux_fstat(descriptor.rawValue, &result) }
        return result
    }

    private func check(_ call: () -> Int32) throws(Errno) {
        while true {
            let result = call()
            if result >= 0 { return }
            let failure = Errno(rawValue: -result)
            if failure != .interrupted { throw failure }
        }
    }

    /// Reads until the buffer is full, with zeros from the end of the file on.
    private func fill(
        _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64,
        with call: (Int32, UnsafeMutableRawPointer, Int, Int64) -> Int
    ) throws(Errno) {
        guard let base = buffer.baseAddress else { return }
        let start = try Self.position(offset)
        var filled = 0
        while filled < buffer.count {
            let count = buffer.count - filled
            let result = call(descriptor.rawValue, base + filled, count, start + Int64(filled))
            if result == 0 {
                memset(base + filled, 0, count)
                return
            }
            if result > 0 {
                filled += result
                continue
            }
            let failure = Errno(rawValue: Int32(-result))
            if failure != .interrupted { throw failure }
        }
    }

    private func writeAll(_ vectors: InlineArray<3, iovec>, at offset: UInt64) throws(Errno) {
        var vectors = vectors
        var position = try Self.position(offset)
        while true {
            let remaining = vectors[0].iov_len + vectors[1].iov_len + vectors[2].iov_len
            guard remaining > 0 else { return }
            let result = vectors.span.withUnsafeBufferPointer {
                Storage.write(descriptor.rawValue, $0, at: position)
            }
            if result > 0 {
                position += Int64(result)
                Self.advance(&vectors, by: result)
                continue
            }
            // No progress and no error cannot happen on a regular file.
            let failure = result == 0 ? Errno.ioError : Errno(rawValue: Int32(-result))
            if failure != .interrupted { throw failure }
        }
    }

    private static func advance(_ vectors: inout InlineArray<3, iovec>, by count: Int) {
        var count = count
        for index in vectors.indices {
            let step = min(count, vectors[index].iov_len)
            vectors[index].iov_base = vectors[index].iov_base.map { $0 + step }
            vectors[index].iov_len -= step
            count -= step
        }
    }

    private static func vector(_ data: UnsafeRawBufferPointer) -> iovec {
        iovec(iov_base: UnsafeMutableRawPointer(mutating: data.baseAddress), iov_len: data.count)
    }

    private static func zeros(_ range: Range<UInt64>?) -> iovec {
        vector(UnsafeRawBufferPointer(rebasing: zeroBlock[..<(range?.count ?? 0)]))
    }

    /// The largest block, of zeros. Never written, so it takes no memory. `nonisolated(unsafe)`: made once,
    /// and nothing but `zeros(_:)` refers to it, for pwritev, which reads.
    nonisolated(unsafe) private static let zeroBlock: UnsafeRawBufferPointer = {
        let count = Int(LayerMap.blockSizeMaximum)
        guard let memory = calloc(1, count) else { preconditionFailure("out of memory") }
        return UnsafeRawBufferPointer(start: memory, count: count)
    }()

    private static func position(_ offset: UInt64) throws(Errno) -> Int64 {
        guard let position = Int64(exactly: offset) else { throw .fileTooLarge }
        return position
    }
}

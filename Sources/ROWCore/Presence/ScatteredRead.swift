import CLinux
import Glibc
public import SystemPackage

/// Parts of a file that are wanted at once, each in its place in memory. They are read with as few calls
/// as there are long gaps between them: what lies in a short one is read as well.
public struct ScatteredRead {
    /// Where the bytes of gaps go.
    public enum Gaps: Sendable {
        /// Nowhere.
        case dropped
        /// Into the memory between the parts, which lie as far apart there as in the file. Its content is
        /// undefined afterwards.
        case inPlace
    }

    /// A gap that is longer is not read.
    static let gapMaximum = 16 << 10
    private static let vectorsMaximum = 512

    private var parts: [Part] = []

    private struct Part {
        let offset: UInt64
        let memory: UnsafeMutableRawBufferPointer

        var end: UInt64 { offset + UInt64(memory.count) }
    }

    /// - Parameter count: parts that there will be at most.
    public init(reserving count: Int) { parts.reserveCapacity(count) }

    /// Adds a part that comes after those before.
    /// - Parameter offset: in the file, bytes.
    public mutating func append(_ memory: UnsafeMutableRawBufferPointer, at offset: UInt64) {
        precondition(parts.last.map { $0.end <= offset } ?? true)
        parts.append(Part(offset: offset, memory: memory))
    }

    /// Fills all parts from the page cache, or says that it cannot; then their content is undefined.
    public func readNowait(
        _ file: SparseFile, gaps: Gaps
    ) throws(Errno) -> SparseFile.NowaitRead {
        guard parts.count > 1, file.supportsNowait else {
            return try readOneByOne(parts[...], file)
        }
        var first = 0
        while first < parts.count {
            let next = endOfGroup(from: first)
            let group = parts[first..<next]
            let isRead =
                switch gaps {
                case .dropped: Self.readDroppingGaps(group, file)
                case .inPlace: Self.readInPlace(group, file)
                }
            // Part of it, the end of the file, or nothing: the parts one by one tell what it is.
            if !isRead, case .wouldBlock = try readOneByOne(group, file) { return .wouldBlock }
            first = next
        }
        return .bytes(parts.reduce(0) { $0 + $1.memory.count })
    }

    /// - Returns: the first part that is too far from the one before it.
    private func endOfGroup(from first: Int) -> Int {
        var next = first + 1
        while next < parts.count, 2 * (next - first) < Self.vectorsMaximum,
            parts[next].offset - parts[next - 1].end <= UInt64(Self.gapMaximum)
        {
            next += 1
        }
        return next
    }

    private static func readInPlace(_ group: ArraySlice<Part>, _ file: SparseFile) -> Bool {
        guard let first = group.first, let last = group.last, let start = first.memory.baseAddress
        else { return false }
        let count = Int(last.end - first.offset)
        precondition(last.memory.baseAddress == start + (count - last.memory.count))
        return clinux_pread_nowait(file.descriptor.rawValue, start, count, Int64(first.offset))
            == count
    }

    private static func readDroppingGaps(_ group: ArraySlice<Part>, _ file: SparseFile) -> Bool {
        guard let first = group.first, let last = group.last else { return false }
        return withUnsafeTemporaryAllocation(byteCount: gapMaximum, alignment: 16) { gap in
            withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2 * group.count) { vectors in
                var count = 0
                var position = first.offset
                for part in group {
                    if part.offset > position {
                        let length = Int(part.offset - position)
                        vectors[count] = iovec(iov_base: gap.baseAddress, iov_len: length)
                        count += 1
                    }
                    vectors[count] = iovec(
                        iov_base: part.memory.baseAddress, iov_len: part.memory.count)
                    count += 1
                    position = part.end
                }
                let read = clinux_preadv_nowait(
                    file.descriptor.rawValue, vectors.baseAddress!, Int32(count),
                    Int64(first.offset))
                return read == Int(last.end - first.offset)
            }
        }
    }

    private func readOneByOne(
        _ parts: ArraySlice<Part>, _ file: SparseFile
    ) throws(Errno) -> SparseFile.NowaitRead {
        var total = 0
        for part in parts {
            if case .wouldBlock = try file.readNowait(into: part.memory, at: part.offset) {
                return .wouldBlock
            }
            total += part.memory.count
        }
        return .bytes(total)
    }
}

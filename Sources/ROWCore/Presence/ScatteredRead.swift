import CLinux
import Glibc
public import SystemPackage

/// Parts of a file that are wanted at once, each in its place in memory. They are read with as few calls
/// as there are long gaps between them: what lies in a short one is read as well, and thrown away.
public struct ScatteredRead {
    /// A gap that is longer is not read.
    static let gapMaximum = 16 << 10
    private static let vectorsMaximum = 512

    private var parts: [Part] = []

    private struct Part {
        let offset: UInt64
        let memory: UnsafeMutableRawBufferPointer

        var end: UInt64 { offset + UInt64(memory.count) }
    }

    public init() {}

    public var isEmpty: Bool { parts.isEmpty }

    /// Adds a part that comes after those before.
    /// - Parameter offset: in the file, bytes.
    public mutating func append(_ memory: UnsafeMutableRawBufferPointer, at offset: UInt64) {
        precondition(parts.last.map { $0.end <= offset } ?? true)
        parts.append(Part(offset: offset, memory: memory))
    }

    /// Fills all parts from the page cache, or says that it cannot; then their content is undefined.
    public func readNowait(_ file: SparseFile) throws(Errno) -> SparseFile.NowaitRead {
        guard parts.count > 1, file.supportsNowait else {
            return try readOneByOne(parts[...], file)
        }
        let result = withUnsafeTemporaryAllocation(byteCount: Self.gapMaximum, alignment: 16) {
            gap -> Result<SparseFile.NowaitRead, Errno> in
            do throws(Errno) {
                return .success(try read(file, gap))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func read(
        _ file: SparseFile, _ gap: UnsafeMutableRawBufferPointer
    ) throws(Errno) -> SparseFile.NowaitRead {
        var total = 0
        var first = 0
        while first < parts.count {
            var vectors: [iovec] = []
            var next = first
            var position = parts[first].offset
            while next < parts.count, vectors.count < Self.vectorsMaximum,
                parts[next].offset - position <= UInt64(Self.gapMaximum)
            {
                if parts[next].offset > position {
                    let count = Int(parts[next].offset - position)
                    vectors.append(iovec(iov_base: gap.baseAddress, iov_len: count))
                }
                let memory = parts[next].memory
                vectors.append(iovec(iov_base: memory.baseAddress, iov_len: memory.count))
                total += memory.count
                position = parts[next].end
                next += 1
            }
            let wanted = Int(position - parts[first].offset)
            let read = clinux_preadv_nowait(
                file.descriptor.rawValue, vectors, Int32(vectors.count),
                Int64(parts[first].offset))
            // Part of it, the end of the file, or nothing: the parts one by one tell what it is.
            if read != wanted,
                case .wouldBlock = try readOneByOne(parts[first..<next], file)
            {
                return .wouldBlock
            }
            first = next
        }
        return .bytes(total)
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

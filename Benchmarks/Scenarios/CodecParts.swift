import NFSProtocol
import XDR

/// The codec: fattr3, which nearly every reply carries.
enum CodecParts {
    static let all = [
        Part(name: "fattr3 decode", goal: .atMost(20), prepare: { decode }),
        Part(name: "fattr3 encode", goal: .atMost(20), prepare: { encode }),
    ]

    /// So many different ones in a row, that none stays in a register.
    private static let recordCount = 64
    private static let recordSize = attributes(0).encodedSize

    private static func attributes(_ number: Int) -> NFS3.Attributes {
        let time = NFS3.Time(seconds: 1_700_000_000, nanoseconds: UInt32(number))
        return NFS3.Attributes(
            type: .regular, mode: 0o644, nlink: 1, uid: 1000, gid: 1000, size: UInt64(number),
            used: UInt64(number), rdev: NFS3.Device(major: 0, minor: 0), fsid: 1,
            fileid: UInt64(number), atime: time, mtime: time, ctime: time)
    }

    private static let records: [UInt8] = {
        let size = recordSize * recordCount
        return [UInt8](unsafeUninitializedCapacity: size) { memory, count in
            let raw = UnsafeMutableRawBufferPointer(memory)
            var output = OutputRawSpan(buffer: raw, initializedCount: 0)
            for number in 0..<recordCount { attributes(number).encode(into: &output) }
            count = output.finalize(for: raw)
        }
    }()

    private static func decode(_ count: Int) -> UInt64 {
        let size = recordSize
        let bytes = records.span.bytes
        var sum: UInt64 = 0
        for index in 0..<count {
            var decoder = Decoder(bytes, at: index % recordCount * size)
            do throws(XDRError) {
                let decoded = try NFS3.Attributes(from: &decoder)
                sum &+= decoded.size &+ UInt64(decoded.ctime.nanoseconds)
            } catch {
                preconditionFailure("our own record: \(error)")
            }
        }
        return sum
    }

    private static func encode(_ count: Int) -> UInt64 {
        let size = recordSize
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: size * recordCount, alignment: 8)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        var value = attributes(0)
        for index in 0..<count {
            value.size = UInt64(index)
            let start = index % recordCount * size
            let place = UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + size)])
            var output = OutputRawSpan(buffer: place, initializedCount: 0)
            value.encode(into: &output)
        }
        return memory.reduce(0) { $0 &+ UInt64($1) }
    }
}

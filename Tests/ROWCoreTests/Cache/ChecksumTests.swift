import CLinux
import NFSProtocol
import Testing

@testable import ROWCore

@Suite struct ChecksumTests {
    private func checksums(_ bytes: [UInt8]) -> [UInt32] {
        bytes.withUnsafeBytes { memory in
            [clinux_crc32c, clinux_crc32c_by_table].map { $0(0, memory.baseAddress, memory.count) }
        }
    }

    @Test func theExamplesOfRFC3720() {
        let command: [UInt8] =
            [0x01, 0xc0, 0, 0] + [UInt8](repeating: 0, count: 12) + [0x14, 0, 0, 0]
            + [0, 0, 0x04, 0] + [0, 0, 0, 0x14] + [0, 0, 0, 0x18] + [0x28] + [0, 0, 0]
            + [UInt8](repeating: 0, count: 4) + [0x02, 0, 0, 0] + [UInt8](repeating: 0, count: 4)
        let examples: [(bytes: [UInt8], sum: UInt32)] = [
            ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
            ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
            (Array(0..<32), 0x46dd_794e), ((0..<32).reversed(), 0x113f_db5c),
            (command, 0xd996_3a56), (Array("123456789".utf8), 0xe306_9283), ([], 0),
        ]
        for (bytes, sum) in examples {
            #expect(checksums(bytes) == [sum, sum], "\(bytes)")
        }
    }

    @Test func tableAndInstructionAgreeAtEveryLengthAndAlignment() {
        var randomness = Randomness(for: 0x6372_6333)
        let bytes = (0..<600).map { _ in UInt8.random(in: 0...255, using: &randomness) }
        bytes.withUnsafeBytes { memory in
            for start in 0..<16 {
                for count in 0...(start == 0 ? 584 : 80) {
                    let part = UnsafeRawBufferPointer(rebasing: memory[start..<start + count])
                    let by = clinux_crc32c(7, part.baseAddress, count)
                    let table = clinux_crc32c_by_table(7, part.baseAddress, count)
                    #expect(by == table, "\(start) \(count) \(randomness.note)")
                    // In two pieces.
                    let half = clinux_crc32c(7, part.baseAddress, count / 2)
                    let rest = UnsafeRawBufferPointer(rebasing: part[(count / 2)...])
                    #expect(clinux_crc32c(half, rest.baseAddress, rest.count) == by)
                }
            }
        }
    }

    @Test func identityAndBlockNumberAreInTheSum() throws {
        let bytes = [UInt8](repeating: 0, count: 100)
        let layouts: [CacheLayout] = try [
            .sample(1, size: 100), .sample(2, size: 100), .sample(1, size: 101),
            .sample(1, size: 100, mtime: 6), .sample(1, size: 100, nanoseconds: 1),
        ]
        let sums = bytes.withUnsafeBytes { memory in
            layouts.map { $0.checksum(of: 0, memory) } + [layouts[0].checksum(of: 1, memory)]
        }
        #expect(Set(sums).count == sums.count && !sums.contains(0))
    }
}

extension CacheLayout {
    static func sample(
        _ id: UInt64, size: UInt64, mtime: UInt32 = 5, nanoseconds: UInt32 = 0
    ) throws -> CacheLayout {
        let time = NFS3.Time(seconds: mtime, nanoseconds: nanoseconds)
        let attributes = NFS3.Attributes(
            type: .regular, mode: 0o644, nlink: 1, uid: 0, gid: 0, size: size, used: 0,
            rdev: NFS3.Device(major: 0, minor: 0), fsid: 1, fileid: 1, atime: time,
            mtime: time, ctime: time)
        return try #require(CacheLayout(id: NodeID(rawValue: id), attributes: attributes))
    }
}

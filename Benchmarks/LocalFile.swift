import Foundation
import Glibc
import ROWTestKit

/// A file that is measured with plain system calls, in this process.
final class LocalFile {
    private let descriptor: Int32
    private let buffer: UnsafeMutableRawBufferPointer
    private static let blockBytes = 4096
    /// `O_DIRECT`, which Swift's Glibc lacks.
    #if arch(x86_64)
        private static let direct: Int32 = 0o40000
    #else
        private static let direct: Int32 = 0o200000
    #endif

    /// - Parameter isDirect: past the page cache of the file system that it is in.
    init(_ path: String, isReadOnly: Bool = false, isDirect: Bool = false) throws {
        let access = isReadOnly ? O_RDONLY : O_RDWR
        descriptor = open(path, access | O_CLOEXEC | (isDirect ? Self.direct : 0))
        guard descriptor >= 0 else { throw failure() }
        buffer = .allocate(byteCount: 1 << 20, alignment: 4096)
        for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index &* 131 >> 3) }
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    func write(block: Int) throws {
        let place = block * Self.blockBytes
        guard pwrite(descriptor, buffer.baseAddress, Self.blockBytes, place) == Self.blockBytes
        else { throw failure() }
    }

    func sync() throws {
        guard fsync(descriptor) == 0 else { throw failure() }
    }

    /// Reads for a while.
    /// - Parameter order: numbers of the pieces of that size, read again and again.
    /// - Returns: MB/s.
    func read(sizeBytes: Int, order: [Int], seconds: Double) throws -> Double {
        let begin = now()
        var count = 0
        var elapsed = 0.0
        repeat {
            for _ in 0..<16 {
                let place = order[count % order.count] * sizeBytes
                guard pread(descriptor, buffer.baseAddress, sizeBytes, place) == sizeBytes else {
                    throw failure()
                }
                count += 1
            }
            elapsed = now() - begin
        } while elapsed < seconds
        return Double(count * sizeBytes) / elapsed / 1e6
    }
}

/// Seconds of the monotonic clock.
func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

func failure() -> POSIXError { POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }

/// What files take of the disk, with everything below a directory.
func allocatedBytes(_ path: String) async throws -> Int {
    let output = try await runTool(try Tool.find("du"), ["-s", "--block-size=1", path])
    guard let bytes = output.split(separator: "\t").first.flatMap({ Int($0) }) else {
        throw POSIXError(.EIO)
    }
    return bytes
}

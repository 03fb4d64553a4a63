import CLinux
import Glibc
import NIOCore

/// A file that has its name only when it is whole: whoever opens it meanwhile finds the one before, or none.
struct AtomicFile: ~Copyable {
    private let path: String
    private let temporaryPath: String
    private let descriptor: CInt
    private var offset: Int64 = 0
    private var isWhole = false

    init(_ path: String, mode: mode_t) throws(NetbootError) {
        self.path = path
        temporaryPath = "\(path).\(getpid()).new"
        unlink(temporaryPath)
        descriptor = open(
            temporaryPath, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit {
        close(descriptor)
        if !isWhole { unlink(temporaryPath) }
    }

    mutating func append(_ bytes: ByteBuffer) throws(NetbootError) {
        var rest = bytes
        while rest.readableBytes > 0 {
            let count = rest.withUnsafeReadableBytes { pointer in
                pointer.baseAddress.map {
                    clinux_pwrite(descriptor, $0, pointer.count, offset)
                } ?? 0
            }
            if count == -Int(EINTR) { continue }
            guard count > 0 else { throw Self.failure(path, CInt(-count)) }
            rest.moveReaderIndex(forwardBy: count)
            offset += Int64(count)
        }
    }

    consuming func finish() throws(NetbootError) {
        guard rename(temporaryPath, path) == 0 else { throw Self.failure(path) }
        isWhole = true
    }

    static func write(_ bytes: ByteBuffer, to path: String, mode: mode_t) throws(NetbootError) {
        var file = try AtomicFile(path, mode: mode)
        try file.append(bytes)
        try file.finish()
    }

    private static func failure(_ path: String, _ code: CInt = errno) -> NetbootError {
        NetbootError(.io, "cannot write \(path): \(String(cString: strerror(code)))")
    }
}

import Glibc

/// By what a file is known not to have changed.
struct FileStamp: Equatable {
    private let numbers: [Int64]

    /// - Returns: nil when there is none.
    init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        numbers = [
            Int64(bitPattern: UInt64(status.st_dev)), Int64(bitPattern: UInt64(status.st_ino)),
            Int64(status.st_size), Int64(status.st_mtim.tv_sec), Int64(status.st_mtim.tv_nsec),
            Int64(status.st_mode),
        ]
    }
}

/// Reads a file of certificates or of a key.
enum PEMFile {
    /// All authorities that a machine knows are a fraction of this.
    private static let sizeMaximum = 4 << 20

    /// - Parameter isSecret: nobody but its owner may be able to read it.
    static func read(_ path: String, isSecret: Bool) throws(NFSClientError) -> [UInt8] {
        func failure(_ text: String) -> NFSClientError { NFSClientError(.tlsFailed, text) }
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            let reason = String(cString: strerror(errno))
            throw failure("\(path) cannot be read: \(reason). Check its path and its rights")
        }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            (0...sizeMaximum).contains(Int(status.st_size))
        else { throw failure("\(path) is no file of certificates or of a key. Check its path") }
        guard !isSecret || status.st_mode & 0o077 == 0 else {
            throw failure(
                "Others than its owner may use the private key \(path), and so pretend to be this machine. "
                    + "Take that away: chmod 600 \(path)")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(file, $0.baseAddress! + count, $0.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { break }
            count += got
        }
        return Array(bytes.prefix(count))
    }
}

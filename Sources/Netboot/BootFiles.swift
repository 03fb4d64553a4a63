public import NIOCore

/// Where the files of an image come from when a machine boots.
public protocol BootFiles: Sendable {
    /// The file that a machine asks for; nil when there is none.
    /// - Parameter path: in the image, without a slash at its beginning: `boot/vmlinuz`. It has no empty
    ///   component, nor `.` or `..`, nor NUL.
    /// - Parameter address: the machine's, without a port.
    func open(_ path: String, for address: String) async throws -> (any BootFile)?
}

/// A file of an image that is being read.
public protocol BootFile: Sendable {
    /// Bytes.
    var size: UInt64 { get }
    /// Up to `count` bytes from `offset`; fewer only at the end.
    func read(at offset: UInt64, count: Int) async throws -> ByteBuffer
    /// Called once, when nothing is read any more.
    func close() async
}

/// The bytes of a file from first to last, of which the next piece is read while one is used.
enum BootFileReading {
    static let pieceBytes = 1 << 20

    /// - Parameter use: takes a piece, and returns when it needs no more memory.
    /// - Throws: what `read` and `use` throw; `NetbootError` when the file is shorter than it said.
    static func pieces(
        of file: any BootFile, _ use: (ByteBuffer) async throws -> Void
    ) async throws {
        guard file.size > 0 else { return }
        var offset: UInt64 = 0
        var piece = try await read(file, at: offset)
        while true {
            offset += UInt64(piece.readableBytes)
            guard offset < file.size else { return try await use(piece) }
            let (here, next) = (piece, offset)
            async let following = read(file, at: next)
            try await use(here)
            piece = try await following
        }
    }

    private static func read(_ file: any BootFile, at offset: UInt64) async throws -> ByteBuffer {
        try Task.checkCancellation()
        let count = Int(min(UInt64(pieceBytes), file.size - offset))
        let piece = try await file.read(at: offset, count: count)
        guard piece.readableBytes == count else {
            throw NetbootError(.io, "a file became shorter while it was read")
        }
        return piece
    }
}

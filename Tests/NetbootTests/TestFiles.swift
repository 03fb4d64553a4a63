import NIOCore
import Synchronization

@testable import Netboot

/// Something that happens once, and can be waited for.
final class Happening: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    private let happened = Mutex(false)

    var hasHappened: Bool { happened.withLock { $0 } }

    func happens() {
        happened.withLock { $0 = true }
        continuation.finish()
    }

    func wait() async { for await _ in stream {} }
}

/// An image of a few files.
struct TestFiles: BootFiles {
    struct Failure: Error {}

    private let files: [String: TestFile]
    private let isFailing: Bool

    init(_ files: [String: TestFile], isFailing: Bool = false) {
        self.files = files
        self.isFailing = isFailing
    }

    func open(_ path: String, for address: String) async throws -> (any BootFile)? {
        if isFailing { throw Failure() }
        files[path]?.opened.happens()
        return files[path]
    }
}

/// A file whose bytes follow from where they are.
final class TestFile: BootFile {
    struct Failure: Error {}

    let size: UInt64
    let opened = Happening()
    let closed = Happening()
    /// When it is asked for what it never gives.
    let stuck = Happening()
    private let failsAt: UInt64?
    private let sticksAt: UInt64?
    private let onRead: @Sendable (UInt64) -> Void

    /// - Parameter onRead: told how far it has been read.
    init(
        bytes: Int, failsAt: UInt64? = nil, sticksAt: UInt64? = nil,
        onRead: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) {
        size = UInt64(bytes)
        self.failsAt = failsAt
        self.sticksAt = sticksAt
        self.onRead = onRead
    }

    func read(at offset: UInt64, count: Int) async throws -> ByteBuffer {
        if let failsAt, offset >= failsAt { throw Failure() }
        if let sticksAt, offset >= sticksAt {
            stuck.happens()
            // Until it is cancelled.
            try await Task.sleep(for: .seconds(3600))
        }
        onRead(offset + UInt64(count))
        return ByteBuffer(bytes: Self.bytes(at: offset, count: count))
    }

    func close() async { closed.happens() }

    private static let pattern = (0..<BootFileReading.pieceBytes + 251).map { UInt8($0 % 251) }

    /// What there is at an offset, of one piece at most.
    static func bytes(at offset: UInt64, count: Int) -> ArraySlice<UInt8> {
        pattern[Int(offset % 251)...].prefix(count)
    }

    /// Whether bytes are those of a file of their size.
    static func isWhole(_ bytes: ByteBuffer) -> Bool {
        stride(from: 0, to: bytes.readableBytes, by: BootFileReading.pieceBytes).allSatisfy {
            offset in
            let count = min(BootFileReading.pieceBytes, bytes.readableBytes - offset)
            return bytes.getSlice(at: bytes.readerIndex + offset, length: count)
                == ByteBuffer(bytes: Self.bytes(at: UInt64(offset), count: count))
        }
    }
}

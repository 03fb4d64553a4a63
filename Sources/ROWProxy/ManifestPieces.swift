import Dispatch
import NIOCore
import ROWCore
import Synchronization

/// The manifest's database as the thread that reads it sees it: pieces that the loop gets, from disk or from main,
/// each waited for.
///
/// `@unchecked Sendable`: ``recent`` is the reading thread's alone.
final class ManifestPieces: PieceSource, @unchecked Sendable {
    let size: UInt64
    /// Gets a piece, on any thread; answers once, nil when it cannot be had.
    private let get: @Sendable (_ piece: UInt64, @escaping @Sendable (ByteBuffer?) -> Void) -> Void
    /// Those that were read last, the newest at the end.
    private var recent: [(piece: UInt64, bytes: ByteBuffer)] = []
    private let end = Mutex(End())

    private struct End {
        var isClosed = false
        var waiting: Waiter?
    }

    /// Somebody who waits for one piece.
    private final class Waiter: Sendable {
        private let answer = Mutex<ByteBuffer?>(nil)
        private let semaphore = DispatchSemaphore(value: 0)

        func tell(_ bytes: ByteBuffer?) {
            answer.withLock { $0 = bytes }
            semaphore.signal()
        }

        func wait() -> ByteBuffer? {
            semaphore.wait()
            return answer.withLock { $0 }
        }
    }

    private static let pieceBytes = CacheLayout.blockBytes
    private static let recentMaximum = 32

    init(
        size: UInt64,
        get: @escaping @Sendable (UInt64, @escaping @Sendable (ByteBuffer?) -> Void) -> Void
    ) {
        self.size = size
        self.get = get
    }

    func read(into memory: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Bool {
        var done = 0
        while done < memory.count {
            let position = offset + UInt64(done)
            let piece = position / Self.pieceBytes
            guard let bytes = bytes(of: piece) else { return false }
            let start = Int(position - piece * Self.pieceBytes)
            let count = min(memory.count - done, bytes.readableBytes - start)
            guard count > 0 else { return false }
            bytes.withUnsafeReadableBytes { source in
                UnsafeMutableRawBufferPointer(rebasing: memory[done..<done + count])
                    .copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: source[start..<start + count]))
            }
            done += count
        }
        return true
    }

    private func bytes(of piece: UInt64) -> ByteBuffer? {
        if let index = recent.lastIndex(where: { $0.piece == piece }) {
            let found = recent.remove(at: index)
            recent.append(found)
            return found.bytes
        }
        let waiter = Waiter()
        let isClosed = end.withLock { end in
            end.waiting = waiter
            return end.isClosed
        }
        guard !isClosed else { return nil }
        get(piece) { waiter.tell($0) }
        let bytes = waiter.wait()
        end.withLock { $0.waiting = nil }
        guard let bytes else { return nil }
        if recent.count >= Self.recentMaximum { recent.removeFirst() }
        recent.append((piece, bytes))
        return bytes
    }

    /// Nothing more is to be had: whoever waits is told so.
    func close() {
        let waiter = end.withLock { end in
            end.isClosed = true
            return end.waiting
        }
        waiter?.tell(nil)
    }
}

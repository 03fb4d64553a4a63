import NIOCore
import ROWCore

/// Blocks on their way from the disk or from main, and who waits for each: however many do, each block is
/// fetched once. Also those that have come and are not on disk yet, which can be had from memory.
struct BlockFlights {
    struct Key: Hashable {
        let id: NodeID
        let block: UInt64
    }

    /// Bytes that came in one piece; blocks that came together share it.
    struct Piece {
        /// Of the file; where ``data`` lies.
        let range: Range<UInt64>
        let data: ByteBuffer
        /// From this machine's disk, not from main.
        var isFromCache = false
    }

    typealias Waiter = (Result<Piece, MainSource.ReadFailure>) -> Void

    private var flights: [Key: [Waiter]] = [:]
    private var landed: [Key: Landed] = [:]

    private struct Landed {
        let piece: Piece
        var whenWritten: [(_ isKept: Bool) -> Void] = []
    }

    /// Blocks under way or in memory.
    var count: Int { flights.count + landed.count }

    /// What has come and is not on disk yet.
    func inMemory(_ key: Key) -> Piece? { landed[key]?.piece }

    /// Lets somebody know when a block that is in memory is on disk, or will never be.
    mutating func whenWritten(_ key: Key, _ then: @escaping (_ isKept: Bool) -> Void) {
        landed[key]?.whenWritten.append(then)
    }

    /// Lets a block be waited for, by nobody if it is to be fetched ahead.
    /// - Returns: whether it has to be fetched now.
    mutating func wait(for key: Key, _ waiter: Waiter?) -> Bool {
        let isNew = flights[key] == nil
        flights[key, default: []] += waiter.map { [$0] } ?? []
        return isNew
    }

    /// A block has come, or will not.
    /// - Parameter isKept: whether it is to be had from memory until ``forget(_:)``.
    /// - Returns: those to tell.
    mutating func land(
        _ key: Key, _ result: Result<Piece, MainSource.ReadFailure>, isKept: Bool
    ) -> [Waiter] {
        if isKept, case .success(let piece) = result {
            landed[key] = Landed(piece: piece)
        }
        return flights.removeValue(forKey: key) ?? []
    }

    /// It is on disk now, or will never be.
    /// - Returns: those to tell.
    mutating func forget(_ key: Key) -> [(_ isKept: Bool) -> Void] {
        landed.removeValue(forKey: key)?.whenWritten ?? []
    }
}

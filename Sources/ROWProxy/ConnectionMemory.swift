import NIOCore

/// What the connections of a port hold together, bounded. Each alone is bounded by ``RPCHandler``, but there
/// may be a thousand.
///
/// Two things are told apart by who ends them:
/// - what a client leaves with us, replies that it does not take and a record that it does not finish: from
///   half of the bound on, READs get little at a time and nothing further is done for connections that do not
///   take their replies; past it, those connections are closed that have not got on for a while, and past twice
///   the bound whichever has not for the longest;
/// - what waits for main or the disk, which ends by itself: past twice the bound, no further calls of
///   connections that have such calls are looked at, past four times the bound none of any.
///
/// Loop-confined.
final class ConnectionMemory {
    /// Bytes; the memory for them may be twice as much. More than all that clients need who take what they
    /// asked for; what exceeds it waits in their sockets.
    static let standardBytes = 64 << 20
    /// How long a client may do nothing about what it leaves, while all leave too much.
    private static let patience = TimeAmount.seconds(2)
    /// Between two searches for such clients.
    private static let pause = TimeAmount.milliseconds(100)

    private let maximum: Int
    /// Bytes that clients have left with us.
    private(set) var leftBytes = 0
    /// The connections that have some of them.
    private var leaving: [ObjectIdentifier: RPCHandler] = [:]
    /// Bytes of calls that wait for something.
    private var parkedBytes = 0
    /// Whether a connection waits until fewer calls wait.
    private var isHoldingBack = false
    private var nextSearch = NIODeadline.uptimeNanoseconds(0)

    init(maximum: Int) { self.maximum = maximum }

    // MARK: What clients leave

    /// Whether replies must be small, and connections whose client does not take them must wait until it does.
    var isTight: Bool { leftBytes > maximum / 2 }

    /// A client leaves more with us, or less. Closes connections when all leave too much.
    /// - Parameter count: bytes; ``RPCHandler/leftBytes`` has changed by them.
    func changed(_ connection: RPCHandler, by count: Int) {
        leftBytes += count
        leaving[ObjectIdentifier(connection)] = connection.leftBytes > 0 ? connection : nil
        guard count > 0, leftBytes > maximum else { return }
        let now = NIODeadline.now()
        while leftBytes > 2 * maximum, let last = laggard(before: now) {
            last.endForMemory(maximum)
        }
        guard now >= nextSearch else { return }
        nextSearch = now + Self.pause
        while leftBytes > maximum, let last = laggard(before: now - Self.patience) {
            last.endForMemory(maximum)
        }
    }

    /// Of the client that leaves most, the connection that has not got on for the longest.
    /// - Parameter time: since then it has not.
    private func laggard(before time: NIODeadline) -> RPCHandler? {
        var ofClient: [ClientAddress: Int] = [:]
        for connection in leaving.values {
            ofClient[connection.client, default: 0] += connection.leftBytes
        }
        guard let most = ofClient.max(by: { $0.value < $1.value })?.key else { return nil }
        return leaving.values.filter { $0.client == most && $0.lastProgress <= time }
            .min { $0.lastProgress < $1.lastProgress }
    }

    // MARK: What waits

    /// Whether another call of a connection may be looked at.
    /// - Parameter bytes: those of its calls that wait.
    func mayPark(behind bytes: Int) -> Bool {
        if parkedBytes < 2 * maximum || (bytes == 0 && parkedBytes < 4 * maximum) { return true }
        isHoldingBack = true
        return false
    }

    func parked(_ bytes: Int) { parkedBytes += bytes }

    /// - Returns: whether connections that were held back may go on.
    func unparked(_ bytes: Int) -> Bool {
        parkedBytes -= bytes
        guard isHoldingBack, parkedBytes <= maximum / 2 * 3 else { return false }
        isHoldingBack = false
        return true
    }
}

import Synchronization

/// Bytes that the ONC RPC connections of this process have moved over TCP, calls and replies with their
/// headers, for all of its servers and clients.
package enum Traffic {
    private static let receivedBytes = Atomic<Int>(0)
    private static let sentBytes = Atomic<Int>(0)

    package static var received: Int { receivedBytes.load(ordering: .relaxed) }

    /// Those that were handed to a channel: it may still hold some.
    package static var sent: Int { sentBytes.load(ordering: .relaxed) }

    /// Counts what one read of a socket brought.
    package static func receive(_ bytes: Int) {
        receivedBytes.wrappingAdd(bytes, ordering: .relaxed)
    }

    /// Counts what is written.
    package static func send(_ bytes: Int) { sentBytes.wrappingAdd(bytes, ordering: .relaxed) }
}

/// The calls of a client that wait for their replies: a fixed array of slots (RFC 5531 §9, xid).
///
/// An xid is `generation << k | slot`, so a reply finds its call by an index and a late reply to an
/// earlier call of the same slot is told apart. Time is whatever the caller counts in nanoseconds,
/// as long as it never goes backwards.
public struct CallTable<Context> {
    /// What a reply means.
    public enum ReplyAction {
        /// The call it answers, which is no longer in the table.
        case complete(Context)
        /// Nobody waits for it: a duplicate, or its call expired or was cancelled.
        case dropUnknown
    }

    @usableFromInline var slots: [CallInFlight<Context>?]
    @usableFromInline var freeSlots: [UInt32]
    @usableFromInline var generations: [UInt32]
    @usableFromInline var sequence: UInt64 = 0
    @usableFromInline let slotBits: UInt32

    /// - Parameter capacity: the most calls in flight, 1...65536, rounded up to a power of two.
    /// - Parameter firstGeneration: where the generations start. A random one keeps the xids of a
    ///   restarted client apart from those that a server's reply cache still remembers.
    public init(capacity: Int, firstGeneration: UInt32 = 0) {
        precondition(capacity >= 1 && capacity <= 1 << 16)
        slotBits = UInt32((capacity - 1).bitWidth - (capacity - 1).leadingZeroBitCount)
        let count = 1 << Int(slotBits)
        slots = Array(repeating: nil, count: count)
        generations = Array(repeating: firstGeneration, count: count)
        freeSlots = (0..<UInt32(count)).reversed()
    }

    /// The most calls in flight.
    @inlinable public var capacity: Int { slots.count }
    /// Calls in flight.
    @inlinable public var count: Int { slots.count - freeSlots.count }
    @inlinable public var isEmpty: Bool { count == 0 }
    @inlinable public var isFull: Bool { freeSlots.isEmpty }

    /// The slot that `xid` belongs to, in 0..<capacity: an index for what the caller keeps per slot.
    @inlinable
    public func slot(of xid: UInt32) -> Int { Int(xid) & (slots.count - 1) }

    /// Takes a slot for a call.
    /// - Parameter deadline: when ``expire(now:)`` gives it back, in nanoseconds.
    /// - Returns: the xid to send it with, nil when every slot is taken.
    @inlinable
    public mutating func begin(_ context: Context, deadline: UInt64) -> UInt32? {
        guard let slot = freeSlots.popLast() else { return nil }
        let index = Int(slot)
        let xid = generations[index] << slotBits | slot
        generations[index] &+= 1
        slots[index] = CallInFlight(
            xid: xid, sequence: sequence, deadline: deadline, context: context)
        sequence += 1
        return xid
    }

    /// A reply arrived.
    @inlinable
    public mutating func received(xid: UInt32) -> ReplyAction {
        guard let context = remove(xid: xid) else { return .dropUnknown }
        return .complete(context)
    }

    /// Gives up on a call.
    /// - Returns: nil when it is not in the table any more.
    @inlinable
    public mutating func remove(xid: UInt32) -> Context? {
        let index = slot(of: xid)
        guard let call = slots[index], call.xid == xid else { return nil }
        slots[index] = nil
        freeSlots.append(UInt32(index))
        return call.context
    }

    /// The context of a call in flight.
    @inlinable
    public func context(of xid: UInt32) -> Context? {
        guard let call = slots[slot(of: xid)], call.xid == xid else { return nil }
        return call.context
    }

    /// When the next call expires, in nanoseconds; nil when there is none.
    public var nextDeadline: UInt64? {
        var next: UInt64?
        for case let call? in slots { next = min(next ?? call.deadline, call.deadline) }
        return next
    }

    /// Takes out the calls whose deadline has come, in the order in which they began.
    public mutating func expire(now: UInt64) -> [(xid: UInt32, context: Context)] {
        takeAll { $0.deadline <= now }
    }

    /// Takes out every call, in the order in which they began.
    public mutating func removeAll() -> [(xid: UInt32, context: Context)] {
        takeAll { _ in true }
    }

    /// The xids to send again over a new connection, in the order in which their calls began.
    /// A retransmitted call keeps its xid: that is how a server knows it (RFC 5531 §9).
    public var xidsInOrder: [UInt32] {
        slots.compactMap(\.self).sorted { $0.sequence < $1.sequence }.map(\.xid)
    }

    private mutating func takeAll(
        where isTaken: (CallInFlight<Context>) -> Bool
    ) -> [(xid: UInt32, context: Context)] {
        let taken = slots.compactMap(\.self).filter(isTaken).sorted { $0.sequence < $1.sequence }
        return taken.map { call in
            let index = slot(of: call.xid)
            slots[index] = nil
            freeSlots.append(UInt32(index))
            return (call.xid, call.context)
        }
    }
}

@usableFromInline
struct CallInFlight<Context> {
    @usableFromInline let xid: UInt32
    /// The order in which calls began.
    @usableFromInline let sequence: UInt64
    @usableFromInline let deadline: UInt64
    @usableFromInline let context: Context

    @inlinable
    init(xid: UInt32, sequence: UInt64, deadline: UInt64, context: Context) {
        self.xid = xid
        self.sequence = sequence
        self.deadline = deadline
        self.context = context
    }
}

extension CallInFlight: Sendable where Context: Sendable {}
extension CallTable: Sendable where Context: Sendable {}
extension CallTable.ReplyAction: Sendable where Context: Sendable {}

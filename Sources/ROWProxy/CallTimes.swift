import NFSProtocol
import NIOCore
import ONCRPC

/// Times the calls of clients, from when they are looked at until their answers have been handed to the socket.
///
/// All calls of one read of a socket are looked at in one go and answered together, so the clock is read twice
/// for all of them. A call that had to wait is timed by itself.
///
/// Loop-confined.
final class CallTimes {
    /// When those that are looked at now, or were last, came in.
    private(set) var started = NIODeadline.uptimeNanoseconds(0)
    private var isOpen = false
    /// Whose calls they are.
    private var reader: ObjectIdentifier?
    private var last = Answered(session: 0, procedure: 0)
    private var lastCount = 0
    /// Those before ``last``. Only the loop uses it, one method at a time: to check that costs more than all else here.
    @exclusivity(unchecked) private var others: [(calls: Answered, count: Int)] = []
    private let sessions: SessionTable
    private let withoutSession: Counters

    private static let othersMaximum = 64

    private struct Answered: Equatable {
        let session: UInt32
        let procedure: UInt32
    }

    /// - Parameter withoutSession: gets those whose session is not served.
    init(_ sessions: SessionTable, withoutSession: Counters) {
        self.sessions = sessions
        self.withoutSession = withoutSession
    }

    /// Calls of a connection are about to be looked at.
    func begin(_ connection: RPCHandler) {
        let reader = ObjectIdentifier(connection)
        guard !isOpen || reader != self.reader else { return }
        // One that was closed before the end of its turn had no answers.
        lastCount = 0
        if !others.isEmpty { others.removeAll(keepingCapacity: true) }
        isOpen = true
        self.reader = reader
        started = .now()
    }

    /// A call's answer is on its way into the socket.
    func answered(_ call: RPCCall) {
        guard call.header.program == NFS3.program else { return }
        let answered = Answered(
            session: call.sessionTag ?? 0, procedure: call.header.procedure)
        guard isOpen, call.started == started else {
            record(answered, 1, .now() - call.started)
            return
        }
        if answered == last {
            lastCount += 1
        } else {
            if others.count == Self.othersMaximum { settle() }
            if lastCount > 0 { others.append((last, lastCount)) }
            last = answered
            lastCount = 1
        }
    }

    /// The answers have been handed to the socket.
    func end() {
        isOpen = false
        if lastCount > 0 { settle() }
    }

    private func settle() {
        let time = NIODeadline.now() - started
        record(last, lastCount, time)
        lastCount = 0
        guard !others.isEmpty else { return }
        for (calls, count) in others { record(calls, count, time) }
        others.removeAll(keepingCapacity: true)
    }

    private func record(_ calls: Answered, _ count: Int, _ time: TimeAmount) {
        let counters = sessions[tag: calls.session]?.counters ?? withoutSession
        counters.clientTimes.add(calls.procedure, time, count: count)
    }
}

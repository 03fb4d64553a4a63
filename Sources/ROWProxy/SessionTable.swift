import Foundation
import NIOCore
import ROWCore

/// A session as the loop serves it.
final class ServedSession {
    let state: SessionState
    let options: Proxy.SessionOptions
    /// The server that keeps its sparse files; nil for its own directory.
    let shadow: RemoteShadow?
    /// The machine whose root it is, if it is one's.
    var machine: Machine?
    /// When its clients were heard last, as far as it was looked at, and their calls until then.
    private(set) var lastSeen: Date?
    private var callsSeen = 0
    /// What it stored when that was added up, and when it is to be done again.
    private var totalsSeen:
        (totals: (files: Int64, blocks: Int64, allocated: Int64), due: NIODeadline)?
    /// Writes down what its clients touch of the image.
    var recorder: ProfileRecorder?
    /// What its clients asked for and moved.
    let counters = Counters()
    let events: EventLog
    let history: SessionHistory
    let started = Date()

    init(
        _ state: SessionState, _ options: Proxy.SessionOptions, _ shadow: RemoteShadow?,
        _ history: SessionHistory, onEvent: @escaping @Sendable (Proxy.Event) -> Void
    ) {
        events = EventLog(session: options.name, onEvent: onEvent)
        self.state = state
        self.options = options
        self.shadow = shadow
        self.history = history
        for complaint in history.complaints { events.add(complaint) }
        state.onEvent = { [events] in events.add($0) }
        shadow?.tag = state.handles.tag
        shadow?.onEvent = { [events] in events.add($0) }
    }

    /// Looks whether its clients were heard; once a second, and whenever somebody wants to know.
    func look() {
        let calls = counters.client.reduce(0, +)
        if calls > callsSeen { lastSeen = Date() }
        callsSeen = calls
    }

    /// What it stores: as it was a while ago where that takes long to add up, so that it takes a hundredth of the
    /// time at most.
    func totalsOfLate() -> (files: Int64, blocks: Int64, allocated: Int64) {
        let now = NIODeadline.now()
        if let (totals, due) = totalsSeen, now < due { return totals }
        let totals = state.totals()
        let end = NIODeadline.now()
        totalsSeen = (totals, end + (end - now) * 100)
        return totals
    }

    /// Lets go of database and connection.
    func close() {
        recorder?.flush()
        state.close()
        shadow?.close()
    }
}

/// The sessions that one image's loop serves, by name and by handle tag.
final class SessionTable {
    private(set) var all: [ServedSession] = []
    private var byTag: [UInt32: ServedSession] = [:]
    /// Sessions that exist and are not served now: their clients are to wait, as for a server that is
    /// away.
    private var absent: [UInt32: String] = [:]
    /// Most calls are of the same session as the call before.
    private var last: ServedSession?

    func add(_ session: ServedSession) {
        let tag = session.state.handles.tag
        all.append(session)
        byTag[tag] = session
        // One that had its name before is no more.
        let name = session.state.name
        absent = absent.filter { $0.value != name }
    }

    func remove(_ session: ServedSession) {
        let tag = session.state.handles.tag
        all.removeAll { $0 === session }
        byTag[tag] = nil
        absent[tag] = session.state.name
        last = nil
    }

    var names: [String] { all.map(\.state.name).sorted() }

    /// Makes what every session has written durable. A failure changes the session's write verifier, so
    /// its clients find out by themselves.
    func flushAll(then: @escaping () -> Void) {
        var remaining = all.count
        if remaining == 0 { then() }
        for session in all {
            session.state.flush { _ in
                remaining -= 1
                if remaining == 0 { then() }
            }
        }
    }

    subscript(name: String) -> ServedSession? { all.first { $0.state.name == name } }

    subscript(tag tag: UInt32) -> ServedSession? {
        if let last, last.state.handles.tag == tag { return last }
        guard let found = byTag[tag] else { return nil }
        last = found
        return found
    }

    /// There is a session with this tag, which may come.
    func expect(_ name: String, tag: UInt32) { absent[tag] = name }

    /// Whether the handles with this tag are of a session that may come, or come back.
    func isExpected(tag: UInt32) -> Bool { absent[tag] != nil }

    /// Those that exist and are not served.
    var expectedNames: [String] { Array(absent.values) }

    /// It does not exist any more.
    func forget(tag: UInt32) { absent[tag] = nil }

    /// Forgets those that do not exist any more: their handles are stale.
    func expectOnly(where exists: (_ name: String) -> Bool) {
        absent = absent.filter { exists($0.value) }
    }
}
